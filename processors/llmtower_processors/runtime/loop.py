"""The loop of one processor: one poll task that never stops, one commit for all partitions of a cycle, ranges carried out beside it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.buffer import Limits
from llmtower_processors.runtime.edges import (
    Clock,
    CommitNotSentError,
    CommitRefusedError,
    CommitUnknownError,
    EdgeError,
    Fence,
    Log,
    LogEndedError,
    PositionLostError,
    Store,
    SystemClock,
    TopicPartition,
)
from llmtower_processors.runtime.envelopes import LEDGER
from llmtower_processors.runtime.labour import Labour, back_off
from llmtower_processors.runtime.metrics import Metrics
from llmtower_processors.runtime.model import Processor, Record
from llmtower_processors.runtime.pending import Pending
from llmtower_processors.runtime.ranges import Phase
from llmtower_processors.runtime.share import Membership, Share

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
PACE_S = 0.05
"""Pause after a poll that brought something, so that a trickle does not cost a request per record."""
CHECK_S = 1.0
"""How often the topics' incarnations are read when nothing happens; before each commit they are read anyway."""
GRACE_S: Final = 5.0
"""How long a range under way may take to finish when its partition is taken away or the process stops."""


class _Stopped(Exception):  # noqa: N818  (a signal, not an error)
    """Ends the task group after a graceful stop."""


class ProcessorLoop:
    """Reads a processor's topics as one member of its group and stores what its function makes of them, exactly once.

    `run()` returns after `stop()`; it raises StoreUnfitError when ClickHouse cannot give exactly-once. Everything that passes is
    waited for. `ready`, `lag` and `watermark` may be read at any time from the loop's own thread.
    """

    def __init__(
        self,
        processor: Processor,
        *,
        log_factory: Callable[[], Log],
        store_factory: Callable[[], Store],
        metrics: Metrics | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        resume: bool = False,
    ) -> None:
        self.processor = processor
        self._log_factory = log_factory
        self._store_factory = store_factory
        self._metrics = metrics or Metrics(CollectorRegistry())
        self._limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._resume = resume
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._read_wanted = asyncio.Event()
        self._turn_lock = asyncio.Lock()
        self._membership: Membership | None = None
        self._failures = 0
        self._checked = 0.0
        self._seen = (0, 0)

    # --- what others may ask

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned, their state is read and nothing fails."""
        m = self._membership
        return m is not None and self._failures == 0 and not m.closing and all(share.settled for share in m.shares.values())

    @property
    def lag(self) -> dict[TopicPartition, int]:
        """Events per partition that are in Kafka and not stored; records not fetched yet count as the average of those read."""
        m = self._membership
        return {} if m is None else {p: self._lag(share) for p, share in m.shares.items()}

    @property
    def watermark(self) -> dict[TopicPartition, int | None]:
        """Time (ms) of each partition's oldest record that is not stored; None when everything is."""
        m = self._membership
        return {} if m is None else {p: self._oldest(share) for p, share in m.shares.items()}

    @property
    def halted(self) -> dict[TopicPartition, str]:
        """Partitions that wait for a person, and why."""
        m = self._membership
        return {} if m is None else {p: s.ranges.reason for p, s in m.shares.items() if s.ranges.phase is Phase.HALTED}

    def resume(self) -> None:
        """Let halted partitions go on."""
        if self._membership is not None:
            for share in self._membership.shares.values():
                self._do(share, share.ranges.step(steps.Resumed()))

    def stop(self) -> None:
        """Ask `run` to finish what is under way and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop()`."""
        store = await asyncio.to_thread(self._store_factory)
        self._store = store
        self._labour = Labour(self.processor, store, self._metrics, self._clock)
        self._metrics.paused_partitions.labels(self.processor.name).set(0)
        try:
            while not self._stopping.is_set():
                await self._live()
        finally:
            self._labour.close()
            store.close()

    async def _live(self) -> None:
        """Live through one consumer: it is replaced when it breaks."""
        self._log = self._log_factory()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._stopper())
                await self._begin()
                for task in (self._poll(), self._cycle(), self._reader()):
                    tasks.create_task(task)
        except* _Stopped:
            pass
        except* LogEndedError as errors:
            log.warning("%s: the consumer broke and is replaced: %s", self.processor.name, errors.exceptions[0])
        finally:
            self._end()
            await self._log.stop()

    async def _begin(self) -> None:
        """Check the store, then join the group, however long either takes."""
        checked = False
        while True:
            try:
                if not checked:
                    await self._labour.thread(self._store.check, (*self.processor.tables, LEDGER))
                    checked = True
                await self._log.start(self._on_assigned, self._on_revoked)
            except EdgeError as error:
                if not error.retriable:
                    raise
                await self._failed("start", error)
            else:
                self._failures = 0
                return

    async def _stopper(self) -> None:
        await self._stopping.wait()
        if self._membership is not None:
            await self._close(self._membership)
        raise _Stopped

    async def _failed(self, what: str, error: Exception) -> None:
        self._metrics.retries.labels(self.processor.name, what).inc()
        delay = back_off(self._failures)
        self._failures += 1
        level = logging.WARNING if self._failures in (1, 10) or self._failures % 100 == 0 else logging.DEBUG
        log.log(level, "%s: %s failed, trying again in %.1f s: %s", self.processor.name, what, delay, error)
        await asyncio.sleep(delay)

    # --- the membership

    def _on_assigned(self, fence: Fence, partitions: Iterable[TopicPartition]) -> None:
        self._end()
        self._membership = Membership(fence, {p: Share(p) for p in sorted(partitions)})
        log.info("%s: %d partitions in generation %d", self.processor.name, len(self._membership.shares), fence.generation)
        for share in self._membership.shares.values():
            self._do(share, share.ranges.step(steps.Assigned()))

    async def _on_revoked(self) -> None:
        if self._membership is not None:
            await self._close(self._membership)
        self._end()

    def _end(self) -> None:
        m, self._membership = self._membership, None
        for share in m.shares.values() if m else ():
            share.ranges.step(steps.Revoked())

    async def _close(self, m: Membership) -> None:
        """Let ranges under way finish, then acknowledge what is stored; whatever does not make it is replayed by the next owner."""
        m.closing = True
        working = [share.task for share in m.shares.values() if share.task and not share.task.done()]
        if working:
            await asyncio.wait(working, timeout=GRACE_S)
        with contextlib.suppress(EdgeError, TimeoutError):
            async with asyncio.timeout(GRACE_S), self._turn_lock:
                for share in m.shares.values():
                    share.commit = None
                    if share.take is not None and share.ranges.pending.empty and not share.ranges.acknowledged:
                        share.take = None
                        self._do(share, share.ranges.step(steps.Idle(self._clock.now_ms())))
                last = {share.partition: share.commit for share in m.shares.values() if share.commit is not None}
                if last and not m.left:
                    await self._log.commit(m.fence, last)

    def _do(self, share: Share, actions: Sequence[steps.Action]) -> None:
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
                    self._wake.set()
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
            self._relieve(share)
        self._wake.set()

    async def _work(self, share: Share, action: steps.Action) -> None:
        self._do(share, await self._labour.carry(share, action))

    def _leave(self) -> None:
        m = self._membership
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
            self._do(share, share.ranges.step(steps.Resumed()))

    # --- reading the state

    async def _reader(self) -> None:
        while True:
            await self._read_wanted.wait()
            self._read_wanted.clear()
            shares = [s for s in self._membership.shares.values() if s.reading] if self._membership else []
            if not shares:
                continue
            try:
                await self._read(shares)
            except EdgeError as error:
                for share in shares:
                    self._do(share, share.ranges.step(steps.ReadFailed()))
                await self._failed("state", error)
            else:
                self._failures = 0
                if any(share.reading for share in shares):
                    await asyncio.sleep(CHECK_S)

    async def _read(self, shares: Sequence[Share]) -> None:
        states = await self._log.states([share.partition for share in shares])
        name, tables = self.processor.name, self.processor.tables
        incarnations = {partition: state.incarnation for partition, state in states.items()}
        floors = await self._labour.thread(self._store.floors, name, incarnations)
        after = {partition: (incarnation, floors[partition]) for partition, incarnation in incarnations.items()}
        highest = await self._labour.thread(self._store.highest, name, tables, after)
        for share in shares:
            share.reading = False
            p = share.partition
            self._do(share, share.ranges.step(steps.StateRead(states[p], floors[p], highest[p], self._clock.now_ms())))

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
                await self._failed("poll", error)
            else:
                self._accept(fetched)
                if fetched:
                    await asyncio.sleep(PACE_S)

    def _accept(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> None:
        m, now = self._membership, self._clock.monotonic()
        for partition, records in fetched.items():
            share = m.shares.get(partition) if m else None
            if share is None:
                continue
            first = not share.buffer.records
            waited_s = (self._clock.now_ms() - records[0].timestamp_ms) / 1000
            share.buffer.add(records, now, min(max(waited_s, 0.0), self._limits.flush_s / 2))
            if first or share.due(self._limits, now, self._log.position(partition)):
                self._wake.set()
            if share.buffer.rows >= self._limits.full_rows or share.buffer.bytes >= self._limits.full_bytes:
                share.paused = True
                self._log.pause(partition)

    def _moved(self, partition: TopicPartition) -> None:
        m = self._membership
        share = m.shares.get(partition) if m else None
        if share is not None and share.take is not None:
            share.take = None
            self._do(share, share.ranges.step(steps.Moved()))

    def _relieve(self, share: Share) -> None:
        """Fetch again once there is room."""
        if share.buffer.rows < self._limits.full_rows and share.buffer.bytes < self._limits.full_bytes:
            share.paused = False
            self._log.resume(share.partition)

    # --- the cycle: what is due is cut, announced in one commit, and carried out

    async def _cycle(self) -> None:
        while True:
            await self._sleep()
            m = self._membership
            if m is None or m.closing:
                continue
            async with self._turn_lock:
                try:
                    await self._turn(m)
                except LogEndedError:
                    raise
                except EdgeError as error:
                    await self._failed("cycle", error)
            self._measure()

    async def _sleep(self) -> None:
        shares = self._membership.shares.values() if self._membership else ()
        now = self._clock.monotonic()
        until = min((share.next_due(self._limits) for share in shares), default=float("inf"))
        delay = max(0.0, min(until, self._checked + CHECK_S, now + CHECK_S) - now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(delay, 0.001)):  # wait_for() of Python 3.11 can swallow a cancellation
                await self._wake.wait()
        self._wake.clear()

    async def _turn(self, m: Membership) -> None:
        now = self._clock.monotonic()
        due = [s for s in m.shares.values() if s.due(self._limits, now, self._log.position(s.partition))]
        if not due and not any(s.commit for s in m.shares.values()) and now < self._checked + CHECK_S:
            return
        if due:
            along = now + self._limits.flush_s / 2
            due += [s for s in m.shares.values() if s.buffer.records and s not in due and s.due(self._limits, along, 0)]
        upto = {share: share.buffer.last for share in due}
        found = await self._log.incarnations(sorted({p.topic for p in m.shares}))
        self._checked, self._failures = now, 0
        if m is not self._membership or m.closing:
            return
        for share in m.shares.values():
            self._compare(share, found[share.partition.topic])
        for share in due:
            if share.take is not None:
                self._taken(share, share.take, upto[share])
        commits = {share: share.commit for share in m.shares.values() if share.commit is not None}
        if commits:
            await self._commit(m, commits)

    def _compare(self, share: Share, incarnation: str) -> None:
        """A topic of another incarnation is another log; what was fetched before the comparison is of the one compared with."""
        asked = share.take.incarnation if share.take else share.ranges.pending.incarnation
        if asked and asked != incarnation and not share.reading:
            share.take = None
            share.commit = None
            self._do(share, share.ranges.step(steps.Moved()))

    def _taken(self, share: Share, take: steps.Take, upto: int) -> None:
        now = self._clock.monotonic()
        share.take = None
        nothing = not share.buffer.records if take.last is None else self._log.position(share.partition) <= take.last
        if nothing:
            self._do(share, share.ranges.step(steps.Idle(self._clock.now_ms())))
        else:
            share.held = held = share.buffer.cut(self._limits, now, take.last, upto)
            self._seen = (self._seen[0] + sum(max(e.events, 1) for e in held.envelopes), self._seen[1] + len(held.records))
            if take.last is not None:
                self._metrics.replays.labels(self.processor.name).inc()
            last = held.last if take.last is None else take.last
            self._do(share, share.ranges.step(steps.Taken(last, self._clock.now_ms())))
        self._relieve(share)

    async def _commit(self, m: Membership, commits: Mapping[Share, Pending]) -> None:
        outcome: steps.Event
        for share in commits:
            share.commit = None
        try:
            with self._metrics.commit_seconds.labels(self.processor.name).time():
                await self._log.commit(m.fence, {share.partition: pending for share, pending in commits.items()})
            outcome = steps.Committed()
        except CommitRefusedError as error:
            log.info("%s: fenced out: %s", self.processor.name, error)
            outcome = steps.CommitRefused()
        except CommitNotSentError as error:
            await self._failed("commit", error)
            outcome = steps.CommitNotSent()
        except (CommitUnknownError, EdgeError) as error:
            log.warning("%s: outcome of a commit unknown, joining the group anew: %s", self.processor.name, error)
            outcome = steps.CommitUnknown()
        for share in commits:
            self._do(share, share.ranges.step(outcome))

    # --- figures

    def _measure(self) -> None:
        m = self._membership
        for partition, share in m.shares.items() if m else ():
            labels = (self.processor.name, partition.topic, str(partition.partition))
            self._metrics.lag_events.labels(*labels).set(self._lag(share))
        self._metrics.paused_partitions.labels(self.processor.name).set(len(self.halted))

    def _lag(self, share: Share) -> int:
        in_hand = len(share.buffer.records) + (len(share.held.records) if share.held else 0)
        rows = share.buffer.rows + (sum(max(e.events, 1) for e in share.held.envelopes) if share.held else 0)
        end = self._log.end(share.partition)
        beyond = max(0, (end or 0) - share.stored_to - in_hand)
        return rows + (beyond * self._seen[0] // self._seen[1] if self._seen[1] else beyond)

    def _oldest(self, share: Share) -> int | None:
        oldest = share.oldest_ms
        if oldest is not None:
            share.last_time_ms = oldest
            return oldest
        return share.last_time_ms if self._lag(share) else None


def connect(
    processor: Processor,
    *,
    kafka: Mapping[str, Any],
    store_factory: Callable[[], Store],
    group_id: str | None = None,
    metrics: Metrics | None = None,
    limits: Limits | None = None,
    resume: bool = False,
) -> ProcessorLoop:
    """Give a loop on a real Kafka: `kafka` holds aiokafka's options (bootstrap_servers, security ...)."""
    from llmtower_processors.runtime.kafka import KafkaLog

    group = group_id or f"llmtower.{processor.name}"
    return ProcessorLoop(
        processor,
        log_factory=lambda: KafkaLog(kafka, group, processor.topics),
        store_factory=store_factory,
        metrics=metrics,
        limits=limits,
        resume=resume,
    )
