"""The courier: a thread with its own event loop that carries events from the outbox to Kafka, and to the disk while Kafka is away.

Every envelope is in one place: ready, in flight, on the disk, or settled. One that may have been sent is never cut anew: it goes to the
disk as it is, partition included, and is sent again from there, so that the reader can recognise it (design, section 4, rule 8).
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from llmtower.books import Settled
from llmtower.contents import Policy
from llmtower.errors import LOG, Rejected, SpoolFull, Undelivered, internal_error, warn_once
from llmtower.outbox import Outbox
from llmtower.packing import Packer
from llmtower.spool import Ref, Spool
from llmtower.transport import MAX_BYTES, MAX_EVENTS, Envelope, OpenTransport, Transport

FLIGHT_BYTES = 8 << 20
"""Sent and not acknowledged at most; beyond, events wait in the outbox."""

STALL_S = 2.0
"""Without an acknowledgement for this long Kafka counts as unreachable."""

GRACE_S = 1.0
"""Time to connect before Kafka counts as unreachable."""

_ABANDON_S = 45.0
_REPLAYS = 8
_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_ADOPT_S = 30.0


@dataclass(slots=True, eq=False)
class Flight:
    """An envelope that was sent; `ref` once it also lies on the disk."""

    envelope: Envelope
    since: float
    ref: Ref | None
    task: "asyncio.Task[None] | None" = None


class Courier:
    """Delivers; everything here but `settled`, `connected` and `wake` belongs to the courier's own thread."""

    def __init__(self, outbox: Outbox, policy: Policy, open_transport: OpenTransport, *, run: str, linger_s: float) -> None:
        self.outbox, self.run = outbox, run
        self.packer = Packer(outbox, policy, run, self.dropped)
        self.spool: Spool | None = None
        self.settled = Settled()
        self.ready: deque[Envelope] = deque()
        self.flights: set[Flight] = set()
        self.transport: Transport | None = None
        self._open, self._linger_s = open_transport, linger_s
        self._failures = 0
        self._away_since = self._adopted_at = time.monotonic()
        self._hurry = False
        self._packed_at = time.monotonic()
        self._work = asyncio.Event()
        self._broken = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def dropped(self, reason: str, count: int = 1) -> None:
        """Write off events."""
        self.settled = self.settled.drop(reason, count)

    def reachable(self) -> bool:
        """Say whether envelopes may be sent now."""
        return self.transport is not None and not self.stalled()

    def stalled(self) -> bool:
        """Say whether acknowledgements have stopped coming."""
        return bool(self.flights) and time.monotonic() - min(flight.since for flight in self.flights) > STALL_S

    def unreachable(self) -> bool:
        """Say whether Kafka has been away long enough for the disk to take over."""
        waited = time.monotonic() - self._away_since
        return self.stalled() or (self.transport is None and (self._failures > 0 or waited > GRACE_S))

    def nudge(self) -> None:
        """Take what waits now rather than after the linger time."""
        self._hurry = True
        self._work.set()

    async def connect(self) -> None:
        """Keep a transport open, for ever; each is thrown away after its first failure."""
        while True:
            transport = self._open()
            try:
                await transport.start()
            except Undelivered as error:
                self._failures += 1
                warn_once("unreachable", "llmtower cannot reach Kafka (%s); events are kept on the disk and retried.", error)
                await transport.stop()
                await asyncio.sleep(_BACKOFF_S[min(self._failures, len(_BACKOFF_S)) - 1])
                continue
            except asyncio.CancelledError:
                await transport.stop()
                raise
            self._failures, self.transport = 0, transport
            self._broken.clear()
            self.nudge()
            await self._broken.wait()
            self.transport, self._away_since = None, time.monotonic()
            await self.settle_flights()
            await transport.stop()
            await asyncio.sleep(_BACKOFF_S[0])

    async def deliver(self) -> None:
        """Carry events, for ever: look in at every linger time, at every nudge and at every acknowledgement."""
        self._adopt()
        while True:
            await self.pump()
            left = self._linger_s if self.ready else self._packed_at + self._linger_s - time.monotonic()
            try:
                async with asyncio.timeout(max(0.001, left)):
                    await self._work.wait()
            except TimeoutError:
                pass
            self._work.clear()

    async def pump(self) -> None:
        """Move everything as far as it can go now."""
        self._insure()
        while True:
            while self.ready and self.forward(self.ready[0]):
                self.ready.popleft()
            if self.ready or not self._due():
                break
            self.ready.extend(self.packer.pack())
            if not self.ready:
                self._hurry, self._packed_at = False, time.monotonic()
                break
            await asyncio.sleep(0)
        self._replay()

    def _due(self) -> bool:
        """Say whether to close envelopes now: the linger time is over, a whole one waits, or somebody is in a hurry."""
        full = len(self.outbox.items) >= MAX_EVENTS or self.outbox.waiting_bytes() >= MAX_BYTES
        return full or self._hurry or time.monotonic() - self._packed_at >= self._linger_s

    def forward(self, envelope: Envelope) -> bool:
        """Send an envelope, or shelve it while Kafka is away; False when neither is possible now."""
        if self.reachable():
            if sum(len(flight.envelope.value) for flight in self.flights) > FLIGHT_BYTES:
                return False
            self._send(envelope, None)
            return True
        return self.unreachable() and self.shelve(envelope) is not None

    def shelve(self, envelope: Envelope) -> Ref | None:
        """Write an envelope to the disk; None when there is no room."""
        if self.spool is None:
            return None
        try:
            ref = self.spool.append(envelope)
        except SpoolFull:
            warn_once("spool", "llmtower's spool is full or cannot be written; the oldest events in memory are dropped and counted.")
            return None
        if envelope.counted:
            self.settled = replace(self.settled, spooled=self.settled.spooled + envelope.count)
        return ref

    def _send(self, envelope: Envelope, ref: Ref | None) -> None:
        assert self.transport is not None  # noqa: S101 - reachable
        placed = envelope.placed(self.transport.partitions(envelope.topic))
        flight = Flight(placed, time.monotonic(), ref)
        self.flights.add(flight)
        flight.task = asyncio.get_running_loop().create_task(self._fly(flight, self.transport))
        flight.task.add_done_callback(_report)

    async def _fly(self, flight: Flight, transport: Transport) -> None:
        """See an envelope through; once given up (`settle_flights`), its late answer counts no more."""
        failure: Exception | None = None
        try:
            await transport.send(flight.envelope)
        except Exception as error:
            failure = error
        if flight not in self.flights:
            return
        self.flights.discard(flight)
        self._work.set()
        if isinstance(failure, Undelivered):
            LOG.debug("llmtower: an envelope was not acknowledged: %s", failure)
            self._keep(flight)
            self._broken.set()
        elif isinstance(failure, Rejected):
            warn_once("rejected", "Kafka refused an envelope for good (%s); its events are dropped and counted.", failure)
            self._settle(flight, "rejected")
        elif failure is not None:
            self._keep(flight)
            self._broken.set()
            raise failure
        else:
            self._settle(flight, None)

    def _keep(self, flight: Flight) -> None:
        """Put an envelope of unknown outcome on the disk as it is; where there is no room, keep it in memory, first in line."""
        if flight.ref is None and self.shelve(flight.envelope) is None:
            self.ready.appendleft(flight.envelope)

    def _settle(self, flight: Flight, drop: str | None) -> None:
        """Write an envelope into the books for good, and strike it from the disk."""
        envelope, books = flight.envelope, self.settled
        own = envelope.counted and envelope.producer == self.run
        if flight.ref is not None:
            assert self.spool is not None  # noqa: S101 - it gave the reference
            self.spool.acknowledge(flight.ref)
            books = replace(books, spooled=books.spooled - envelope.count) if own else books
        if drop is not None:
            books = books.drop(drop, envelope.count) if own else books
        elif own:
            sent = books.delivered_bytes + len(envelope.value)
            books = replace(books, delivered=books.delivered + envelope.count, delivered_bytes=sent)
        elif envelope.counted:
            books = replace(books, replayed=books.replayed + envelope.count)
        self.settled = books

    def _insure(self) -> None:
        """While acknowledgements do not come, put what is in flight on the disk too: a kill must not lose it."""
        if not self.stalled():
            return
        for flight in self.flights:
            if flight.ref is None:
                flight.ref = self.shelve(flight.envelope)
        if time.monotonic() - min(flight.since for flight in self.flights) > _ABANDON_S:
            self._broken.set()

    async def settle_flights(self) -> None:
        """Give up on everything in flight: its outcome is unknown, so it goes to the disk as it is."""
        flights, self.flights = self.flights, set()
        tasks = [flight.task for flight in flights if flight.task is not None]
        for task in tasks:
            task.cancel()
        for flight in sorted(flights, key=lambda flight: -flight.since):
            self._keep(flight)
        if tasks:
            await asyncio.wait(tasks, timeout=0.2)

    def _adopt(self) -> None:
        self._adopted_at = time.monotonic()
        if self.spool is not None:
            self.spool.adopt()

    def _replay(self) -> None:
        """Send what lies on the disk, a few at a time."""
        if self.spool is None or not self.reachable():
            return
        if time.monotonic() - self._adopted_at > _ADOPT_S:
            self._adopt()
        flying = {flight.ref for flight in self.flights if flight.ref is not None}
        first = list(islice(self.spool.pending(), len(flying) + _REPLAYS))
        for ref in [ref for ref in first if ref not in flying][: max(0, _REPLAYS - len(flying))]:
            self._resend(ref)

    def _resend(self, ref: Ref) -> None:
        assert self.spool is not None  # noqa: S101 - it gave the reference
        envelope = self.spool.read(ref)
        if envelope is not None:
            self._send(envelope, ref)
            return
        self.spool.acknowledge(ref)
        if ref.entry.counted and ref.entry.producer == self.run:
            self.settled = replace(self.settled, spooled=self.settled.spooled - ref.entry.count).drop("spool_damaged", ref.entry.count)

    def oldest_ns(self) -> int | None:
        """Give the time of the oldest event that is not acknowledged."""
        times = [envelope.at_ns for envelope in self.ready]
        times += [flight.envelope.at_ns for flight in self.flights]
        others = (self.outbox.oldest_ns(), self.spool.oldest_ns() if self.spool is not None else None)
        return min([*times, *(time_ns for time_ns in others if time_ns is not None)], default=None)


def _report(task: "asyncio.Task[None]") -> None:
    """A fault of ours in a flight is reported; its envelope is kept already."""
    if not task.cancelled() and (error := task.exception()) is not None:
        try:
            raise error
        except Exception:
            internal_error("delivery")
