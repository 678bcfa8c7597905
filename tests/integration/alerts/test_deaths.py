"""On the real Kafka: wherever a leader dies between judging, writing, telling and recording, nothing is lost and repeats say so.

Deaths at every step of the story, without Kafka, are in `tests/alerts/test_service.py`; here is what only Kafka can answer: a transaction
that was left open is nobody's, and one that was committed is everybody's.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest
from prometheus_client import CollectorRegistry
from tests.alerts.story import RULES, SCRIPT, check, play
from tests.alerts.world import Fate, FatefulRouter, FatefulTables, Killed, World
from tests.integration.alerts.conftest import Place

from llmtower_processors.alerts.journal import KafkaJournal, Page
from llmtower_processors.alerts.metrics import AlertMetrics
from llmtower_processors.alerts.service import AlertService
from llmtower_processors.alerts.silences import MemorySilences
from llmtower_schemas.alerts import Sent, Transition, encode_entries
from llmtower_schemas.settings import AlertSettings, KafkaSettings

pytestmark = pytest.mark.integration

FIRST_TOLD = 1
"""Of the story's appends the first that people hear of; the next says that they were told."""
DEATHS = [(append, spot) for append in (FIRST_TOLD, FIRST_TOLD + 1) for spot in ("before", "inside", "after")]


class MortalJournal(KafkaJournal):
    """Dies at an append: before it, with its records sent and the transaction open, or after it."""

    def __init__(self, kafka: KafkaSettings, group: str, *, topic: str, death: tuple[int, str] = (-1, "")) -> None:
        super().__init__(kafka, group, topic=topic)
        self._death, self._appends = death, 0

    async def append(self, entries: Sequence[Transition | Sent]) -> list[Page]:
        number, self._appends = self._appends, self._appends + 1
        if (number, "before") == self._death:
            raise Killed
        if (number, "inside") == self._death:
            assert self._producer is not None
            await self._producer.begin_transaction()
            await self._producer.send_and_wait(self._partition.topic, encode_entries(entries), partition=0)
            raise Killed
        pages = await super().append(entries)
        if (number, "after") == self._death:
            raise Killed
        return pages


def service(world: World, journal: KafkaJournal) -> AlertService:
    """Judges in memory, writes to Kafka."""
    fate = Fate()
    parts = {"tables": FatefulTables(world.tables, fate), "router": FatefulRouter(world.received, fate), "silences": MemorySilences()}
    return AlertService(RULES, AlertSettings(), journal=journal, clock=world.clock, metrics=AlertMetrics(CollectorRegistry()), **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: f"{death[1]}-{death[0]}")
def test_a_leader_may_die_around_any_append(place: Callable[[], AbstractAsyncContextManager[Place]], death: tuple[int, str]) -> None:
    async def story() -> None:
        async with place() as it:
            world, left = World(RULES), list(SCRIPT)
            dead = MortalJournal(it.kafka, it.group, topic=it.journal, death=death)
            first = service(world, dead)
            with pytest.raises(Killed):
                await _until_death(world, first, left)
            world.clock.forward(2)
            heir = KafkaJournal(it.kafka, it.group, topic=it.journal)
            await play(world, service(world, heir), [*left, *SCRIPT[-1:] * 4])
            reader = KafkaJournal(it.kafka, it.group, topic=it.journal)
            world.topic.pages = await reader.open()
            await asyncio.gather(*(one.close() for one in (dead, heir, reader)))
            check(world)
            assert {one.rule for one in world.transitions() if one.to_state == "firing"} == {"errors", "spend"}
            repeated = [one.transition.rule for one in world.received if one.possible_repeat]
            assert repeated == ({(1, "after"): ["spend"], (2, "before"): ["spend"], (2, "inside"): ["spend"]}.get(death, []))

    asyncio.run(story())


async def _until_death(world: World, first: AlertService, left: list[tuple[float, float]]) -> None:
    """What was not played to its end stays in the list."""
    while left:
        await play(world, first, left[:1])
        left.pop(0)
