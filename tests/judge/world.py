"""A judge with everything in memory."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from llmtower_processors.gateway.sink import MemorySink
from llmtower_processors.judge.memory import MemoryCalls, MemoryEndpoint, MemoryTopic
from llmtower_processors.judge.model import Material, Pick, Reply
from llmtower_processors.judge.question import Said
from llmtower_processors.judge.rubric import Rubric, load_rubrics
from llmtower_processors.judge.service import Judge, Parts
from llmtower_processors.leader import Firing
from llmtower_schemas.settings import JudgeSettings

NOON_MS = 1_795_694_400_000
"""26 November 2026, 12:00 UTC."""
HELPFULNESS, RELEVANCE, FAITHFULNESS = load_rubrics(("helpfulness", "relevance", "faithfulness"))
GOOD = Reply('{"reason": "it helps", "score": 1}', cost=300)


class HandClock:
    """A clock that is set by hand."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1_000


def material(count: int, *, first_ms: int = NOON_MS - 150_000) -> list[Material]:
    """Calls with texts, a tenth of a second apart."""
    return [
        Material(
            Pick(f"call-{number:05d}", "shop", "bot", "production", "gpt-4o", "ask", "3", (first_ms + 100 * number) * 1_000),
            Said("Q?", f"A {number}"),
        )
        for number in range(count)
    ]


class Bench:
    """One judge among others: the topic, the calls and the endpoint may be shared."""

    def __init__(
        self,
        answer: Callable[[Sequence[dict[str, str]]], Reply] = lambda _: GOOD,
        *,
        calls: MemoryCalls | None = None,
        topic: MemoryTopic | None = None,
        rubrics: tuple[Rubric, ...] = (HELPFULNESS,),
        run: str = "a",
        most: int | None = 500,
        **given: Any,
    ) -> None:
        self.calls = calls or MemoryCalls(material(300))
        self.topic = topic or MemoryTopic()
        self.endpoint = MemoryEndpoint(answer, most)
        self.sink, self.clock = MemorySink(), HandClock()
        self.settings = JudgeSettings(**{"budget_usd": 1.0, **given})
        self.judge = Judge(Parts(self.settings, rubrics, self.calls, self.topic.open(), self.endpoint, self.sink, self.clock, run))

    async def round(self) -> None:
        await self.judge.fire(Firing(self.clock.ms, f"judge:test:{self.clock.ms}"))
        self.clock.ms += 60_000

    def scores(self) -> list[dict[str, Any]]:
        return [orjson.loads(line.raw) for line in self.sink.lines]

    def promised(self, day: str = "2026-11-26") -> int:
        """The highest sum over all runs that the topic ever held, nano-USD: nobody can have spent more."""
        latest: dict[str, int] = {}
        highest = 0
        for record in self.topic.records:
            key = (record.key or b"").decode()
            if key.startswith(f"judge/{day}/"):
                latest[key] = json.loads(record.value or b'{"nano_usd": 0}')["nano_usd"]
                highest = max(highest, sum(latest.values()))
        return highest
