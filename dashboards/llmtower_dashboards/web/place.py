"""One panel on a page: its NiceGUI elements, and how an answer gets into them. Edge: imports NiceGUI."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from nicegui import ui

from llmtower_dashboards.ask import Answer, AskError
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.registry import PANELS
from llmtower_dashboards.web import alerts, cards, changes, charts, spoken, stages, tables
from llmtower_dashboards.web.hub import Hub
from llmtower_dashboards.web.lines import lines
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.setting import Setting
from llmtower_dashboards.web.state import offset
from llmtower_dashboards.web.tags import EMPTY, Html, hidden, join

PATIENCE_S: Final = 0.4
"""So long everything else waits for the figures of tiles."""
CHARTS: Final = frozenset({"timeseries", "heatmap"})

_WRITTEN: Final[dict[str, Callable[[Answer, Look], Html]]] = {
    "alerts_history": alerts.history,
    "call_facts": lambda answer, look: tables.facts(PANELS["call_facts"], answer, look),
    "overview_changed": changes.changes,
    stages.PANEL: lambda answer, look: stages.registered(PANELS[stages.PANEL], answer, look),
    "call_content": lambda answer, _look: changes.texts(answer),
}
"""Panels that are not written as tables."""


class Turn:
    """Lets the figures of tiles go before everything else that is asked: two processors answer five questions sooner than twenty."""

    def __init__(self, tiles: int) -> None:
        self._left = tiles
        self._over = asyncio.Event()
        self.done(0)

    def done(self, tiles: int = 1) -> None:
        """So many more tiles have their figure, or have failed."""
        self._left -= tiles
        if self._left <= 0:
            self._over.set()

    async def over(self) -> None:
        """Return when all have, or after PATIENCE_S."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._over.wait()


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a panel needs besides its own answer; charts wait for what surrounds them, and for the figures of tiles."""

    look: Look
    setting: Awaitable[Setting]
    turn: Turn


class Place:
    """A panel's card. Until its first answer it is a grey skeleton; a failure keeps the last figure below its sentence."""

    def __init__(self, panel: Panel, *, tile: bool = False, classes: str = "", instead: Panel | None = None) -> None:
        self.panel = panel
        self._instead = instead
        self.shown = panel
        """Whose answer is on the screen: the panel's, or that of the one that stands in for it."""
        self._stood_in = False
        """Whether the other panel was shown last: then both are asked at once."""
        self.is_tile = tile
        self.answer: Answer | None = None
        self._chart: Any = None
        self._trend: Answer | None = None
        with ui.element("article").classes(f"card {classes}").props(f'id="{panel.name}"') as self.card:
            self._head = _html("")
            self._problem = _html("")
            if panel.kind in CHARTS and not tile:
                self._chart = ui.echart({}, renderer="svg").classes("chart").props('aria-hidden="true"')
            self._body = _html(cards.skeleton())

    @property
    def content(self) -> str:
        """What is shown below the heading, as HTML."""
        return str(self._body.content)

    async def refresh(self, hub: Hub, drawn: Drawn) -> None:
        """Ask and show."""
        look = drawn.look
        if not self.is_tile:
            _set(self._head, cards.heading(self.panel, look))
        if not self.is_tile:
            await drawn.turn.over()
        try:
            panel, answer = await self._ask(hub, look)
        except AskError as error:
            self._fail(str(error))
            return
        finally:
            drawn.turn.done(int(self.is_tile))
        self.answer, self.shown = answer, panel
        _set(self._problem, Html(""))
        self.card.classes(remove="stale")
        if self.is_tile:
            _set(self._body, cards.tile(panel, answer, self._trend, look))
            await drawn.turn.over()
            self._trend = await self._ask_trend(panel, hub, look)
            _set(self._body, cards.tile(panel, answer, self._trend, look))
        elif not _knows(answer):
            self._hide_chart()
            _set(self._body, cards.nothing(self.panel))
        elif self._chart is not None:
            await self._draw(answer, drawn)
        else:
            _set(self._body, self._written(answer, look))

    def _written(self, answer: Answer, look: Look) -> Html:
        if self.panel.kind == "bars":
            return tables.bars(self.panel, answer, look)
        if written := _WRITTEN.get(self.panel.name):
            return written(answer, look)
        if self.panel.kind == "stat":
            return cards.tile(self.panel, answer, None, look)
        return tables.table(self.panel, answer, look)

    async def _ask(self, hub: Hub, look: Look) -> tuple[Panel, Answer]:
        """The panel's answer; that of the one that stands in for it when there is nothing to say (a score that nobody computes)."""
        if self._instead is None:
            return self.panel, await hub.ask(self.panel, look.frame)
        if self._stood_in:
            answer, other = await asyncio.gather(hub.ask(self.panel, look.frame), hub.ask(self._instead, look.frame))
        else:
            answer = await hub.ask(self.panel, look.frame)
            other = answer if _knows(answer) else await hub.ask(self._instead, look.frame)
        self._stood_in = not _knows(answer)
        return (self._instead, other) if self._stood_in else (self.panel, answer)

    async def _ask_trend(self, panel: Panel, hub: Hub, look: Look) -> Answer | None:
        trend = PANELS.get(panel.trend) if self.is_tile else None
        if trend is None:
            return None
        try:
            return await hub.ask(trend, look.frame)
        except AskError:
            return None

    async def _draw(self, answer: Answer, drawn: Drawn) -> None:
        panel, setting = self.panel, await drawn.setting
        if panel.kind == "heatmap":
            options = charts.heatmap(panel, answer.rows, setting)
        else:
            options = charts.timeseries(panel, answer.columns, answer.rows, setting)
        self._chart.set_visibility(True)
        self._chart.options.clear()
        self._chart.options.update(options)
        self._chart.update()
        zone = offset(setting.zone, setting.end)
        said = hidden(spoken.words(panel, answer, drawn.look, setting.marks))
        _set(self._body, join(said, cards.caption(panel, answer, zone, setting.bucket_s, _legend(panel, answer, drawn.look, setting))))
        await asyncio.sleep(0)

    def _fail(self, message: str) -> None:
        _set(self._problem, cards.failed(message))
        self.card.classes("stale")
        if self.answer is None:
            self._hide_chart()
            _set(self._body, Html(""))

    def _hide_chart(self) -> None:
        if self._chart is not None:
            self._chart.set_visibility(False)


def _knows(answer: Answer) -> bool:
    return bool(answer.rows) and any(value is not None for value in answer.rows[0])


def _legend(panel: Panel, answer: Answer, look: Look, setting: Setting) -> Html:
    """Names below a chart that has none at the ends of its lines."""
    if panel.kind != "timeseries":
        return EMPTY
    found = lines(panel, answer.columns, answer.rows)
    if len(found.drawn) < 2 or charts.has_direct_labels(panel, found):
        return EMPTY
    return cards.legend(found, [charts.colour_of(line, number, setting) for number, line in enumerate(found.drawn)], look)


def _html(content: str) -> ui.html:
    return ui.html(content, sanitize=False)


def _set(element: ui.html, content: str) -> None:
    """Send only what changed."""
    if element.content != content:
        element.set_content(content)
