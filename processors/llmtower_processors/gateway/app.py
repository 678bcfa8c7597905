"""The gateway's pages: who is asking, what did they send, has Kafka got it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.middleware.cors import CORSMiddleware

from llmtower_processors.errors import Unreachable
from llmtower_processors.gateway.answers import JSON, PROTOBUF, Refusal, status_body, success_body
from llmtower_processors.gateway.bodies import Budget, decompress, read_body
from llmtower_processors.gateway.intake import Kind, Taken, Write, counted, take, take_feedback
from llmtower_processors.gateway.keyring import Keyring
from llmtower_processors.gateway.packing import Partitions
from llmtower_processors.gateway.sink import Sink
from llmtower_processors.otel.model import UnreadableError
from llmtower_processors.otel.nesting import NOTHING, Decided, Earlier
from llmtower_processors.registry_topic import RegistryRecord
from llmtower_schemas.keys import Scope
from llmtower_schemas.settings import GatewaySettings

log = logging.getLogger(__name__)

FOLLOW_S: Final = 2.0
_OTLP: Final[Mapping[str, tuple[str, Kind]]] = {"/v1/traces": ("rejectedSpans", "spans"), "/v1/logs": ("rejectedLogRecords", "logs")}
LARGE: Final = 64 << 10
"""Bytes from which a body is converted elsewhere: what is smaller takes no longer than the way there and back."""
THUMBS: Final = Path(__file__).with_name("thumbs.js").read_bytes()
"""A snippet for web pages: thumbs under answers, sent to /v1/feedback."""
_NDJSON: Final = ("application/x-ndjson", "application/jsonl", JSON)
NAMES: Final = {
    "llmtower_gateway_records": "spans, log records and events, by path, outcome and reason",
    "llmtower_gateway_requests": "requests, by path and status",
    "llmtower_gateway_held_bytes": "bytes of requests held until Kafka acknowledges",
}
"""Each metric and what it counts."""


class Feed(Protocol):
    """Gives new versions of keys."""

    async def poll(self) -> list[RegistryRecord]:
        """Give what is new. Raises Unreachable."""

    async def close(self) -> None:
        """Let go."""


class Elsewhere(Protocol):
    """Converts bodies without keeping this process from others."""

    async def take(
        self, kind: Kind, body: bytes, *, is_json: bool, project: str, now_ns: int, partitions: Partitions, earlier: Earlier = NOTHING
    ) -> Taken:
        """Convert a body, and pack what comes of it where partitions are known. Raises UnreadableError, Refusal."""

    def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pages work with."""

    settings: GatewaySettings
    sink: Sink
    keyring: Keyring
    feed: Feed
    write: Write
    now_ns: Callable[[], int] = time.time_ns
    elsewhere: Elsewhere | None = None
    """What converts large bodies; None: this process does."""


class Gateway:
    """The state behind the pages."""

    def __init__(self, parts: Parts, registry: CollectorRegistry) -> None:
        self.parts, self.registry = parts, registry
        self.budget = Budget(parts.settings.inflight_bytes)
        self.keys_known = False
        self.decided = Decided()
        self._inflating = asyncio.Semaphore(1)
        self.records = Counter(
            "llmtower_gateway_records", NAMES["llmtower_gateway_records"], ["path", "outcome", "reason"], registry=registry
        )
        self.requests = Counter("llmtower_gateway_requests", NAMES["llmtower_gateway_requests"], ["path", "status"], registry=registry)
        held = Gauge("llmtower_gateway_held_bytes", NAMES["llmtower_gateway_held_bytes"], registry=registry)
        held.set_function(lambda: self.budget.held)

    def project(self, request: Request, scope: Scope) -> str:
        """Give the project of a request. Raises Refusal."""
        if not self.keys_known:
            raise Refusal(503, "The keys are not read from Kafka yet. Send this again.", 2)
        given = request.headers
        return self.parts.keyring.project(given.get("authorization", ""), given.get("x-api-key", ""), scope)

    async def otlp(self, request: Request, path: str, media: str) -> Response:
        """Take an export request; answered when Kafka has it."""
        field, kind = _OTLP[path]
        project = self.project(request, "emit")
        with self.budget.hold() as hold:
            body = await self._body(request, hold)
            try:
                taken = await self._convert(kind, body, project, is_json=media == JSON)
            except UnreadableError as error:
                raise Refusal(400, f"Not an export request: {error}.") from error
            del body
            await self._store(taken, path)
            self.decided.learn(project, taken.chains)
        rejected = taken.rejected.total()
        return Response(success_body(rejected, taken.reasons(), media, rejected_field=field), media_type=media)

    async def events(self, request: Request) -> Response:
        """Take our own events, one a line."""
        project = self.project(request, "emit")
        with self.budget.hold() as hold:
            body = await self._body(request, hold)
            taken = await self._convert("events", body, project, is_json=True)
            del body
            await self._store(taken, "/v1/events")
        return self._told(taken)

    async def feedback(self, request: Request) -> Response:
        """Take one feedback."""
        project = self.project(request, "feedback")
        with self.budget.hold() as hold:
            body = await self._body(request, hold)
            taken = take_feedback(body, project=project, now_ns=self.parts.now_ns(), write=self.parts.write)
            await self._store(taken, "/v1/feedback")
        return self._told(taken)

    async def _convert(self, kind: Kind, body: bytes, project: str, *, is_json: bool) -> Taken:
        """Convert a body; once more in the rare case that earlier exports have decided otherwise of its spans than it does alone."""
        taken = await self._converted(kind, body, project, is_json=is_json)
        earlier = self.decided.earlier(project, taken.chains)
        return await self._converted(kind, body, project, is_json=is_json, earlier=earlier) if any(earlier) else taken

    async def _converted(self, kind: Kind, body: bytes, project: str, *, is_json: bool, earlier: Earlier = NOTHING) -> Taken:
        parts, now_ns = self.parts, self.parts.now_ns()
        if parts.elsewhere is None or len(body) < LARGE:
            return take(kind, body, is_json=is_json, project=project, now_ns=now_ns, write=parts.write, earlier=earlier)
        partitions = parts.sink.partitions
        return await parts.elsewhere.take(
            kind, body, is_json=is_json, project=project, now_ns=now_ns, partitions=partitions, earlier=earlier
        )

    def _told(self, taken: Taken) -> Response:
        if not taken.accepted and taken.rejected:
            raise Refusal(400, f"Nothing could be taken: {taken.reasons()}.")
        return Response(orjson.dumps({"accepted": taken.accepted, "rejected": dict(taken.rejected)}), media_type=JSON)

    async def _body(self, request: Request, take: Callable[[int], None]) -> bytes:
        settings = self.parts.settings
        raw = await read_body(request.stream(), take, limit=settings.body_bytes, timeout_s=settings.body_s)
        encoding = request.headers.get("content-encoding", "")
        if not encoding:
            return raw
        async with self._inflating:
            body = await asyncio.to_thread(decompress, raw, encoding, settings.body_bytes)
            take(max(0, len(body) - len(raw)))
            return body

    async def _store(self, taken: Taken, path: str) -> None:
        if taken.lines:
            await self.parts.sink.put(taken.lines)
        if taken.packed:
            await self.parts.sink.put_packed(taken.packed)
        for outcome, reason, number in counted(taken):
            if number:
                self.records.labels(path, outcome, reason).inc(number)

    async def follow(self) -> None:
        """Follow the keys for ever; while Kafka is away the last known ones hold."""
        while True:
            try:
                self.parts.keyring.learn(await self.parts.feed.poll())
                self.keys_known = True
            except Unreachable as error:
                log.warning("%s The keys known so far hold.", error)
            await asyncio.sleep(FOLLOW_S)


def build_app(gateway: Gateway) -> FastAPI:
    """Assemble the pages."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(gateway.follow())
        yield
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        if gateway.parts.elsewhere is not None:
            gateway.parts.elsewhere.close()
        await gateway.parts.feed.close()

    app = FastAPI(title="Llmtower gateway", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    origins = [origin.strip() for origin in gateway.parts.settings.cors_origins.split(",") if origin.strip()]
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["POST"], allow_headers=["authorization", "content-type"])
    _pages(app, gateway)
    return app


def _pages(app: FastAPI, gateway: Gateway) -> None:
    async def answered(request: Request, path: str, media: str, take: Callable[[], Awaitable[Response]]) -> Response:
        try:
            response = await take()
        except Refusal as refusal:
            headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
            response = Response(status_body(refusal, media), refusal.status, headers, media_type=media)
        gateway.requests.labels(path, response.status_code).inc()
        return response

    async def otlp(request: Request) -> Response:
        path, media = request.url.path, _media(request)
        if media not in (JSON, PROTOBUF):
            take: Callable[[], Awaitable[Response]] = _refusing(Refusal(415, f"Content-Type must be {PROTOBUF} or {JSON}."))
            return await answered(request, path, JSON, take)
        return await answered(request, path, media, lambda: gateway.otlp(request, path, media))

    async def events(request: Request) -> Response:
        wrong = Refusal(415, f"Content-Type must be {_NDJSON[0]} or {JSON}.")
        take = (lambda: gateway.events(request)) if _media(request) in _NDJSON else _refusing(wrong)
        return await answered(request, "/v1/events", JSON, take)

    async def feedback(request: Request) -> Response:
        take = (lambda: gateway.feedback(request)) if _media(request) == JSON else _refusing(Refusal(415, f"Content-Type must be {JSON}."))
        return await answered(request, "/v1/feedback", JSON, take)

    async def metrics_of_otlp(request: Request) -> Response:
        why = "Metrics are not taken, only traces and logs. Set OTEL_METRICS_EXPORTER=none."
        return await answered(request, "/v1/metrics", _media(request), _refusing(Refusal(404, why)))

    for path in _OTLP:
        app.add_api_route(path, otlp, methods=["POST"])
    app.add_api_route("/v1/metrics", metrics_of_otlp, methods=["POST"])
    app.add_api_route("/v1/events", events, methods=["POST"])
    app.add_api_route("/v1/feedback", feedback, methods=["POST"])
    app.add_api_route("/thumbs.js", _thumbs)
    _health(app, gateway)


async def _thumbs() -> Response:
    """Thumbs for other people's web pages: a file without secrets, for everyone."""
    headers = {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(THUMBS, headers=headers, media_type="text/javascript")


def _health(app: FastAPI, gateway: Gateway) -> None:
    async def livez() -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz() -> Response:
        ready = gateway.keys_known
        return Response(orjson.dumps({"ready": ready, "held_bytes": gateway.budget.held}), 200 if ready else 503, media_type=JSON)

    async def metrics() -> Response:
        return Response(generate_latest(gateway.registry), media_type="text/plain")

    app.add_api_route("/livez", livez)
    app.add_api_route("/readyz", readyz)
    app.add_api_route("/metrics", metrics)


def _refusing(refusal: Refusal) -> Callable[[], Awaitable[Response]]:
    async def refuse() -> Response:
        raise refusal

    return refuse


def _media(request: Request) -> str:
    found: Any = request.headers.get("content-type", "")
    return str(found).partition(";")[0].strip().lower()
