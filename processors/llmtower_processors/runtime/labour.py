"""Running and inserting one range in threads, trying again for as long as it takes; the outcome of each step goes to the machine."""

import asyncio
import functools
import logging
import random
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.edges import Clock, EdgeError, Store
from llmtower_processors.runtime.envelopes import LEDGER
from llmtower_processors.runtime.metrics import Metrics
from llmtower_processors.runtime.model import Block, Processor
from llmtower_processors.runtime.pace import Pace
from llmtower_processors.runtime.pending import SETTLE_MS, Pending
from llmtower_processors.runtime.share import Share
from llmtower_processors.runtime.work import BlockError, blocks, look_up, missing

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

BACK_OFF_S = (0.1, 10.0)
"""Shortest and longest wait between two attempts."""
SETTLE_S = SETTLE_MS / 1000
"""How long a range that is completed by rows waits for inserts under its former token."""
_THREADS: Final = 4


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row, with some chance in it."""
    least, most = BACK_OFF_S
    return min(most, least * 2.0 ** min(failures, 10)) * random.uniform(0.7, 1.0)  # noqa: S311  (not a secret)


class Labour:
    """The threads of one processor: functions one at a time, inserts and look-ups beside them."""

    def __init__(self, processor: Processor, store: Store, metrics: Metrics, clock: Clock) -> None:
        self._processor = processor
        self.store = store
        self._metrics = metrics
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=processor.name)
        self._one_function = asyncio.Lock()
        self.pace = Pace(processor.range_s)

    async def thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(function, *args, **kwargs))

    def close(self) -> None:
        """Let the threads end; one that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def carry(self, share: Share, action: steps.Action) -> tuple[steps.Action, ...]:
        """Run and insert until the machine asks for something else, and return that."""
        actions: tuple[steps.Action, ...] = (action,)
        while actions and isinstance(actions[0], steps.Run | steps.Insert):
            doing = self._run(share, actions[0].pending) if isinstance(actions[0], steps.Run) else self._insert(share, actions[0])
            actions = share.ranges.step(await doing)
        return actions

    async def _run(self, share: Share, pending: Pending) -> steps.Event:
        if share.held is None:
            return steps.Refused("records of the range are not at hand")
        if pending.by_rows and not await self._settle(share, pending):
            return steps.RunFailed(self._clock.now_ms())
        try:
            share.blocks = await self._blocks(share, pending)
        except EdgeError as error:
            if not error.retriable:
                return steps.Refused(str(error))
            await self._failed(share, "look-up", error)
            return steps.RunFailed(self._clock.now_ms())
        except BlockError as error:
            return steps.Refused(str(error))
        except Exception as error:
            return steps.Refused(f"processor {self._processor.name} raised {_where(error)} on offsets {pending.first}-{pending.last}")
        share.failures = 0
        return steps.Ran(len(share.blocks))

    async def _settle(self, share: Share, pending: Pending) -> bool:
        """Wait until every insert under the former token has landed or is dead; False if the wall clock jumped meanwhile.

        The wait is by the clock that never jumps, from the first sight of the salt: the wall clock may have skipped it, or have made
        it hours long. A token that a jump has made stale is not waited for, it gets a new salt at once.
        """
        if share.settling is None or share.settling[0] != pending.salt:
            share.settling = (pending.salt, self._clock.monotonic() + SETTLE_S)
        while (wait_s := share.settling[1] - self._clock.monotonic()) > 0:
            if pending.stale(self._clock.now_ms()):
                return False
            await asyncio.sleep(min(wait_s, 1.0))
        return True

    async def _blocks(self, share: Share, pending: Pending) -> list[Block]:
        held = share.held
        if held is None or not held.records:
            return []
        known = await self.thread(look_up, self._processor, self.store, pending, held.records, held.envelopes)
        async with self._one_function:
            begun = time.perf_counter()
            made = await self.thread(blocks, self._processor, pending, held.records, held.envelopes, known)
            took_s = time.perf_counter() - begun
        self._metrics.run_seconds.labels(self._processor.name).observe(took_s)
        self.pace.ran(held.rows, took_s)
        return await self.thread(missing, self.store, pending, made, share.partition) if pending.by_rows else made

    async def _insert(self, share: Share, action: steps.Insert) -> steps.Event:
        block, pending = share.blocks[action.index], action.pending
        if pending.stale(self._clock.now_ms()):
            return steps.InsertUnknown(self._clock.now_ms())
        begun = time.perf_counter()
        try:
            await self.thread(self.store.insert, block, pending.token(self._processor.name, *share.partition))
        except EdgeError as error:
            if not error.retriable:
                return steps.Refused(str(error))
            await self._failed(share, "insert", error)
            return steps.InsertUnknown(self._clock.now_ms())
        except Exception as error:
            return steps.Refused(f"table {block.table}: insert raised {_where(error)}")
        share.failures = 0
        self._count(share, block, time.perf_counter() - begun)
        return steps.Inserted()

    async def _failed(self, share: Share, what: str, error: EdgeError) -> None:
        self._metrics.retries.labels(self._processor.name, what).inc()
        delay = back_off(share.failures)
        share.failures += 1
        level = logging.WARNING if share.failures in (1, 10) or share.failures % 100 == 0 else logging.DEBUG
        log.log(level, "%s %s[%d]: %s failed, trying again in %.1f s: %s", self._processor.name, *share.partition, what, delay, error)
        await asyncio.sleep(delay)

    def _count(self, share: Share, block: Block, seconds: float) -> None:
        name, metrics = self._processor.name, self._metrics
        metrics.insert_seconds.labels(name, block.table).observe(seconds)
        metrics.batch_rows.labels(name, block.table).observe(block.rows)
        metrics.rows.labels(name, block.table).inc(block.rows)
        if block.table == "dead_letters":
            metrics.dead_letters.labels(name).inc(block.rows)
        if block.table == LEDGER:
            metrics.duplicates.labels(name).inc(sum(block.columns["duplicate"]))
        ends = _ends_us(block)
        if ends is not None:
            metrics.end_to_end.observe(name, (self._clock.now_ms() * 1_000 - ends) / 1e6)


def _ends_us(block: Block) -> Any:
    """When the events of a block ended, in microseconds, if its columns tell."""
    started, duration = block.columns.get("started_at"), block.columns.get("duration_us")
    if started is None or duration is None:
        return None
    try:
        return np.asarray(started, dtype=np.int64) + np.asarray(duration, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return None


def _where(error: BaseException) -> str:
    """What was raised and where; never its message, which may quote a payload."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{type(error).__name__} at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}"
