"""Serve the live page. Edge: NiceGUI, uvicorn, the socket; imported by the page's own process only."""

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmtower_dashboards.web.budgets import Budgets
from llmtower_dashboards.web.guard import Guard, is_loopback
from llmtower_dashboards.web.keys import Keys
from llmtower_dashboards.web.register import KafkaRegister
from llmtower_schemas.settings import Settings

if TYPE_CHECKING:
    from llmtower_dashboards.web.hub import Hub

STATIC: Final = Path(__file__).parent / "static"


class RefusedToBindError(Exception):
    """The page would be reachable from outside without a key."""


def keys_of(settings: Settings) -> Keys:
    """The keys that open the page; on loopback everybody may read, unless a read key is set."""
    web = settings.web
    return Keys(
        read=web.read_key.get_secret_value() if web.read_key else "",
        content=web.content_key.get_secret_value() if web.content_key else "",
        given=frozenset({"read"}) if is_loopback(web.host) else frozenset(),
        register=KafkaRegister(settings.kafka),
    )


def refuse_to_be_open(settings: Settings) -> None:
    """Raises RefusedToBindError when others could reach the page and no key of the scope `read` exists."""
    if is_loopback(settings.web.host) or settings.web.read_key:
        return
    if not asyncio.run(KafkaRegister(settings.kafka).grants("read")):
        raise RefusedToBindError(
            f"The live page listens on {settings.web.host} only with a key of the scope read: make one with `llmtower keys create`, "
            "or set LLMTOWER_WEB__READ_KEY to a long random text (openssl rand -hex 24), or listen on 127.0.0.1."
        )


def serve(settings: Settings, budgets: Budgets) -> None:
    """Serve until SIGINT or SIGTERM. `budgets`: dollars a day, of the alert rules. Raises RefusedToBindError."""
    refuse_to_be_open(settings)
    keys = keys_of(settings)
    import uvicorn

    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    names = [*settings.web.names.split(","), *([] if settings.web.host in ("0.0.0.0", "::") else [settings.web.host])]  # noqa: S104 - compared
    guard = Guard(application(settings, budgets), keys, names=names)
    uvicorn.run(guard, host=settings.web.host, port=settings.web.port, log_level="warning", access_log=False, timeout_graceful_shutdown=3)


def hub_of(settings: Settings, budgets: Budgets) -> "Hub":
    """What all browsers share: the logins that read, and where silences and moved labels go."""
    from llmtower_dashboards.ask import Asker
    from llmtower_dashboards.web.hub import Hub
    from llmtower_dashboards.web.shelf import kafka_shelf
    from llmtower_dashboards.web.silencing import KafkaSilencer

    options = settings.clickhouse.client_options()
    password = settings.web.content_password
    content = None
    if password is not None:
        content = Asker({**options, "username": settings.web.content_user, "password": password.get_secret_value()})
    shelf = kafka_shelf(settings.kafka, open_moves=is_loopback(settings.web.host))
    bootstrap = settings.kafka.bootstrap_servers or ""
    return Hub(Asker(options), content, KafkaSilencer(settings.kafka), shelf, bootstrap=bootstrap, budgets=budgets)


def application(settings: Settings, budgets: Budgets) -> Any:
    """The page's ASGI application, without its guard."""
    import os

    os.environ.setdefault("NICEGUI_STORAGE_PATH", tempfile.gettempdir())
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse
    from fastapi.staticfiles import StaticFiles
    from nicegui import ui

    from llmtower_dashboards.web.pages import panel, register
    from llmtower_dashboards.web.silences_api import serve_silences

    hub = hub_of(settings, budgets)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await hub.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.get("/livez")(lambda: PlainTextResponse("ok"))
    app.get("/panels/{name}")(panel)
    serve_silences(app, hub.silencer)
    app.mount("/static", StaticFiles(directory=STATIC))
    register(hub)
    ui.run_with(
        app,
        title="Llmtower",
        favicon=STATIC / "favicon.svg",
        dark=None,
        binding_refresh_interval=None,
        reconnect_timeout=10,
        tailwind=False,
        show_welcome_message=False,
        language="en-US",
    )
    return app
