"""The cycle: what is due of all partitions is cut, announced in one commit, and handed on to be carried out."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.edges import (
    Clock,
    CommitNotSentError,
    CommitRefusedError,
    CommitUnknownError,
    EdgeError,
    Log,
    LogEndedError,
)
from llmtower_processors.runtime.metrics import Metrics
from llmtower_processors.runtime.pending import Pending
from llmtower_processors.runtime.share import Membership, Share

if TYPE_CHECKING:
    from llmtower_processors.runtime.life import Life

log = logging.getLogger(__name__)

CHECK_S = 1.0
"""How often the topics' incarnations are read when nothing happens; before each commit they are read anyway."""


class Cycle:
    """Turns over the partitions of a life: whenever something is due, and at least every CHECK_S."""

    def __init__(self, life: "Life", log_edge: Log, *, metrics: Metrics, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self.lock = asyncio.Lock()
        self.seen = (0, 0)
        self._life = life
        self._name = life.processor.name
        self._log = log_edge
        self._metrics = metrics
        self._clock = clock
        self._checked = 0.0

    async def run(self) -> None:
        """Turn for ever; `lock` is held while a commit may be under way."""
        while True:
            await self._sleep()
            m = self._life.membership
            if m is None or m.closing:
                continue
            async with self.lock:
                try:
                    await self._turn(m)
                except LogEndedError:
                    raise
                except EdgeError as error:
                    await self._life.failed("cycle", error)
            self._life.measure()

    async def _sleep(self) -> None:
        shares = self._life.membership.shares.values() if self._life.membership else ()
        now = self._clock.monotonic()
        until = min((share.next_due(self._life.limits) for share in shares), default=float("inf"))
        delay = max(0.0, min(until, self._checked + CHECK_S, now + CHECK_S) - now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(delay, 0.001)):  # wait_for() of Python 3.11 can swallow a cancellation
                await self.wake.wait()
        self.wake.clear()

    async def _turn(self, m: Membership) -> None:
        now = self._clock.monotonic()
        due = [s for s in m.shares.values() if s.due(self._life.limits, now, self._log.position(s.partition))]
        if not due and not any(s.commit for s in m.shares.values()) and now < self._checked + CHECK_S:
            return
        if due:
            along = now + self._life.limits.flush_s / 2
            due += [s for s in m.shares.values() if s.buffer.records and s not in due and s.due(self._life.limits, along, 0)]
        upto = {share: share.buffer.last for share in due}
        found = await self._log.incarnations(sorted({p.topic for p in m.shares}))
        self._checked, self._life.failures = now, 0
        if m is not self._life.membership or m.closing:
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
            self._life.do(share, share.ranges.step(steps.Moved()))

    def _taken(self, share: Share, take: steps.Take, upto: int) -> None:
        now = self._clock.monotonic()
        share.take = None
        nothing = not share.buffer.records if take.last is None else self._log.position(share.partition) <= take.last
        if nothing:
            self._life.do(share, share.ranges.step(steps.Idle(self._clock.now_ms())))
        else:
            share.held = held = share.buffer.cut(self._life.limits, now, take.last, upto)
            self.seen = (self.seen[0] + held.rows, self.seen[1] + len(held.records))
            if take.last is not None:
                self._metrics.replays.labels(self._name).inc()
            last = held.last if take.last is None else take.last
            parameter = self._life.parameter(share, held) if take.last is None else ""
            self._life.do(share, share.ranges.step(steps.Taken(last, self._clock.now_ms(), parameter)))
        self._life.relieve(share)

    async def _commit(self, m: Membership, commits: Mapping[Share, Pending]) -> None:
        outcome: steps.Event
        for share in commits:
            share.commit = None
        try:
            with self._metrics.commit_seconds.labels(self._name).time():
                await self._log.commit(m.fence, {share.partition: pending for share, pending in commits.items()})
            outcome = steps.Committed()
        except CommitRefusedError as error:
            log.info("%s: fenced out: %s", self._name, error)
            outcome = steps.CommitRefused()
        except CommitNotSentError as error:
            await self._life.failed("commit", error)
            outcome = steps.CommitNotSent()
        except (CommitUnknownError, EdgeError) as error:
            log.warning("%s: outcome of a commit unknown, joining the group anew: %s", self._name, error)
            outcome = steps.CommitUnknown()
        for share in commits:
            self._life.do(share, share.ranges.step(outcome))
