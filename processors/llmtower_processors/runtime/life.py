"""The life of one consumer: one poll task that never stops, one commit for all partitions of a cycle, ranges carried out beside it."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.buffer import Held, Limits
from llmtower_processors.runtime.cycle import Cycle
from llmtower_processors.runtime.edges import (
    Clock,
    EdgeError,
    Fence,
    Log,
    LogEndedError,
    PositionLostError,
    TopicPartition,
)
from llmtower_processors.runtime.labour import Labour, back_off
from llmtower_processors.runtime.metrics import Metrics
from llmtower_processors.runtime.model import Processor, Record, Situation
from llmtower_processors.runtime.ranges import Phase
from llmtower_processors.runtime.share import Membership, Share

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
PACE_S = 0.05
"""Pause after a poll that brought something, so that a trickle does not cost a request per record."""
AGAIN_S = 1.0
"""Pause before a doubtful state is read again."""
GRACE_S: Final = 5.0
"""How long a range under way may take to finish when its partition is taken away or the process stops."""


class Life:
    """One consumer from its start to its end, and the membership that it has at present."""

    def __init__(
        self, processor: Processor, log_edge: Log, labour: Labour, *, metrics: Metrics, limits: Limits, clock: Clock, resume: bool
    ) -> None:
        self.processor = processor
        self.membership: Membership | None = None
        self.failures = 0
        self._log = log_edge
        self._labour = labour
        self._metrics = metrics
        self._limits = limits
        self._clock = clock
        self._resume = resume
        self._read_wanted = asyncio.Event()
        self._cycle = Cycle(self, log_edge, metrics=metrics, clock=clock)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Join the group, however long it takes, and work in tasks of the group."""
        self._tasks = tasks
        while True:
            try:
                await self._log.start(self._on_assigned, self._on_revoked)
            except EdgeError as error:
                await self.failed("start", error)
            else:
                self.failures = 0
                break
        work: tuple[Coroutine[Any, Any, None], ...] = (self._poll(), self._cycle.run(), self._reader())
        for task in work:
            tasks.create_task(task)

    async def close(self) -> None:
        """Finish what is under way and acknowledge it."""
        if self.membership is not None:
            await self._close(self.membership)

    async def end(self) -> None:
        """Leave the group."""
        self._end()
        await self._log.stop()

    def resume(self) -> None:
        """Let halted partitions go on."""
        for share in self.membership.shares.values() if self.membership else ():
            self.do(share, share.ranges.step(steps.Resumed()))

    def lag(self, share: Share) -> int:
        """Events of a partition that are not stored yet."""
        return share.lag(self._log.end(share.partition), self._cycle.seen)

    @property
    def limits(self) -> Limits:
        """When a range is cut at present."""
        return self._labour.pace.within(self._limits)

    def parameter(self, share: Share, held: Held) -> str:
        """Ask the processor what it fixes for a range that is about to be announced."""
        ask = self.processor.parameter
        if ask is None or not held.records:
            return ""
        behind_ms = max(0, self._clock.now_ms() - held.records[0].timestamp_ms)
        return ask(Situation(behind_ms, self.lag(share)))

    async def failed(self, what: str, error: Exception) -> None:
        """Count a failure that passes, say so now and then, and wait."""
        self._metrics.retries.labels(self.processor.name, what).inc()
        delay = back_off(self.failures)
        self.failures += 1
        level = logging.WARNING if self.failures in (1, 10) or self.failures % 100 == 0 else logging.DEBUG
        log.log(level, "%s: %s failed, trying again in %.1f s: %s", self.processor.name, what, delay, error)
        await asyncio.sleep(delay)

    # --- the membership

    def _on_assigned(self, fence: Fence, partitions: Iterable[TopicPartition]) -> None:
        self._end()
        self.membership = Membership(fence, {p: Share(p) for p in sorted(partitions)})
        log.info("%s: %d partitions in generation %d", self.processor.name, len(self.membership.shares), fence.generation)
        for share in self.membership.shares.values():
            self.do(share, share.ranges.step(steps.Assigned()))

    async def _on_revoked(self) -> None:
        if self.membership is not None:
            await self._close(self.membership)
        self._end()

    def _end(self) -> None:
        m, self.membership = self.membership, None
        for share in m.shares.values() if m else ():
            share.ranges.step(steps.Revoked())

    async def _close(self, m: Membership) -> None:
        """Let ranges under way finish, then acknowledge what is stored; whatever does not make it is replayed by the next owner."""
        m.closing = True
        working = [share.task for share in m.shares.values() if share.task and not share.task.done()]
        if working:
            await asyncio.wait(working, timeout=GRACE_S)
        with contextlib.suppress(EdgeError, TimeoutError):
            async with asyncio.timeout(GRACE_S), self._cycle.lock:
                for share in m.shares.values():
                    share.commit = None
                    if share.take is not None and share.ranges.pending.empty and not share.ranges.acknowledged:
                        share.take = None
                        self.do(share, share.ranges.step(steps.Idle(self._clock.now_ms())))
                last = {share.partition: share.commit for share in m.shares.values() if share.commit is not None}
                if last and not m.left:
                    await self._log.commit(m.fence, last)

    def do(self, share: Share, actions: Sequence[steps.Action]) -> None:
        """Begin what the machine asks for."""
        for action in actions:
            match action:
                case steps.ReadState():
                    share.buffer.open(None)
                    share.take, share.commit, share.held = None, None, None
                    share.reading = True
                    self._log.pause(share.partition)
                    self._read_wanted.set()
                case steps.Take():
                    self._ask(share, action)
                case steps.Commit():
                    share.commit = action.pending
                    self._cycle.wake.set()
                case steps.Run() | steps.Insert():
                    share.task = self._tasks.create_task(self._work(share, action))
                case steps.Leave():
                    self._leave()
                case steps.Halt():
                    self._halt(share, action)

    def _ask(self, share: Share, take: steps.Take) -> None:
        if share.ask(take, self._clock.monotonic()):
            self._log.seek(share.partition, take.first)
        if share.paused or share.buffer.cursor == take.first:
            self.relieve(share)
        self._cycle.wake.set()

    async def _work(self, share: Share, action: steps.Action) -> None:
        self.do(share, await self._labour.carry(share, action))

    def _leave(self) -> None:
        m = self.membership
        if m is not None and not m.left:
            m.left = True
            self._tasks.create_task(self._log.leave())

    def _halt(self, share: Share, halt: steps.Halt) -> None:
        share.buffer.open(None)
        self._log.pause(share.partition)
        remedy = "look at it, then `llmtower worker --resume`" if halt.resumable else "restore the log, or re-create the topic"
        log.error("%s %s[%d] is paused: %s; %s", self.processor.name, *share.partition, halt.reason, remedy)
        if self._resume and halt.resumable:
            self._resume = False
            self.do(share, share.ranges.step(steps.Resumed()))

    # --- reading the state

    async def _reader(self) -> None:
        while True:
            await self._read_wanted.wait()
            self._read_wanted.clear()
            shares = [s for s in self.membership.shares.values() if s.reading] if self.membership else []
            if not shares:
                continue
            try:
                await self._read(shares)
            except EdgeError as error:
                for share in shares:
                    self.do(share, share.ranges.step(steps.ReadFailed()))
                await self.failed("state", error)
            else:
                self.failures = 0
                if any(share.reading for share in shares):
                    await asyncio.sleep(AGAIN_S)

    async def _read(self, shares: Sequence[Share]) -> None:
        states = await self._log.states([share.partition for share in shares])
        name, tables = self.processor.name, self.processor.tables
        incarnations = {partition: state.incarnation for partition, state in states.items()}
        floors = await self._labour.thread(self._labour.store.floors, name, incarnations)
        after = {partition: (incarnation, floors[partition]) for partition, incarnation in incarnations.items()}
        highest = await self._labour.thread(self._labour.store.highest, name, tables, after)
        for share in shares:
            share.reading = False
            p = share.partition
            self.do(share, share.ranges.step(steps.StateRead(states[p], floors[p], highest[p], self._clock.now_ms())))

    # --- polling

    async def _poll(self) -> None:
        """Never stops while the process lives: a member that does not poll is put out of the group."""
        while True:
            try:
                fetched = await self._log.poll(POLL_S)
            except PositionLostError as error:
                for partition in error.partitions:
                    self._moved(partition)
                await asyncio.sleep(PACE_S)
            except LogEndedError:
                raise
            except EdgeError as error:
                await self.failed("poll", error)
            else:
                self._accept(fetched)
                if fetched:
                    await asyncio.sleep(PACE_S)

    def _accept(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> None:
        m, now = self.membership, self._clock.monotonic()
        for partition, records in fetched.items():
            share = m.shares.get(partition) if m else None
            if share is None:
                continue
            first = not share.buffer.records
            waited_s = (self._clock.now_ms() - records[0].timestamp_ms) / 1000
            share.buffer.add(records, now, min(max(waited_s, 0.0), self._limits.flush_s / 2))
            if first or share.due(self.limits, now, self._log.position(partition)):
                self._cycle.wake.set()
            if share.buffer.rows >= self._limits.full_rows or share.buffer.bytes >= self._limits.full_bytes:
                share.paused = True
                self._log.pause(partition)

    def _moved(self, partition: TopicPartition) -> None:
        m = self.membership
        share = m.shares.get(partition) if m else None
        if share is not None and share.take is not None:
            share.take = None
            self.do(share, share.ranges.step(steps.Moved()))

    def relieve(self, share: Share) -> None:
        """Fetch again once there is room."""
        if share.buffer.rows < self._limits.full_rows and share.buffer.bytes < self._limits.full_bytes:
            share.paused = False
            self._log.resume(share.partition)

    def measure(self) -> None:
        """Bring the gauges up to date."""
        shares = self.membership.shares.values() if self.membership else ()
        name = self.processor.name
        for share in shares:
            self._metrics.lag_events.labels(name, share.partition.topic, str(share.partition.partition)).set(self.lag(share))
        self._metrics.paused_partitions.labels(name).set(sum(share.ranges.phase is Phase.HALTED for share in shares))
