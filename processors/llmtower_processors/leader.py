"""The leader of all timers: whoever owns the single partition of `llmtower.alerts`.

Timers are data. Each runs once per window, in a task of its own; what it writes carries `<timer>:<group>:<window end>` as insert token,
so that a leader that dies, or wakes up after it was replaced, and its successor write once.
"""

import asyncio
import contextlib
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from llmtower_processors.errors import LlmtowerError
from llmtower_processors.runtime.edges import Clock
from llmtower_schemas import topics
from llmtower_schemas.settings import KafkaSettings

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0
POLL_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Firing:
    """One run of a timer: for the window that ended at `window_end_ms`; every row it writes goes under `token`."""

    window_end_ms: int
    token: str


@dataclass(frozen=True, slots=True)
class Timer:
    """A function that the leader runs once for every window of `period_s` seconds; windows are multiples of it since the epoch.

    `resign` is run when the lead is lost, so that a timer can forget what only a leader may know.
    """

    name: str
    period_s: float
    function: Callable[[Firing], Awaitable[None]]
    resign: Callable[[], Awaitable[None]] | None = None


class Election(Protocol):
    """Decides who leads."""

    async def campaign(self, gained: Callable[[], None], lost: Callable[[], None]) -> None:
        """Stand for ever (until cancelled), and tell of each change. Failures of what decides are logged and waited out."""


class MemoryElection:
    """Candidates in one process: the first leads, and the next when it goes."""

    def __init__(self) -> None:
        self._seat = asyncio.Lock()

    async def campaign(self, gained: Callable[[], None], lost: Callable[[], None]) -> None:
        """Wait for the seat, and keep it until cancelled."""
        async with self._seat:
            gained()
            try:
                await asyncio.Event().wait()
            finally:
                lost()


class KafkaElection:
    """A consumer group on a topic of one partition: its owner leads. Nothing is read or committed."""

    def __init__(self, kafka: KafkaSettings, group: str, *, topic: str = topics.ALERTS, session_timeout_ms: int = 10_000) -> None:
        self._options: dict[str, Any] = kafka.client_options(metadata_s=60) | {
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "latest",
            "session_timeout_ms": session_timeout_ms,
            "heartbeat_interval_ms": max(200, min(3_000, session_timeout_ms // 3)),
        }
        self._topic = topic

    async def campaign(self, gained: Callable[[], None], lost: Callable[[], None]) -> None:
        """Stay a member of the group; polling goes on although the partition is paused, or the member would be thrown out."""
        while True:
            consumer = AIOKafkaConsumer(**self._options)
            try:
                await consumer.start()
                consumer.subscribe([self._topic], listener=_Seat(consumer, gained, lost))
                while True:
                    await consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError as error:
                log.warning("timers: Kafka does not answer (%s); trying again in %.0f s", type(error).__name__, RETRY_S)
            finally:
                lost()
                with contextlib.suppress(KafkaError, TimeoutError):
                    await asyncio.wait_for(consumer.stop(), RETRY_S)
            await asyncio.sleep(RETRY_S)


class _Seat(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped to mypy
    def __init__(self, consumer: AIOKafkaConsumer, gained: Callable[[], None], lost: Callable[[], None]) -> None:
        self._consumer = consumer
        self._gained = gained
        self._lost = lost

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._lost()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        if assigned:
            self._consumer.pause(*assigned)
            self._gained()


class Leader:
    """Stands for election and, while it leads, runs the timers. `fired` and `failed` count runs by timer."""

    def __init__(self, election: Election, timers: Sequence[Timer], group: str, clock: Clock) -> None:
        if len({timer.name for timer in timers}) < len(timers):
            raise ValueError("two timers have one name; their rows would share tokens")
        self._election = election
        self._timers = tuple(timers)
        self._group = group
        self._clock = clock
        self._running: list[asyncio.Task[None]] = []
        self.fired: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    @property
    def is_leader(self) -> bool:
        """Whether this process runs the timers at present."""
        return bool(self._running)

    async def run(self) -> None:
        """Stand for ever; cancel it to stop. Timers under way are cancelled with it, and when the lead is lost."""
        try:
            await self._election.campaign(self._gained, self._lost)
        finally:
            stopping = self._running
            self._lost()
            await asyncio.gather(*stopping, return_exceptions=True)

    def _gained(self) -> None:
        if not self._running:
            log.info("timers: this process leads")
            self._running = [asyncio.create_task(self._keep(timer), name=f"timer {timer.name}") for timer in self._timers]

    def _lost(self) -> None:
        if self._running:
            log.info("timers: this process leads no longer")
        for task in self._running:
            task.cancel()
        self._running = []

    async def _keep(self, timer: Timer) -> None:
        """Keep a timer going until the lead is lost, and tell it then."""
        try:
            await self._tick(timer)
        finally:
            if timer.resign is not None:
                await timer.resign()

    async def _tick(self, timer: Timer) -> None:
        """Run a timer at the end of each window, and at once for the last one; windows missed meanwhile are left out."""
        period = round(timer.period_s * 1_000)
        window_end = self._clock.now_ms() // period * period
        while True:
            await self._fire(timer, window_end)
            now = self._clock.now_ms()
            window_end = max(window_end + period, now // period * period)
            if window_end > now + period:  # the clock was set back: windows come again under their tokens, rather than none for hours
                window_end = now // period * period + period
            await asyncio.sleep(max(0, window_end - now) / 1_000)

    async def _fire(self, timer: Timer, window_end_ms: int) -> None:
        self.fired[timer.name] += 1
        try:
            await timer.function(Firing(window_end_ms, token(timer.name, self._group, window_end_ms)))
        except Exception as error:
            self.failed[timer.name] += 1
            log.error("timer %s, window to %d ms: %s", timer.name, window_end_ms, _sentence(error))


def token(timer: str, group: str, window_end_ms: int) -> str:
    """Give the insert token of what a timer writes for one window."""
    return f"{timer}:{group}:{window_end_ms}"


def _sentence(error: Exception) -> str:
    """Our own messages hold no payload; of others only the kind and the place are named."""
    if isinstance(error, LlmtowerError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].name}:{frames[-1].lineno}" if frames else type(error).__name__
