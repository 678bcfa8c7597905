"""Edge: events into Kafka, acknowledged, or the sender is told to retry."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.gateway.packing import Line, Packed, Partitions, ReadyBatch, pack
from llmtower_schemas.settings import KafkaSettings
from llmtower_schemas.topics import CALLS, MAX_RECORD_BYTES, SIGNALS

log = logging.getLogger(__name__)

RETRY_S: Final = 5
_STOP_S: Final = 5.0


class Sink(Protocol):
    """Where events go."""

    @property
    def partitions(self) -> Partitions:
        """How many partitions each topic has, for those who pack; empty as long as that is not known."""

    async def put_packed(self, batches: Sequence[Packed]) -> None:
        """Do as `put`, with lines that are packed for these partitions already."""

    async def put(self, lines: Sequence[Line]) -> None:
        """Return when all are acknowledged. Raises Refusal 503: nothing is known of the rest, sending all again is right."""


class MemorySink:
    """A sink in memory; `fails` makes the next puts fail, `partitions` let those who can pack do so."""

    def __init__(self, partitions: Partitions | None = None) -> None:
        self.lines: list[Line] = []
        self.batches: list[Packed] = []
        self.partitions: Partitions = partitions or {}
        self.fails = 0

    async def put(self, lines: Sequence[Line]) -> None:
        """Keep them."""
        self._fail()
        self.lines += lines

    async def put_packed(self, batches: Sequence[Packed]) -> None:
        """Keep them."""
        self._fail()
        self.batches += batches

    def _fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise unavailable("made to fail")


class KafkaSink:
    """Kafka. A producer that has failed once is not used again: aiokafka has used up a number of its idempotent sequence."""

    def __init__(self, kafka: KafkaSettings, *, ack_s: float, topics: Sequence[str] = (CALLS, SIGNALS)) -> None:
        self._kafka, self._ack_s, self._topics = kafka, ack_s, topics
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}
        self._opening = asyncio.Lock()
        self._stops: set[asyncio.Task[None]] = set()

    @property
    def partitions(self) -> Partitions:
        """How many partitions each topic has; empty before the first connection."""
        return self._partitions

    async def put(self, lines: Sequence[Line]) -> None:
        """Send in as few batches as their partitions allow."""
        await self._acknowledged(lambda: pack(lines, self._partitions))

    async def put_packed(self, batches: Sequence[Packed]) -> None:
        """Send what is packed."""
        await self._acknowledged(lambda: batches)

    async def _acknowledged(self, batches: Callable[[], Sequence[Packed]]) -> None:
        """Send what `batches` gives once there is a connection, and with it the numbers of partitions."""
        producer = None
        try:
            async with asyncio.timeout(self._ack_s):
                producer = await self._open()
                await _send(producer, batches())
        except (KafkaError, TimeoutError, OSError) as error:
            await self._renew(producer)
            raise unavailable(type(error).__name__) from error

    async def connect(self) -> None:
        """Connect now rather than at the first request; a failure is said and tried again then."""
        try:
            async with asyncio.timeout(self._ack_s):
                await self._open()
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning(
                "Kafka at %s does not answer (%s); senders are told to come again.", self._kafka.bootstrap_servers, type(error).__name__
            )

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._kafka.client_options(),
                    client_id="llmtower-gateway",
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=MAX_RECORD_BYTES,
                )
                try:
                    await producer.start()
                    for topic in self._topics:
                        self._partitions[topic] = len(await producer.partitions_for(topic) or ()) or 1
                except BaseException:
                    self._stop(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _renew(self, producer: AIOKafkaProducer | None) -> None:
        async with self._opening:
            if producer is not None and self._producer is producer:
                self._producer = None
                self._stop(producer)

    def _stop(self, producer: AIOKafkaProducer) -> None:
        """Stop in the background, bounded: aiokafka's own stop waits for deliveries for ever."""

        async def stop() -> None:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(producer.stop(), _STOP_S)
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(producer.client.close(), _STOP_S)

        task = asyncio.create_task(stop())
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def close(self) -> None:
        """Stop for good."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            self._stop(producer)
        if self._stops:
            await asyncio.wait(list(self._stops), timeout=2 * _STOP_S)


def _heard(answer: "asyncio.Future[Any]") -> None:
    """Take note of a late failure, which nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


async def _send(producer: AIOKafkaProducer, batches: Sequence[Packed]) -> None:
    answers = []
    for batch in batches:
        answer = await producer.send_batch(ReadyBatch(batch), batch.topic, partition=batch.partition)
        answer.add_done_callback(_heard)
        answers.append(asyncio.shield(answer))
    await asyncio.gather(*answers)


def unavailable(why: str) -> Refusal:
    """Tell a sender to come again."""
    return Refusal(
        503, f"Kafka has not acknowledged ({why}). Send this again: what has arrived is recognised and not counted twice.", RETRY_S
    )
