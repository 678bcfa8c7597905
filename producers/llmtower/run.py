"""A producer run: one process's outbox, its courier's thread, and its books. A forked child gets a run of its own."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from llmtower import books
from llmtower.contents import Policy
from llmtower.courier import Courier
from llmtower.errors import internal_error, warn_once
from llmtower.ids import new_run
from llmtower.lines import SIGNALS
from llmtower.outbox import Outbox, Tally
from llmtower.spool import Spool
from llmtower.transport import THREAD, OpenTransport, seal

HEARTBEAT_S = 5.0
_RESERVE_S = 0.5
_LAST_BEAT_S = 0.15
_STOP_S = 0.7
_CANCEL_S = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    """What a run needs to know, free of settings and environment."""

    policy: Policy
    open_transport: OpenTransport
    hook_failures: Tally
    queue_events: int = 20_000
    queue_bytes: int = 64 << 20
    linger_s: float = 0.2
    close_s: float = 2.0
    spool_dir: Path | None = None
    spool_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What a flush achieved: `complete` only when Kafka has acknowledged everything that was emitted before it."""

    complete: bool
    delivered: int
    """Events acknowledged while flushing."""
    queued: int
    """Events that still wait in memory."""
    spooled: int
    """Events on the disk: safe, but not delivered."""
    dropped: int
    """Events dropped while flushing."""
    seconds: float

    def __bool__(self) -> bool:
        return self.complete


class Run:
    """A process's run; the courier's thread starts with the first event, or by `start`."""

    def __init__(self, options: Options) -> None:
        self.id = new_run()
        self.outbox = Outbox(max_events=options.queue_events, max_bytes=options.queue_bytes, wake=self.start)
        self.courier = Courier(self.outbox, options.policy, options.open_transport, run=self.id, linger_s=options.linger_s)
        self._options = options
        self._starting = threading.Lock()
        self._loop: _Loop | None = None
        self._closing = asyncio.Event()
        self._deadline = 0.0
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the courier's thread, or nudge it; safe from any thread and signal handler."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(self.courier.nudge)
        elif self._starting.acquire(blocking=False):
            self._loop = _Loop()
            self.thread = threading.Thread(target=self._main, args=(self._loop,), name=THREAD, daemon=True)
            self.thread.start()

    def stats(self) -> books.Stats:
        """Read the books."""
        failures = self._options.hook_failures.value()
        connected = self.courier.transport is not None
        return books.stats(self.id, self.outbox, self.courier.settled, redaction_failures=failures, connected=connected)

    def flush(self, timeout: float) -> FlushReport:
        """Wait until everything emitted so far is acknowledged, or is on the disk while Kafka is away, or time is up."""
        before, started = self.stats(), time.monotonic()
        self.start()
        settled = before.emitted == 0
        if self._loop is not None and threading.current_thread() is not self.thread:
            waiting: Future[bool] = asyncio.run_coroutine_threadsafe(self._flushed(before.emitted, started + timeout), self._loop)
            with suppress(TimeoutError, CancelledError, RuntimeError):
                settled = waiting.result(timeout + 0.1)
        after = self.stats()
        return FlushReport(
            complete=settled and not after.spooled and after.dropped == before.dropped,
            delivered=after.delivered - before.delivered,
            queued=after.queued,
            spooled=after.spooled,
            dropped=after.dropped - before.dropped,
            seconds=time.monotonic() - started,
        )

    def close(self, timeout: float | None = None) -> None:
        """Deliver what is left, put the rest on the disk, end the thread; bounded in time."""
        limit = self._options.close_s if timeout is None else timeout
        if self._loop is None and self.outbox.items:
            self.start()
        loop, thread = self._loop, self.thread
        if loop is None or thread is None:
            self.outbox.closed = True
            return
        self._deadline = time.monotonic() + limit
        with suppress(RuntimeError):  # closed already
            loop.call_soon_threadsafe(self._closing.set)
        if thread is not threading.current_thread():
            thread.join(limit)
        self.outbox.closed, self.outbox.wake_at = True, 0

    def abandon(self) -> None:
        """In a forked child: let go of the parent's files without touching what the parent owns."""
        if self.courier.spool is not None:
            self.courier.spool.abandon()

    async def _flushed(self, emitted: int, deadline: float) -> bool:
        """Wait until the first `emitted` events have left memory, and the disk too while Kafka is reachable; False when time is up."""
        courier, mine = self.courier, None
        while time.monotonic() < deadline:
            held = {envelope.key for envelope in (*courier.ready, *(flight.envelope for flight in courier.flights))}
            if mine is None and courier.packer.taken + self.outbox.lost() >= emitted:
                mine = held
            if mine is not None and not mine & held and not (courier.settled.spooled and courier.reachable()):
                return True
            courier.nudge()
            await asyncio.sleep(0.003)
        return False

    def _main(self, loop: "_Loop") -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._live())
        except Exception:
            internal_error("courier")
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            with suppress(Exception):
                loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    async def _live(self) -> None:
        self._open_spool()
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._kept(job)) for job in (self.courier.connect, self.courier.deliver, self._beat)]
        await self._closing.wait()
        await self._settled()
        self._clear()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_CANCEL_S)
        await self._shut()

    async def _kept(self, job: Callable[[], Any]) -> None:
        """Run a job for ever: a fault of ours in one must not end delivery."""
        while True:
            try:
                await job()
            except Exception:
                internal_error(getattr(job, "__name__", "courier"))
            await asyncio.sleep(1.0)

    def _open_spool(self) -> None:
        options = self._options
        if options.spool_dir is None or not options.spool_bytes:
            return
        try:
            self.courier.spool = Spool(options.spool_dir, run=self.id, max_bytes=options.spool_bytes)
        except OSError as error:
            warn_once("spool-dir", "llmtower cannot use its spool (%s); set LLMTOWER_SDK__SPOOL_DIR to a folder it may write.", error)

    async def _beat(self) -> None:
        """Send the books every five seconds, while they can be delivered at once (stale ones would help nobody)."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self.courier.reachable():
                self._heartbeat(closing=False)

    def _heartbeat(self, *, closing: bool) -> None:
        from llmtower import __version__

        now = self.stats()
        at_ns = time.time_ns()
        event = {
            "type": "heartbeat",
            **self._options.policy.head,
            "producer": self.id,
            "at_ns": at_ns,
            "emitted": now.emitted,
            "delivered": now.delivered,
            "spooled": now.spooled,
            "dropped": now.dropped,
            "dropped_by_reason": now.dropped_by_reason,
            "oldest_unsent_ns": self.courier.oldest_ns(),
            "closing": closing,
            "sdk": f"llmtower-python/{__version__}",
        }
        head, seq = self._options.policy.head, self.courier.packer.number(SIGNALS, 1)
        lines = [orjson.dumps(event)]
        self.courier.ready.append(seal(SIGNALS, head["project"], head["app"], lines, producer=self.id, seq=seq, at_ns=at_ns, counted=False))
        self.courier.nudge()

    async def _settled(self) -> None:
        """Wait for deliveries as long as the deadline and Kafka allow."""
        courier = self.courier
        while time.monotonic() < self._deadline - _RESERVE_S and not courier.unreachable():
            if not self.outbox.items and not courier.ready and not courier.flights:
                return
            courier.nudge()
            await asyncio.sleep(0.003)

    def _clear(self) -> None:
        """Take no more; what waits is sent, or goes to the disk, before anything that may take time."""
        courier = self.courier
        self.outbox.closed, self.outbox.wake_at = True, 0
        while envelopes := courier.packer.pack():
            courier.ready.extend(envelopes)
            while courier.ready and (courier.forward(courier.ready[0]) if courier.reachable() else courier.shelve(courier.ready[0])):
                courier.ready.popleft()

    async def _shut(self) -> None:
        courier = self.courier
        if courier.reachable():
            await self._say_goodbye()
        await courier.settle_flights()
        while courier.ready:
            envelope = courier.ready.popleft()
            if courier.shelve(envelope) is None and envelope.counted:
                courier.dropped("unacknowledged" if envelope.partition >= 0 else "undeliverable", envelope.count)
        transport, courier.transport = courier.transport, None
        if transport is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_STOP_S, max(0.05, self._deadline - time.monotonic()))):
                    await transport.stop()
        if courier.spool is not None:
            courier.spool.close()

    async def _say_goodbye(self) -> None:
        """Send the last books, and whatever came in the very last moment."""
        courier = self.courier
        self._heartbeat(closing=True)
        while courier.ready and courier.forward(courier.ready[0]):
            courier.ready.popleft()
        until = time.monotonic() + _LAST_BEAT_S
        while courier.flights and time.monotonic() < until:
            await asyncio.wait({flight.task for flight in courier.flights if flight.task is not None}, timeout=_LAST_BEAT_S)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that can still look up addresses while the interpreter shuts down (executors are closed by then)."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Look up in a thread, else in place."""
        try:
            return await super().getaddrinfo(host, port, **options)
        except RuntimeError:
            return socket.getaddrinfo(host, port, options.get("family", 0), options.get("type", 0), options.get("proto", 0))
