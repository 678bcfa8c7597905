"""The evaluator without Kafka and ClickHouse: figures by script, a clock by hand, receivers that remember, and deaths at any step."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from llmtower_processors.alerts.journal import MemoryJournal, MemoryTopic, Page
from llmtower_processors.alerts.metrics import AlertMetrics
from llmtower_processors.alerts.model import Notification, Recorder, Router, RouteState
from llmtower_processors.alerts.rules import Rules
from llmtower_processors.alerts.service import AlertService
from llmtower_processors.alerts.silences import MemorySilences
from llmtower_processors.alerts.tables import MemoryTables, QuestionRefusedError, Rows
from llmtower_processors.leader import Firing
from llmtower_processors.runtime.model import Block
from llmtower_schemas.alerts import Sent, Transition
from llmtower_schemas.queries import Query
from llmtower_schemas.settings import AlertSettings

START_MS = 1_795_000_020_000
"""A full minute."""


class Killed(BaseException):
    """The process died here."""


class HandClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.ms = START_MS
        self.steady = 0.0

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.steady

    def forward(self, seconds: float) -> None:
        self.ms += round(seconds * 1_000)
        self.steady += seconds


@dataclass
class Fate:
    """Counts the steps that leave a trace outside, and strikes before or after one of them."""

    strike: int = -1
    after: bool = False
    pause: asyncio.Event | None = None
    """Instead of dying there, wait for this."""
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    steps: int = 0

    async def around(self, act: Callable[[], Any]) -> Any:
        number, self.steps = self.steps, self.steps + 1
        if number == self.strike and not self.after:
            await self._strike()
        result = await act()
        if number == self.strike and self.after:
            await self._strike()
        return result

    def step(self, act: Callable[[], None]) -> None:
        number, self.steps = self.steps, self.steps + 1
        if number == self.strike and not self.after and self.pause is None:
            raise Killed
        act()
        if number == self.strike and self.after and self.pause is None:
            raise Killed

    async def _strike(self) -> None:
        self.struck.set()
        if self.pause is None:
            raise Killed
        await self.pause.wait()


class FatefulJournal(MemoryJournal):
    def __init__(self, topic: MemoryTopic, fate: Fate) -> None:
        super().__init__(topic)
        self._fate = fate

    async def append(self, entries: Sequence[Transition | Sent]) -> list[Page]:
        pages: list[Page] = await self._fate.around(lambda: super(FatefulJournal, self).append(entries))
        return pages


class FatefulTables(MemoryTables):
    """Shares its rows with others; deaths are its own."""

    def __init__(self, shared: MemoryTables, fate: Fate) -> None:
        super().__init__(shared._answer)
        self._shared, self._fate = shared, fate

    def ask(self, query: Query) -> tuple[Sequence[str], Rows]:
        return self._shared.ask(query)

    def insert(self, block: Block, token: str) -> None:
        self._fate.step(lambda: self._shared.insert(block, token))


@dataclass
class FatefulRouter:
    """Tells a receiver that outlives every leader; each telling and each recording is a step."""

    received: list[Notification]
    fate: Fate
    routes: tuple[str, ...] = ("default",)

    def routes_of(self, transition: Transition) -> tuple[str, ...]:
        return tuple(route for route in transition.routes if route in self.routes)

    async def dispatch(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        for one in notifications:
            await self.fate.around(lambda one=one: self._receive(one))  # type: ignore[misc]  # bound per turn
            sent = Sent(
                transition_id=one.transition.transition_id,
                route=one.route,
                at_us=one.transition.at_us,
                possible_repeat=one.possible_repeat,
            )
            await recorder.record([sent])

    async def _receive(self, notification: Notification) -> None:
        self.received.append(notification)

    async def resume(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        """Its receiver forgets nothing."""

    def states(self) -> dict[str, RouteState]:
        """Nothing ever waits."""
        return {}

    async def close(self) -> None:
        """Nothing to stop."""


@dataclass
class World:
    """What outlives leaders: Kafka, ClickHouse, the receiver, time; and figures by metric and group."""

    rules: Rules
    figures: dict[str, dict[tuple[str, ...], tuple[float | None, float]]] = field(default_factory=dict)
    """By metric (or name of a rule with SQL of its own): group → (value, sample)."""
    marks: dict[str, int] = field(default_factory=dict)
    topic: MemoryTopic = field(default_factory=MemoryTopic)
    feed: list[Any] = field(default_factory=list)
    received: list[Notification] = field(default_factory=list)
    clock: HandClock = field(default_factory=HandClock)
    asked: list[Query] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    arriving: int = 1
    """Calls that arrive between two looks at how many are stored."""
    stored: int = 0

    def __post_init__(self) -> None:
        self.tables = MemoryTables(self._answer)

    def service(self, fate: Fate | None = None, *, router: Router | None = None, **settings: Any) -> AlertService:
        """A process that may lead."""
        fate = fate or Fate()
        silences = MemorySilences()
        silences.records = self.feed
        return AlertService(
            self.rules,
            AlertSettings(**settings),
            journal=FatefulJournal(self.topic, fate),
            tables=FatefulTables(self.tables, fate),
            silences=silences,
            router=router or FatefulRouter(self.received, fate),
            clock=self.clock,
            metrics=AlertMetrics(CollectorRegistry()),
        )

    def transitions(self) -> list[Transition]:
        """What the journal holds."""
        return [entry for page in self.topic.pages for entry in page.entries if isinstance(entry, Transition)]

    def firing(self) -> Firing:
        return Firing(self.clock.now_ms(), "token")

    def _answer(self, query: Query) -> tuple[Sequence[str], Rows]:
        self.asked.append(query)
        if "FROM system.tables" in query.sql:
            self.stored += self.arriving
            self._refuse(query)
            return ["name", "total_rows"], [["calls", self.stored]]
        if "FROM watermarks" in query.sql:
            return ["project", "mark"], list(self.marks.items())
        if "FROM deploys" in query.sql:
            return ["kind", "project", "app", "what", "at"], [["deploy", "default", "chat", "chat 2", self.clock.now_ms() * 1_000 - 1]]
        return self._figures(query)

    def _refuse(self, query: Query) -> None:
        if any(name in query.sql for name in self.refused):
            raise QuestionRefusedError("ClickHouse refuses the question: error 47 UNKNOWN_IDENTIFIER")

    def _figures(self, query: Query) -> tuple[Sequence[str], Rows]:
        names = [name for name in self.figures if f"AS {name}_value" in query.sql]
        self._refuse(query)
        groups = {group: None for name in names for group in self.figures[name]}
        views = sum(name.startswith("v") and name.endswith("_start") for name in query.parameters)
        by = query.sql.partition("GROUP BY view_, ")[2].partition(" ORDER BY")[0].split(", ")
        columns = ["view_", *by, *(f"{name}_{what}" for name in names for what in ("value", "sample"))]
        rows = [
            [view, *group, *(part for name in names for part in self.figures[name].get(group, (None, 0)))]
            for view in range(views)
            for group in groups
        ]
        return columns, rows


def deaths(steps: int) -> list[dict[str, Any]]:
    """Every step, before and after."""
    return [{"strike": strike, "after": after} for strike in range(steps) for after in (False, True)]
