"""ClickHouse's HTTP interface over the engine: one request in, one answer out, no sockets here."""

import asyncio
import itertools
import json
import logging
import re
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from llmtower_processors.engine import compression, credentials, form
from llmtower_processors.engine.connections import Answer, Engine, Session
from llmtower_processors.engine.credentials import Credentials, Role
from llmtower_processors.engine.errors import (
    ACCESS_DENIED,
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    POCO_EXCEPTION,
    READONLY,
    UNKNOWN_FORMAT,
    EngineError,
)
from llmtower_processors.engine.guard import Guard
from llmtower_processors.engine.inbox import Inbox
from llmtower_processors.engine.settings import for_request, quote
from llmtower_processors.engine.statement import Insert, Statement, parse

T = TypeVar("T")

log = logging.getLogger("llmtower.engine")

MAX_BODY: Final = 256 * 2**20
"""Bytes of one request's body, also after decompression: twelve times a block of 20,000 calls with their texts."""

MIN_REVISION: Final = 54454
"""From here on a client wants Native re-framed; clickhouse-connect (54405) probes and copes with revision 0."""

_CONTENT_TYPES: Final = {
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
}
_BINARY: Final = re.compile(r"Native|RowBinary|Arrow|Parquet|ORC|Avro|MsgPack|Protobuf|Npy|RawBLOB|CapnProto|BSON", re.IGNORECASE)
_READING_VERBS: Final = frozenset(
    {"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "SET", "USE", "CHECK", "KILL"}
)
_PYTHON_FORMATS: Final = frozenset({"arrowtable", "dataframe", "datastore"})


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `headers` must find names in any case, `loopback` tells whether it may go without credentials."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    loopback: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Face:
    """Answers requests; needs a running event loop, queries run on the engine's lanes."""

    def __init__(self, engine: Engine, people: Credentials, inbox: Inbox, *, database: str, restricted: frozenset[str]) -> None:
        self._engine = engine
        self._people = people
        self._inbox = inbox
        self._guards = {
            Role.DASHBOARDS: Guard(database=database, restricted=restricted),
            Role.CONTENT: Guard(database=database, restricted=frozenset()),
        }
        self._token_locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self._schema_versions = itertools.count(1)
        self._schema_version = 0

    async def answer(self, request: Request) -> Reply:
        """Answer one request; every EngineError becomes ClickHouse's exception text with its code in a header."""
        query_id = request.params.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Server-Display-Name": "llmtower",
            "X-ClickHouse-Query-Id": query_id if query_id.isprintable() else str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self._engine.timezone,
        }
        try:
            return await self._answer(request, headers)
        except EngineError as error:
            seen = error
        except Exception as error:
            # Its text may quote rows or SQL: the log gets the type and the place, the client a sentence.
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("Unexpected %s at %s:%s", type(error).__name__, Path(place.filename).name, place.lineno)
            seen = EngineError(POCO_EXCEPTION, "The engine's HTTP face failed unexpectedly: its log names the place.")
        headers |= {"X-ClickHouse-Exception-Code": str(seen.code), "Content-Type": "text/plain; charset=UTF-8"}
        return Reply(seen.status, seen.body(self._engine.version).encode(), headers)

    async def _answer(self, request: Request, headers: dict[str, str]) -> Reply:
        if request.method not in ("GET", "POST", "HEAD"):
            raise EngineError(NOT_IMPLEMENTED, "Only GET, HEAD and POST are supported.")
        if request.path in ("/ping", "/replicas_status"):
            return Reply(200, b"Ok.\n", headers)
        if request.path != "/":
            return Reply(404, b"There is nothing here: use / with a query, or /ping.\n", headers)
        role = self._people.authenticate(*credentials.from_request(request.headers, request.params), loopback=request.loopback)
        request = _opened(request)
        text = _text(request)
        if not text.strip() and request.method in ("GET", "HEAD"):
            return Reply(200, b"Ok.\n", headers)
        settings = for_request(role, request.params)
        parsed = parse(text)
        if isinstance(parsed, Insert):
            answer, fmt = await self._insert(request, role, settings, parsed, text), "Null"
        else:
            fmt = _format(request, parsed)
            answer = await self._query(request, role, settings, parsed, fmt)
        return self._reply(request, answer, fmt, headers)

    async def _insert(self, request: Request, role: Role, settings: dict[str, str], insert: Insert, text: bytes) -> Answer:
        if role is not Role.WRITER:
            raise EngineError(ACCESS_DENIED, "Not enough privileges: only the writer may insert.")
        if request.method != "POST":
            raise EngineError(READONLY, "Cannot execute query in readonly mode: send an INSERT with POST.")

        def run(session: Session) -> Answer:
            session.prepare(_database(request), settings)
            with self._inbox.file(memoryview(text)[insert.data_start :]) as path:
                sql = f"{insert.head} FROM INFILE {quote(str(path))} COMPRESSION 'none' {insert.settings} FORMAT {insert.format}"
                try:
                    return session.run(sql, parameters=_parameters(request))
                except EngineError as error:
                    raise EngineError(error.code, error.message.replace(str(path), "the body"), name=error.name) from None

        async with self._only(insert.token or settings.get("insert_deduplication_token")):
            return await self._on_lane("insert", run)

    async def _query(self, request: Request, role: Role, settings: dict[str, str], statement: Statement, fmt: str) -> Answer:
        guard = self._guards.get(role)
        changes = statement.verb not in _READING_VERBS
        lane = "read" if guard is not None or request.method != "POST" else "write"

        if statement.verb == "INSERT":
            self._inbox.require_room()

        def run(session: Session) -> Answer:
            session.prepare(_database(request), settings)
            parameters = _parameters(request)
            sql = statement.text
            if guard is not None:
                version = self._schema_version
                sql = guard.check(session, sql, parameters=parameters, current=_database(request), version=version)
            try:
                return session.run(sql, fmt, parameters)
            finally:
                if statement.changes_session:
                    session.reset()
                if changes:
                    self._schema_version = next(self._schema_versions)

        async with self._only(statement.token or settings.get("insert_deduplication_token") if changes else None):
            return await self._on_lane(lane, run)

    @asynccontextmanager
    async def _only(self, token: str | None) -> AsyncIterator[None]:
        """Never two inserts of one token at a time (DESIGN section 4, rule 6): the second waits, and is then dropped as a duplicate."""
        if not token:
            yield
            return
        lock, users = self._token_locks.get(token, (asyncio.Lock(), 0))
        self._token_locks[token] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._token_locks.pop(token)
            if users > 1:
                self._token_locks[token] = (lock, users - 1)

    async def _on_lane(self, name: str, task: Callable[[Session], T]) -> T:
        lane = self._engine.lanes[name]
        future = lane.submit(task)
        try:
            # Shielded: a client that hangs up must not free the lock of an insert that still runs.
            result: T = await asyncio.shield(asyncio.wrap_future(future))
            return result
        finally:
            lane.waiting -= 1

    def _reply(self, request: Request, answer: Answer, fmt: str, headers: dict[str, str]) -> Reply:
        headers["X-ClickHouse-Summary"] = _summary(answer)
        headers["X-ClickHouse-Format"] = fmt
        headers["Content-Type"] = _content_type(fmt)
        body = answer.data
        if fmt == "Native" and _revision(request) >= MIN_REVISION:
            # Imported when the first such client comes: clickhouse-connect takes a second of the start.
            from llmtower_processors.engine.native import reframe

            body = reframe(body)
        if request.params.get("compress") == "1":
            body = compression.to_blocks(body, request.params.get("network_compression_method", "LZ4").upper())
        elif len(body) >= compression.MIN_SIZE and request.params.get("enable_http_compression") != "0":
            encoding = compression.accepted(request.headers.get("Accept-Encoding", ""))
            if encoding is not None:
                body = compression.ENCODERS[encoding](body)
                headers["Content-Encoding"] = encoding
        return Reply(200, body, headers)


def _opened(request: Request) -> Request:
    """Take the body out of its compressions, and the values of a form to the parameters."""
    body = compression.decode(request.body, request.headers.get("Content-Encoding", ""), limit=MAX_BODY)
    if request.params.get("decompress") == "1":
        body = compression.from_blocks(body, limit=MAX_BODY)
    kind = request.headers.get("Content-Type", "")
    if form.is_form(kind):
        return replace(request, params={**request.params, **form.read(kind, body)}, body=b"")
    return replace(request, body=body)


def _text(request: Request) -> bytes:
    query = request.params.get("query", "").encode()
    return query + b"\n" + request.body if query and request.body else query or request.body


def _database(request: Request) -> str:
    return request.params.get("database") or request.headers.get("X-ClickHouse-Database") or "default"


def _parameters(request: Request) -> dict[str, str]:
    return {name[6:]: value for name, value in request.params.items() if name.startswith("param_")}


def _format(request: Request, statement: Statement) -> str:
    fmt = statement.format or request.params.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
    if not fmt.isidentifier() or fmt.lower() in _PYTHON_FORMATS:
        raise EngineError(UNKNOWN_FORMAT, "Unknown format.")
    return fmt


def _revision(request: Request) -> int:
    try:
        return int(request.params.get("client_protocol_version", "0"))
    except ValueError:
        raise EngineError(BAD_ARGUMENTS, "client_protocol_version must be a number.") from None


def _content_type(fmt: str) -> str:
    return _CONTENT_TYPES.get(fmt) or ("application/octet-stream" if _BINARY.match(fmt) else "text/plain; charset=UTF-8")


def _summary(answer: Answer) -> str:
    counts = {
        "read_rows": answer.rows_read,
        "read_bytes": answer.bytes_read,
        "written_rows": answer.rows_written,
        "written_bytes": answer.bytes_written,
        "total_rows_to_read": answer.rows_read,
        "result_rows": answer.rows,
        "result_bytes": len(answer.data),
        "elapsed_ns": answer.elapsed_ns,
    }
    return json.dumps({name: str(value) for name, value in counts.items()}, separators=(",", ":"))
