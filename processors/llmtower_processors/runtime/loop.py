"""The loop of one processor, as the worker sees it: run, stop, resume, and how things stand."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from llmtower_processors.runtime.buffer import Limits
from llmtower_processors.runtime.edges import Clock, EdgeError, Log, LogEndedError, Store, SystemClock, TopicPartition
from llmtower_processors.runtime.envelopes import LEDGER
from llmtower_processors.runtime.labour import Labour, back_off
from llmtower_processors.runtime.life import Life
from llmtower_processors.runtime.metrics import Metrics
from llmtower_processors.runtime.model import Processor
from llmtower_processors.runtime.ranges import Phase
from llmtower_processors.runtime.share import Share

log = logging.getLogger(__name__)


class _Stopped(Exception):  # noqa: N818  (a signal, not an error)
    """Ends the task group after a graceful stop."""


class ProcessorLoop:
    """Reads a processor's topics as one member of its group and stores what its function makes of them, exactly once.

    `run()` returns after `stop()`; it raises StoreUnfitError when ClickHouse cannot give exactly-once. Everything that passes is
    waited for. `ready`, `lag`, `watermark` and `halted` may be read at any time from the thread that runs it.
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
        self._life: Life | None = None

    def _shares(self) -> Mapping[TopicPartition, Share]:
        m = self._life.membership if self._life else None
        return m.shares if m else {}

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned, their state is read and nothing fails."""
        life = self._life
        if life is None or life.membership is None or life.membership.closing:
            return False
        return life.failures == 0 and all(share.settled for share in life.membership.shares.values())

    @property
    def lag(self) -> dict[TopicPartition, int]:
        """Events per partition that are in Kafka and not stored; records not fetched yet count as the average of those read."""
        life = self._life
        return {p: life.lag(share) for p, share in self._shares().items()} if life else {}

    @property
    def watermark(self) -> dict[TopicPartition, int | None]:
        """Time (ms) of each partition's oldest record that is not stored; None when everything is."""
        life = self._life
        return {p: share.oldest(life.lag(share)) for p, share in self._shares().items()} if life else {}

    @property
    def halted(self) -> dict[TopicPartition, str]:
        """Partitions that wait for a person, and why."""
        return {p: share.ranges.reason for p, share in self._shares().items() if share.ranges.phase is Phase.HALTED}

    def resume(self) -> None:
        """Let halted partitions go on."""
        if self._life is not None:
            self._life.resume()

    def stop(self) -> None:
        """Ask `run` to finish what is under way and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop()`."""
        store = await asyncio.to_thread(self._store_factory)
        labour = Labour(self.processor, store, self._metrics, self._clock)
        try:
            await self._check(labour)
            while not self._stopping.is_set():
                await self._live(labour)
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise
        finally:
            labour.close()
            store.close()

    async def _check(self, labour: Labour) -> None:
        """Refuse a store that is unfit; wait for one that is down."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await labour.thread(labour.store.check, (*self.processor.tables, LEDGER))
            except EdgeError as error:
                if not error.retriable:
                    raise
                self._metrics.retries.labels(self.processor.name, "check").inc()
                log.log(logging.DEBUG if failures else logging.WARNING, "%s: waiting for ClickHouse: %s", self.processor.name, error)
                await asyncio.sleep(back_off(failures))
                failures += 1
            else:
                return

    async def _live(self, labour: Labour) -> None:
        """Live through one consumer: it is replaced when it breaks."""
        life = self._life = Life(
            self.processor,
            self._log_factory(),
            labour,
            metrics=self._metrics,
            limits=self._limits,
            clock=self._clock,
            resume=self._resume,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stopper(life))
                await life.start(tasks)
        except* _Stopped:
            pass
        except* LogEndedError as errors:
            log.warning("%s: the consumer broke and is replaced: %s", self.processor.name, errors.exceptions[0])
        finally:
            self._life = None
            await life.end()

    async def _stopper(self, life: Life) -> None:
        await self._stopping.wait()
        await life.close()
        raise _Stopped


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
