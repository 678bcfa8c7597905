"""ASGI middleware (FastAPI, Starlette, any other): each request's user, session, id, route, tags and trace, for the calls made within.

    app.add_middleware(LLMTowerMiddleware)

Pure ASGI: messages pass through untouched, so a streamed response is never held back.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from llmtower.errors import internal_error
from llmtower.scope import Gathered, context, gathered

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

HEADERS = {"user_id": "x-user-id", "session_id": "x-session-id", "request_id": "x-request-id"}
"""Where a request tells who it is of, unless told otherwise."""

_FULL_MATCH = 2
"""Starlette's `Match.FULL`."""


class LLMTowerMiddleware:
    """Surrounds each request with `llmtower.context`."""

    def __init__(
        self, app: App, *, headers: Mapping[str, str] = HEADERS, identify: Callable[[Scope], Mapping[str, Any] | None] | None = None
    ) -> None:
        """`headers` names a header per field; `identify` gives fields from the ASGI scope (`user_id`, `tags` …), and wins over headers."""
        self._app, self._identify = app, identify
        self._headers = {title.lower().encode("latin-1"): name for name, title in headers.items()}

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        """Serve one request, or hand on what is none (`lifespan`)."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        token = gathered.set(Gathered())
        try:
            with context(**self._around(scope)):
                return await self._app(scope, receive, send)
        finally:
            gathered.reset(token)

    def _around(self, scope: Scope) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            told: Iterable[tuple[bytes, bytes]] = scope.get("headers") or ()
            given = {title.lower(): value.decode("latin-1") for title, value in told}
            found = {name: given[title] for title, name in self._headers.items() if given.get(title)}
            found |= _trace(given.get(b"traceparent", ""))
            found["route"] = _route(scope)
            if self._identify is not None:
                found |= {name: value for name, value in (self._identify(scope) or {}).items() if name in _FIELDS}
        except Exception:
            internal_error("LLMTowerMiddleware")
        return found


_FIELDS = ("user_id", "session_id", "request_id", "route", "tags", "prompt", "trace_id", "span_id")


def _trace(header: str) -> dict[str, Any]:
    """Give the trace: that of OpenTelemetry's span around, if there is one, else the header's, else a new one."""
    opentelemetry = sys.modules.get("opentelemetry.trace")
    if opentelemetry is not None:
        span = opentelemetry.get_current_span().get_span_context()
        if span.is_valid:
            return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    return {"traceparent": header}


def _route(scope: Scope) -> str | None:
    """Give the route's template (`/items/{id}`) where the application knows it; never the path itself, which has no bound."""
    for route in getattr(scope.get("app"), "routes", None) or ():
        matches = getattr(route, "matches", None)
        if callable(matches) and getattr(matches(scope)[0], "value", 0) == _FULL_MATCH:
            return getattr(route, "path", None)
    return None
