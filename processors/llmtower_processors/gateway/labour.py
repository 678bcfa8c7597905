"""Edge: large bodies are converted in processes of their own, so that a second core is used and other senders get their turn.

A process is started when it is first needed. It ends with this one, however this one ends.
"""

import asyncio
import gc
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Final

from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.gateway.intake import Kind, Taken, Write, take
from llmtower_processors.gateway.packing import Line, Packed, Partitions, pack
from llmtower_processors.otel.nesting import NOTHING, Chain, Earlier, Part

RETRY_S: Final = 1
_MOST: Final = 4
_AHEAD: Final = 1
"""Bodies that wait on the other side, so that none idles while an answer is fetched and the next body brought: a quarter of its time."""
_GARBAGE: Final = 200_000
"""Objects made, more than were freed, before the youngest are looked through: spans are trees without cycles."""

Made = tuple[
    list[tuple[str, str, str, str, str, bytes, str]],
    list[tuple[str, int, int, bytes]],
    dict[str, int],
    dict[str, int],
    list[tuple[str, str, tuple[str, ...], Part, str]],
]
"""A `Taken` as plain values, which travel between processes in half the time."""

_write: list[Write] = []


def processes_of(cores: int) -> int:
    """Give how many processes convert, with so many cores: one each, as HTTP and Kafka need less than half of what converting does."""
    return min(_MOST, cores)


class Labour:
    """Processes that convert; `make_write` is called in each of them and must be known by its module and name."""

    def __init__(self, make_write: Callable[[], Write], processes: int) -> None:
        self._make_write, self._processes = make_write, processes
        self._turns = asyncio.Semaphore(processes + _AHEAD)
        self._pool: ProcessPoolExecutor | None = None

    async def take(
        self, kind: Kind, body: bytes, *, is_json: bool, project: str, now_ns: int, partitions: Partitions, earlier: Earlier = NOTHING
    ) -> Taken:
        """Convert a body, and pack what comes of it. Raises UnreadableError, and Refusal 503 when the process at work was killed."""
        work = partial(_take, kind, body, is_json=is_json, project=project, now_ns=now_ns, earlier=earlier)
        async with self._turns:
            pool = self._open()
            try:
                made = await asyncio.get_running_loop().run_in_executor(pool, work, partitions)
            except BrokenProcessPool as error:
                if self._pool is pool:
                    self._pool = None
                    pool.shutdown(wait=False)
                raise Refusal(503, "The process that converts was killed. Send this again.", RETRY_S) from error
        lines, packed, rejected, left_out, chains = made
        taken = Taken(list(map(Line._make, lines)), list(map(Packed._make, packed)))
        taken.rejected.update(rejected)
        taken.left_out.update(left_out)
        taken.chains += map(Chain._make, chains)
        return taken

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, spawn, _begin, (self._make_write,))
        return self._pool

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _begin(make_write: Callable[[], Write]) -> None:
    """Ready a process; Ctrl-C is for the one that serves, and when that one is gone, however, this one goes too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _write[:] = [make_write()]
    gc.freeze()
    gc.set_threshold(_GARBAGE)


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(0)


def _take(kind: Kind, body: bytes, partitions: Partitions, *, is_json: bool, project: str, now_ns: int, earlier: Earlier) -> Made:
    taken = take(kind, body, is_json=is_json, project=project, now_ns=now_ns, write=_write[0], earlier=earlier)
    packed, lines = (pack(taken.lines, partitions), []) if partitions else ([], taken.lines)
    chains = [(*chain,) for chain in taken.chains]
    return [(*line,) for line in lines], [(*batch,) for batch in packed], dict(taken.rejected), dict(taken.left_out), chains
