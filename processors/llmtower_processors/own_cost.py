"""What Llmtower itself takes: processor time and memory of every worker process, and of ClickHouse as that counts itself."""

import asyncio
import logging
import os
import resource
import socket
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmtower_processors.alerts.tables import QuestionRefusedError, Tables
from llmtower_processors.errors import Unreachable
from llmtower_processors.roles import PIPELINE, SCORING
from llmtower_processors.runtime.edges import Clock
from llmtower_processors.runtime.model import Block
from llmtower_schemas.queries import Query

log = logging.getLogger(__name__)

PERIOD_S: Final = 30.0
_ENGINE: Final = Query(
    """
SELECT sumIf(value, event = 'OSCPUVirtualTimeMicroseconds') / 1e6, sumIf(value, event = 'FailedQuery'),
    (SELECT max(value) FROM system.metrics WHERE metric = 'MemoryTracking')
FROM system.events
""",
    {},
)


@dataclass(frozen=True, slots=True)
class Count:
    """What has been counted up to a moment, since the process began; `at_s` by a clock that only grows."""

    at_s: float
    cpu_s: float
    memory_bytes: int
    failed_queries: int = 0


def taken(before: Count | None, now: Count) -> Count | None:
    """Give what lies between two counts; None where nothing can be said: a first count, or one that began anew."""
    if before is None or now.cpu_s < before.cpu_s or now.at_s <= before.at_s:
        return None
    return Count(now.at_s - before.at_s, now.cpu_s - before.cpu_s, now.memory_bytes, max(0, now.failed_queries - before.failed_queries))


def own_count(clock: Clock) -> Count:
    """Count this process, its ended children included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Count(clock.monotonic(), sum(one.ru_utime + one.ru_stime for one in used), _resident_bytes(used[0].ru_maxrss))


def engine_count(tables: Tables, clock: Clock) -> Count:
    """Ask ClickHouse. Raises Unreachable, QuestionRefusedError."""
    _, ((cpu_s, failed, memory),) = tables.ask(_ENGINE)
    return Count(clock.monotonic(), float(cpu_s), max(0, int(memory)), int(failed))


def name_of(processors: AbstractSet[str]) -> str:
    """Name a worker process by what it does."""
    if processors & set(PIPELINE):
        return "worker" if processors & set(SCORING) else "pipeline"
    return "scoring"


class CostBook:
    """Keeps the last count of one process and writes what it took since; nothing is left out when ClickHouse is away for a while."""

    def __init__(self, tables: Tables, process: str, clock: Clock, *, instance: str = "") -> None:
        self._tables, self._process, self._clock = tables, process, clock
        self._instance = instance or f"{socket.gethostname()}:{os.getpid()}"
        self._before: Count | None = None
        self._unsure: tuple[Block, str] | None = None
        self._refused = False

    def write(self, now: Count) -> None:
        """Write a row, if there is something to say. Blocks. Raises Unreachable.

        A row of which nobody knows whether it was stored goes first, once more under its token: the next row begins where it ends.
        """
        self._settle()
        used = taken(self._before, now)
        if used is not None:
            at_ms = self._clock.now_ms()
            row = {
                "at": at_ms,
                "process": self._process,
                "instance": self._instance,
                "seconds": used.at_s,
                "cpu_s": used.cpu_s,
                "memory_bytes": used.memory_bytes,
                "failed_queries": used.failed_queries,
            }
            block = Block("own_cost", {name: [value] for name, value in row.items()})
            self._unsure = block, f"own_cost:{self._process}:{self._instance}:{at_ms}"
        self._before = now
        self._settle()

    def forget(self) -> None:
        """Another counts from now on."""
        self._before = None

    def refused(self, error: QuestionRefusedError) -> None:
        """Say once that this cannot be counted."""
        if not self._refused:
            log.warning("own cost: what %s takes is not known. %s", self._process, error)
        self._refused = True

    def _settle(self) -> None:
        if self._unsure:
            self._tables.insert(*self._unsure)
            self._unsure = None


async def keep_own_cost(tables: Tables, process: str, clock: Clock, period_s: float = PERIOD_S) -> None:
    """Write what this process takes until cancelled."""
    book = CostBook(tables, process, clock)
    while True:
        await write_cost(book, lambda: own_count(clock))
        await asyncio.sleep(period_s)


async def write_cost(book: CostBook, count: Callable[[], Count]) -> None:
    """Count and write once; what cannot be written now is written later."""
    try:
        await asyncio.to_thread(lambda: book.write(count()))
    except QuestionRefusedError as error:
        book.refused(error)
    except Unreachable as error:
        log.debug("own cost: %s", error)


def _resident_bytes(peak: int) -> int:
    """Give what is held now; where /proc is not there, the most that ever was (bytes on macOS, KiB elsewhere)."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak if sys.platform == "darwin" else peak * 1024
