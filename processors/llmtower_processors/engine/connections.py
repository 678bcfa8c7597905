"""The engine's connections: one per thread, because a single chdb session runs one query at a time."""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from llmtower_processors.engine.errors import TOO_MANY_QUERIES, EngineError, from_engine
from llmtower_processors.engine.settings import GIB, quote_identifier, set_statement

T = TypeVar("T")

MAX_ENGINE_MEMORY: Final = min(8 * GIB, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 6 // 10)
"""All queries together; above it the engine refuses queries instead of being killed by the system with Kafka beside it."""

MARK_CACHE: Final = GIB // 4
"""The engine would take up to 5 GiB; the marks of a year of calls are far below this."""

LOOK_MS: Final = 500
"""How often the engine looks at its own memory; every 50 ms, its default, is an eighth of what it costs idle."""

LANES: Final = {"insert": 8, "write": 8, "read": 16}
"""Threads per lane, started on demand: slow SELECTs fill their own lane only and never stand before an insert."""

MAX_WAITING: Final = 256
"""Requests queued in one lane before further ones are refused as a server refuses them."""


_CANCEL_READS: Final = "KILL QUERY WHERE match(query, '(?i)^[[:space:](]*(SELECT|WITH|FROM)[[:space:](]') ASYNC"


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of one query: the bytes in its format and the counts for the summary header."""

    data: bytes
    rows: int
    rows_read: int
    bytes_read: int
    rows_written: int
    bytes_written: int
    elapsed_ns: int


class Session:
    """A chdb connection of one thread, reopened (0.3 ms) when a request needs other settings: nothing leaks between requests."""

    def __init__(self, connect: Callable[[], Any], *, read_only: bool) -> None:
        self._connect = connect
        self._read_only = read_only
        self._connection: Any = None
        self._state: tuple[str, dict[str, str]] | None = None

    def prepare(self, database: str, settings: Mapping[str, str]) -> None:
        """Make the connection one with exactly this database and these settings."""
        wanted = (database, dict(settings))
        if self._state == wanted:
            return
        self.reset()
        self._connection = self._connect()
        self.run(set_statement(settings, read_only=self._read_only))
        if database != "default":
            self.run(f"USE {quote_identifier(database)}")
        self._state = wanted

    def run(self, sql: str, output_format: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> Answer:
        """Run one statement; raises EngineError."""
        try:
            result = self._connection.query(sql, output_format, params=dict(parameters or {}))
        except Exception as error:
            raise from_engine(error) from None
        return Answer(
            data=bytes(result.bytes()),
            rows=int(result.rows_read()),
            rows_read=int(result.storage_rows_read()),
            bytes_read=int(result.storage_bytes_read()),
            rows_written=int(result.rows_written()),
            bytes_written=int(result.bytes_written()),
            elapsed_ns=int(result.elapsed() * 1e9),
        )

    def reset(self) -> None:
        """Close the connection; the next request opens a fresh one."""
        self._state = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Lane:
    """A pool of threads, each with its own session."""

    def __init__(self, name: str, threads: int, connect: Callable[[], Any], *, read_only: bool) -> None:
        self._connect = connect
        self._read_only = read_only
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"engine-{name}")
        self.waiting = 0

    def session(self) -> Session:
        """The session of the calling thread."""
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session(self._connect, read_only=self._read_only)
            self._sessions.append(session)
        return session

    def submit(self, task: Callable[[Session], T]) -> Any:
        """Run `task` on a thread of this lane; gives a concurrent future. Raises EngineError when too many wait."""
        if self.waiting >= self._threads + MAX_WAITING:
            raise EngineError(TOO_MANY_QUERIES, f"Too many simultaneous queries: {MAX_WAITING} wait already. Try again later.")
        self.waiting += 1
        return self._executor.submit(lambda: task(self.session()))

    def close(self) -> None:
        """Let running queries finish, then close every connection."""
        self._executor.shutdown(wait=True)
        for session in self._sessions:
            session.reset()


class Engine:
    """The one chdb engine of this process and its lanes."""

    def __init__(self, data: Path) -> None:
        import chdb

        options = f"max_server_memory_usage={MAX_ENGINE_MEMORY}&mark_cache_size={MARK_CACHE}&memory_worker_period_ms={LOOK_MS}"
        address = f"{data}?{options}"

        def connect() -> Any:
            return chdb.connect(address)  # type: ignore[no-untyped-call, unused-ignore]  # chdb is annotated in part

        # Closing the last connection would close the engine: this one stays open until the end.
        self._anchor = connect()
        self.version = str(self._anchor.query("SELECT version()", "TabSeparatedRaw")).strip()
        self.timezone = str(self._anchor.query("SELECT timezone()", "TabSeparatedRaw")).strip()
        self.lanes = {name: Lane(name, threads, connect, read_only=name == "read") for name, threads in LANES.items()}

    def cancel_reads(self) -> None:
        """End running SELECTs, so that a shutdown waits for inserts only."""
        self._anchor.query(_CANCEL_READS, "Null")

    def hold_merges(self, held: bool) -> None:
        """Stop merges, those under way too; or let them go on."""
        self._anchor.query("SYSTEM STOP MERGES" if held else "SYSTEM START MERGES", "Null")

    def close(self) -> None:
        """Finish what runs, close all connections, then the engine."""
        for lane in self.lanes.values():
            lane.close()
        self._anchor.close()
