"""What all browsers share: the readers of ClickHouse, and short-lived answers that every page needs (colours, marks, filters, alerts).

Nothing here runs by itself: without a browser nothing is asked.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

from llmtower_dashboards.ask import Answer, Asker, AskError
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.alerts import FIRING, SILENCES
from llmtower_dashboards.panels.variables import VARIABLES
from llmtower_dashboards.registry import ANNOTATIONS
from llmtower_dashboards.web import alerts
from llmtower_dashboards.web.budgets import Budgets
from llmtower_dashboards.web.colours import DIMENSIONS, Palette, order, palette
from llmtower_dashboards.web.setting import Mark
from llmtower_dashboards.web.shelf import Shelf
from llmtower_dashboards.web.silencing import Silencer

Found = TypeVar("Found")
COLOUR_DAYS: Final = 30
LISTED: Final = ("environment", "app", "model", "provider", "prompt", "user")
_KEPT: Final = 256
SELDOM: Final = frozenset({"overview_changed"})
"""Panels that cost much and say what moves slowly."""
SELDOM_S, CHOICES_S, COLOURS_S = 20.0, 120.0, 300.0
"""For so many seconds an answer of that kind serves."""
FIRST_S: Final = 2.0
"""The same as long as nothing has arrived: what comes first is to be seen at once."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """What is firing, and the silences that hold."""

    found: list[alerts.Alert]
    firing: Answer
    silences: Answer

    @property
    def cut(self) -> bool:
        """Whether more may be firing than were asked for."""
        return len(self.firing.rows) == FIRING.most


class Hub:
    """Asks for all browsers. `content` reads texts; None where this page has no such login."""

    def __init__(
        self, asker: Asker, content: Asker | None, silencer: Silencer, shelf: Shelf, *, bootstrap: str = "", budgets: Budgets | None = None
    ) -> None:
        self._asker = asker
        self._content = content
        self.silencer = silencer
        self.shelf = shelf
        self.bootstrap = bootstrap
        self._budgets = budgets or Budgets()
        self._projects = 0
        self._kept: OrderedDict[Any, tuple[float, asyncio.Future[Any]]] = OrderedDict()
        self._named = False

    async def close(self) -> None:
        """Give the connections back."""
        await self._asker.close()
        if self._content is not None:
            await self._content.close()

    @property
    def has_texts(self) -> bool:
        """Whether this page could show texts at all."""
        return self._content is not None

    async def ask(self, panel: Panel, frame: Frame) -> Answer:
        """Give a panel's answer; browsers that ask the same within a second share it. Raises AskError."""
        asker = self._asker if panel.reader == "dashboards" else self._content
        if asker is None:
            raise AskError("This page has no login for texts. Set LLMTOWER_WEB__CONTENT_PASSWORD.", retriable=False)
        if panel.name in SELDOM:
            key: tuple[Any, ...] = ("ask", panel.name, _span(frame, SELDOM_S))
            return await self._once(key, SELDOM_S, lambda: asker.ask(panel, frame))
        return await self._once(("ask", panel.name, _key(frame)), 1.0, lambda: asker.ask(panel, frame))

    async def completeness(self, frame: Frame) -> Any:
        """Say how complete a frame is."""
        return await self._asker.completeness(frame)

    async def colours(self, now: datetime) -> Palette:
        """Give every name its colour, by the order of the last 30 days; how many projects there are is learned with it."""
        frame = Frame(now - timedelta(days=COLOUR_DAYS), now)

        async def ask() -> Palette:
            asked = (*map(order, DIMENSIONS), VARIABLES["project"])
            *found, projects = await asyncio.gather(*(self._asker.values(one, frame) for one in asked))
            self._projects = len(projects)
            return palette(zip(DIMENSIONS, found, strict=True))

        found = await self._quietly("colours", COLOURS_S if self._named else FIRST_S, ask, Palette())
        self._named = bool(found.names.get("app"))
        return found

    async def marks(self, frame: Frame) -> list[Mark]:
        """Give the events of a range: deploys, new prompt versions, new models."""

        async def ask() -> list[Mark]:
            answers = await asyncio.gather(*(self._asker.ask(panel, frame) for panel in ANNOTATIONS.values()))
            return [Mark(row[0], *map(str, row[1:])) for answer in answers for row in answer.rows]

        return await self._quietly(("marks", _span(frame, SELDOM_S)), SELDOM_S, ask, [])

    async def choices(self, frame: Frame) -> Mapping[str, Sequence[str]]:
        """Give the values that filters may have."""

        async def ask() -> Mapping[str, Sequence[str]]:
            frames = [replace(frame, variables={}) for _ in LISTED]
            found = await asyncio.gather(*(self._asker.values(VARIABLES[name], one) for name, one in zip(LISTED, frames, strict=True)))
            return dict(zip(LISTED, found, strict=True))

        key = ("choices", frame.end - frame.start, int(frame.end.timestamp() // CHOICES_S))
        return await self._quietly(key, CHOICES_S if self._named else FIRST_S, ask, {})

    def budget_usd(self, frame: Frame) -> float | None:
        """What may be spent on a day of what a frame looks at; None until it is known whose calls there are."""
        return self._budgets.of(frame.variables, self._projects)

    async def alerts(self, frame: Frame) -> Alerts:
        """Give what is firing. Raises AskError."""

        async def ask() -> Alerts:
            firing, silences = await asyncio.gather(self._asker.ask(FIRING, frame), self._asker.ask(SILENCES, frame))
            return Alerts(alerts.alerts(firing, silences, datetime.now(UTC)), firing, silences)

        return await self._once(("alerts", _chosen(frame)), 1.0, ask)

    def forget_alerts(self) -> None:
        """Ask for alerts anew next time."""
        for key in [key for key in self._kept if key[0] == "alerts"]:
            del self._kept[key]

    async def _quietly(self, key: Any, seconds: float, ask: Callable[[], Awaitable[Found]], otherwise: Found) -> Found:
        """What only decorates may be missing: the panels themselves say what failed."""
        try:
            return await self._once(key, seconds, ask)
        except AskError:
            return otherwise

    async def _once(self, key: Any, seconds: float, ask: Callable[[], Awaitable[Found]]) -> Found:
        now = time.monotonic()
        known = self._kept.get(key)
        if known is None or (known[1].done() and (now - known[0] >= seconds or known[1].cancelled() or known[1].exception())):
            known = (now, asyncio.ensure_future(ask()))
            self._kept[key] = known
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return cast(Found, await asyncio.shield(known[1]))


def _chosen(frame: Frame) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(sorted((name, tuple(values)) for name, values in frame.variables.items()))


def _span(frame: Frame, seconds: float) -> tuple[Any, ...]:
    """A range as far as it matters to what is asked seldom."""
    return (frame.end - frame.start, int(frame.end.timestamp() // seconds), _chosen(frame))


def _key(frame: Frame) -> tuple[Any, ...]:
    return (frame.start, frame.end, frame.interval_s, _chosen(frame))
