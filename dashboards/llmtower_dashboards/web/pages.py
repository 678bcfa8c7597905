"""The addresses of the live page and what a browser sends back. Edge: imports NiceGUI."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from nicegui import Client, app, background_tasks, ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from llmtower_dashboards.web import chrome
from llmtower_dashboards.web.guard import document
from llmtower_dashboards.web.hub import Hub
from llmtower_dashboards.web.keys import Access
from llmtower_dashboards.web.screen import Screen
from llmtower_dashboards.web.theme import css

ZONE_COOKIE: Final = "llmtower_tz"
FIRST_S: Final = 0.5
"""So long the first answer waits for figures; what comes later is sent to the open page."""
_STATIC: Final = Path(__file__).parent / "static"


def register(hub: Hub) -> None:
    """Make the routes."""
    ui.add_head_html(f"<style>{css()}</style>", shared=True)
    ui.add_head_html('<link rel="stylesheet" href="/static/page.css"><script src="/static/page.js"></script>', shared=True)
    ui.add_body_html(chrome.help_dialog() + '<div id="toast" role="status" aria-live="polite"></div>', shared=True)
    for path in (*chrome.PATHS.values(), *chrome.OTHERS):
        ui.page(path, title="Llmtower", response_timeout=20)(_page(hub))
    app.add_exception_handler(404, missing)


def _page(hub: Hub) -> Callable[[Client, Request], Awaitable[None]]:
    async def page(client: Client, request: Request) -> None:
        ui.context.client.content.classes(remove="nicegui-content").classes("page")
        access = Access(request.scope.get("llmtower.scopes", frozenset()), request.scope.get("llmtower.promoter", ""))
        screen = Screen(hub, client, access, request.cookies.get(ZONE_COOKIE, ""))
        screen.go(str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""))
        Wiring(screen, client)
        await asyncio.wait({background_tasks.create(screen.refresh(), name="first figures")}, timeout=FIRST_S)
        ui.add_body_html(screen.prelude())

    return page


def missing(_request: Request, _error: Exception) -> HTMLResponse:
    """An address that leads nowhere: say so, and where to go."""
    said = '<h1>There is no such page</h1><p><a href="/">To the overview</a>, or <a href="/calls">to the calls</a>.</p>'
    return HTMLResponse(document("No such page", said), status_code=404)


def panel(name: str, request: Request) -> RedirectResponse:
    """An address of a panel that holds wherever it stands: what notifications link to."""
    query = f"?{request.url.query}" if request.url.query else ""
    path = chrome.PANEL_PATHS.get(name)
    return RedirectResponse(f"/{query}" if path is None else f"{path}{query}#{name}", status_code=302)


class Wiring:
    """Events of the browser → the screen; the screen asks again only while somebody looks."""

    def __init__(self, screen: Screen, client: Client) -> None:
        self._screen = screen
        self._client = client
        self._timer = ui.timer(screen.period_s, self._tick, immediate=False)
        ui.on("llmtower:go", self._go)
        ui.on("llmtower:zone", self._zone)
        ui.on("llmtower:visible", self._visible)
        ui.on("llmtower:sql", self._sql)
        ui.on("llmtower:silence", self._silence)

    async def _tick(self) -> None:
        if self._screen.live and not self._screen.busy:
            await self._screen.refresh()
            self._timer.interval = self._screen.period_s

    async def _go(self, event: GenericEventArguments) -> None:
        self._screen.go(str(event.args))
        self._timer.interval = self._screen.period_s
        await self._screen.refresh()
        self._client.run_javascript("llmtower.arrived()")

    async def _zone(self, event: GenericEventArguments) -> None:
        if self._screen.set_zone(str(event.args)[:64]):
            await self._screen.redraw()

    async def _visible(self, event: GenericEventArguments) -> None:
        self._timer.active = bool(event.args)
        if event.args:
            await self._tick()

    def _sql(self, event: GenericEventArguments) -> None:
        sql = self._screen.sql(str(event.args))
        self._client.run_javascript(f"llmtower.copy({json.dumps(sql)}, {json.dumps('SQL copied' if sql else 'Not asked yet')})")

    async def _silence(self, event: GenericEventArguments) -> None:
        kind, what = str(event.args[0]), str(event.args[1])
        if kind in ("promote", "rollback"):
            cards = self._screen.library
            said = await cards.move(kind, what) if cards is not None else "That page is closed."
        elif kind == "stage":
            said = await self._screen.stage(what)
        elif kind == "unsilence":
            said = await self._screen.unsilence(what)
        else:
            said = await self._screen.silence("acknowledge" if kind == "acknowledge" else "silence", what)
        self._client.run_javascript(f"llmtower.say({json.dumps(said)})")
        for pause_s in (0.7, 1.5, 2.5):
            await asyncio.sleep(pause_s)
            await self._screen.refresh()
