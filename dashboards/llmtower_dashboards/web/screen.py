"""What one browser looks at: builds a page's panels, asks for them again while it is looked at. Edge: imports NiceGUI."""

import asyncio
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from nicegui import Client, ui

from llmtower_dashboards.ask import AskError
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.alerts import FIRING, HISTORY, SILENCES
from llmtower_dashboards.panels.variables import VARIABLES
from llmtower_dashboards.registry import DASHBOARDS, PANELS
from llmtower_dashboards.web import alerts, cards, chrome, layout, library, stages
from llmtower_dashboards.web.hub import Alerts, Hub
from llmtower_dashboards.web.keys import Access
from llmtower_dashboards.web.library_cards import LibraryCards, build_library
from llmtower_dashboards.web.look import CALLS_PATH, Look
from llmtower_dashboards.web.place import Drawn, Place, Turn, _html, _set
from llmtower_dashboards.web.setting import Setting
from llmtower_dashboards.web.silencing import LASTS, Kind, NotSilencedError, silence
from llmtower_dashboards.web.state import View, parse, zone_of
from llmtower_dashboards.web.tags import Html, join, tag

TILES: Final = ("overview_calls", "overview_error_rate", "overview_p95", "cost_today")
LAST_TILE: Final = ("quality_toxicity", "overview_ttft")
"""The fifth figure, and what stands there while no answer is scored for toxicity."""
POINTS: Final = 120
MARKED_S: Final = 3_600
"""So long after a range's end watermarks are looked for; what ended earlier has none that would say how far it arrived."""


class Screen:
    """A browser's page. `show` goes somewhere, `refresh` asks again; both leave what is on the screen until answers are there."""

    def __init__(self, hub: Hub, client: Client, access: Access, zone: str) -> None:
        self._hub = hub
        self._client = client
        self._access = access
        self._browser_zone = zone
        self._path = ""
        self._view = View()
        self._built: tuple[Any, ...] = ()
        self._places: list[Place] = []
        self._alerts: Alerts | None = None
        self._silencing: set[str] = set()
        self._running: asyncio.Task[None] | None = None
        self._asked = datetime.now(UTC)
        self.took_s = 0.0
        """Seconds of the last refresh."""
        self._nav, self._controls, self._status = _html(""), _html(""), _html("")
        self._nav.classes("top")
        with ui.element("div").classes("bar"):
            self._controls.move(ui.context.slot.parent)
            self._status.move(ui.context.slot.parent)
        self._controls.classes("controls")
        self._status.classes("status").props('role="status"')
        self._notice, self._greeting = _html(""), _html("")
        self._main = ui.element("div").props('id="main" tabindex="-1"')
        self._firing: ui.html | None = None
        self._silences: ui.html | None = None
        self._heads: dict[str, ui.html] = {}
        """Headings of what is no panel's place, by the panel that is asked for it."""
        self.library: LibraryCards | None = None

    @property
    def live(self) -> bool:
        """Whether the range moves on."""
        return self._view.live

    @property
    def period_s(self) -> float:
        """Seconds between two refreshes: a longer range moves slower, and a slow engine is not pressed."""
        span = self._frame(datetime.now(UTC)).end - self._frame(datetime.now(UTC)).start
        least = 5.0 if span <= timedelta(hours=1) else 15.0 if span <= timedelta(days=1) else 60.0
        return max(least, 4 * self.took_s)

    def go(self, href: str) -> None:
        """Read an address and build what it names; panels that are there already stay."""
        address = urlsplit(href)
        self._path = address.path.rstrip("/") or "/"
        self._view = parse(parse_qsl(address.query, keep_blank_values=False), list(VARIABLES), datetime.now(UTC))
        prompt = self._view.variables.get("prompt", ()) if self._path == library.PATH else ()
        wanted = (
            self._path,
            prompt,
            bool(self._view.variables.get("call")),
            self._view.choices.get("list", ""),
            "content" in self._access.scopes,
        )
        if wanted != self._built:
            self._built = wanted
            self._main.clear()
            self._places, self._firing, self._silences, self.library, self._heads = [], None, None, None, {}
            with self._main:
                self._build()
        self._client.title = f"{self._title()} · Llmtower"
        _set(self._notice, tag("p", self._view.notice, class_="problem", role="status") if self._view.notice else "")

    def set_zone(self, name: str) -> bool:
        """Take the browser's time zone; True when times look different now."""
        changed = zone_of(name) is not None and name != self._browser_zone
        self._browser_zone = name if changed else self._browser_zone
        return changed and not self._view.zone

    @property
    def busy(self) -> bool:
        """Whether answers are awaited."""
        return self._running is not None and not self._running.done()

    async def refresh(self) -> None:
        """Ask for everything on the screen at this moment; what was asked before and is not answered is given up."""
        self._asked = datetime.now(UTC).replace(microsecond=0)
        await self.redraw()

    async def redraw(self) -> None:
        """Show the same moment again: what is asked already is not asked twice."""
        if self._running is not None:
            self._running.cancel()
        self._running = asyncio.create_task(self._draw(self._asked))
        await asyncio.wait({self._running})

    async def _draw(self, now: datetime) -> None:
        began = time.monotonic()
        frame = self._frame(now)
        look = Look(self._path, self._view, frame, now, self._zone(), self._hub.budget_usd(frame))
        self._header(look, {})
        shelf = [self.library.refresh(look)] if self.library is not None else []
        await asyncio.gather(self._panels(look), self._find_alerts(look), *shelf)
        self._header(look, await self._hub.choices(look.frame))
        self.took_s = time.monotonic() - began

    def prelude(self) -> Html:
        """What is known already, as plain HTML: it is seen before the browser has run a line of script, and then gives way to the page."""
        tiles = [tag("article", Html(place.content), class_="card tile") for place in self._places if place.is_tile]
        shown = tag("section", tiles, class_="tiles") if self._path == "/" else ""
        above = tag("div", Html(self._nav.content), class_="top")
        return tag("div", above, tag("div", class_="bar"), shown, id="prelude", class_="page", inert=True, aria_hidden="true")

    async def _panels(self, look: Look) -> None:
        setting: asyncio.Future[Setting] = asyncio.get_running_loop().create_future()
        turn = Turn(sum(place.is_tile for place in self._places))
        drawn = [place.refresh(self._hub, Drawn(look, setting, turn)) for place in self._places]
        await asyncio.gather(*drawn, self._surround(look, setting, turn))

    async def _surround(self, look: Look, setting: asyncio.Future[Setting], turn: Turn) -> None:
        """Asked after the figures, which need none of it."""
        try:
            await turn.over()
            setting.set_result(await self._setting(look))
        finally:
            setting.cancel()

    async def _setting(self, look: Look) -> Setting:
        """What all charts share: colours, events, how far data has arrived."""
        frame = look.frame
        colours, marks, completeness = await asyncio.gather(
            self._hub.colours(look.now), self._hub.marks(frame), self._hub.completeness(frame)
        )
        recent = frame.end > look.now - timedelta(seconds=MARKED_S)
        arrived = completeness.watermark if completeness is not None and recent else None
        share = None if completeness is None else completeness.share
        _set(self._status, chrome.status(look, completeness))
        nothing = colours.names.get("app") == ()
        _set(self._greeting, chrome.first_steps(self._hub.bootstrap) if nothing and self._path == "/" else "")
        return Setting(frame.start, frame.end, frame.interval_s, look.zone, colours, marks, arrived, share)

    async def _find_alerts(self, look: Look) -> None:
        """The badge, the list of alerts, the silences."""
        for panel in (FIRING, SILENCES):
            if panel.name in self._heads:
                _set(self._heads[panel.name], cards.heading(panel, look))
        try:
            found = self._alerts = await self._hub.alerts(look.frame)
        except AskError as error:
            if self._firing is not None:
                _set(self._firing, cards.failed(str(error)))
            return
        self._header(look, {})
        if self._firing is not None:
            rule = self._view.choices.get("rule", "")
            chosen = [one for one in found.found if not rule or one.row["rule"] == rule]
            overview = self._path == "/"
            shown = alerts.by_rule(chosen, look, limit=5, cut=found.cut) if overview else alerts.listed(chosen, look, cut=found.cut)
            _set(self._firing, shown)
        if self._silences is not None:
            empty = tag("p", "Nothing is silenced.", class_="empty")
            _set(self._silences, alerts.silenced(found.silences, look) if found.silences.rows else empty)

    def _header(self, look: Look, choices: Any) -> None:
        _set(self._nav, chrome.navigation(look, alerts.count(self._alerts.found) if self._alerts else 0))
        if choices or not self._controls.content:
            _set(self._controls, chrome.controls(look, choices))

    def _frame(self, now: datetime) -> Any:
        return self._view.frame(now, POINTS)

    def _zone(self) -> tzinfo:
        return zone_of(self._view.zone) or zone_of(self._browser_zone) or UTC

    def _title(self) -> str:
        if self._path in chrome.OTHERS:
            return chrome.OTHERS[self._path]
        return next((board.title for name, board in DASHBOARDS.items() if chrome.PATHS[name] == self._path), "Not found")

    def _build(self) -> None:
        if self._path == "/":
            self._build_overview()
        elif self._path == "/alerts":
            self._build_alerts()
        elif self._path == library.PATH:
            self.library, panels = build_library(self._hub.shelf, self._view, self._access)
            self._places += panels
        elif self._path == CALLS_PATH:
            self._places += layout.calls(
                self._view, texts="content" in self._access.scopes and self._hub.has_texts, has_login=self._hub.has_texts
            )
        else:
            self._places += layout.dashboard(self._path, self._view)

    def _build_overview(self) -> None:
        _html(tag("h1", "Overview", class_="sr"))
        _html(tag("h2", "Now", class_="sr"))
        with ui.element("section").classes("tiles").props('aria-label="Now"'):
            self._places += [Place(PANELS[name], tile=True, classes="tile") for name in TILES]
            last, instead = (PANELS.get(name) for name in LAST_TILE)
            self._places.append(Place(last or PANELS[LAST_TILE[1]], tile=True, classes="tile", instead=instead))
        _html(tag("h2", "What is wrong, what changed", class_="sr"))
        with ui.element("section").classes("grid"):
            self._firing = self._card("firing", FIRING, "card half firing")
            self._places.append(Place(PANELS["overview_changed"], classes="half changed"))
        _html(tag("h2", "Over time", class_="sr"))
        with ui.element("section").classes("grid").props('aria-label="Over time"'):
            row = next(row for row in DASHBOARDS["overview"].rows if row.title == "Over time")
            self._places += [Place(panel, classes=width) for panel, width in zip(row.panels, layout.widths(row.panels), strict=True)]

    def _build_alerts(self) -> None:
        _html(join(tag("h1", "Alerts"), tag("h2", "Now and before", class_="sr")))
        with ui.element("section").classes("grid"):
            self._firing = self._card("firing", FIRING, "card")
            self._silences = self._card("silences", SILENCES, "card")
            self._places.append(Place(HISTORY))

    def _card(self, name: str, panel: Panel, classes: str) -> ui.html:
        with ui.element("article").classes(classes).props(f'id="{name}"'):
            _html(tag("span", id=panel.name))
            self._heads[panel.name] = _html(tag("div", tag("h3", panel.title, title=panel.question), class_="head"))
            return _html(cards.skeleton())

    def sql(self, name: str) -> str:
        """The SQL of a panel as it was asked last."""
        known = {place.shown.name: place.answer.sql for place in self._places if place.answer}
        if self._alerts is not None:
            known |= {FIRING.name: self._alerts.firing.sql, SILENCES.name: self._alerts.silences.sql}
        return known.get(name, "")

    async def silence(self, kind: Kind, key: str) -> str:
        """Silence or acknowledge an alert on the screen; gives what to tell."""
        found = next((one for one in self._alerts.found if one.key == key), None) if self._alerts else None
        if found is None:
            return "That alert is not firing any more."
        made = silence(kind, str(found.row["rule"]), found.group, datetime.now(UTC))
        return await self._publish(
            made, f"{'Silenced' if kind == 'silence' else 'Acknowledged'} for {LASTS[kind].total_seconds() / 3_600:g} h."
        )

    async def stage(self, key: str) -> str:
        """Move a registered model to another stage; gives what to tell."""
        return await stages.moved(self._hub.shelf, key, key_id=self._access.promoter)

    async def unsilence(self, silence_id: str) -> str:
        """End a silence; gives what to tell."""
        found = alerts.found_silence(self._alerts.silences, silence_id) if self._alerts else None
        if found is None:
            return "That silence is over already."
        return await self._publish(found.model_copy(update={"deleted": True}), "The silence is ended.")

    async def _publish(self, made: Any, said: str) -> str:
        try:
            await self._hub.silencer.publish(made)
        except NotSilencedError as error:
            return str(error)
        self._hub.forget_alerts()
        return said
