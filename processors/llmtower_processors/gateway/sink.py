"""Edge: events into Kafka, each a record of its own whose headers are made of its identity; acknowledged, or the sender is told to retry.

One record per event costs the worker more than an envelope, and is what makes a span sent twice, in whatever batches, the same span.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.otel.ids import identity
from llmtower_schemas.codec import EnvelopeHeaders
from llmtower_schemas.settings import KafkaSettings
from llmtower_schemas.topics import CALLS, MAX_RECORD_BYTES, SIGNALS

log = logging.getLogger(__name__)

RETRY_S: Final = 5
_STOP_S: Final = 5.0


class Line(NamedTuple):
    """One event as it goes to Kafka; `kind` and `event_id` make its identity within the project."""

    topic: str
    project: str
    app: str
    kind: str
    event_id: str
    raw: bytes


class Sink(Protocol):
    """Where events go."""

    async def put(self, lines: Sequence[Line]) -> None:
        """Return when all are acknowledged. Raises Refusal 503: nothing is known of the rest, sending all again is right."""


class MemorySink:
    """A sink in memory; `fails` makes the next puts fail."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.fails = 0

    async def put(self, lines: Sequence[Line]) -> None:
        """Keep them."""
        if self.fails:
            self.fails -= 1
            raise unavailable("made to fail")
        self.lines += lines


class KafkaSink:
    """Kafka. A producer that has failed once is not used again: aiokafka has used up a number of its idempotent sequence."""

    def __init__(self, kafka: KafkaSettings, *, ack_s: float, topics: Sequence[str] = (CALLS, SIGNALS)) -> None:
        self._kafka, self._ack_s, self._topics = kafka, ack_s, topics
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}
        self._opening = asyncio.Lock()
        self._stops: set[asyncio.Task[None]] = set()

    async def put(self, lines: Sequence[Line]) -> None:
        """Send in as few batches as their partitions allow."""
        producer = None
        try:
            async with asyncio.timeout(self._ack_s):
                producer = await self._open()
                await self._send(producer, lines)
        except (KafkaError, TimeoutError, OSError) as error:
            await self._renew(producer)
            raise unavailable(type(error).__name__) from error

    async def _send(self, producer: AIOKafkaProducer, lines: Sequence[Line]) -> None:
        groups: defaultdict[tuple[str, int], list[tuple[bytes, Any]]] = defaultdict(list)
        for line in lines:
            found = identity(line.project, line.kind, line.event_id)
            headers = EnvelopeHeaders(found.producer, found.seq, 1, line.project, line.app).encode()
            groups[line.topic, found.spread % self._partitions[line.topic]].append((line.raw, headers))
        answers = []
        for (topic, number), group in groups.items():
            for batch in _batches(producer, group):
                answer = await producer.send_batch(batch, topic, partition=number)
                answer.add_done_callback(_heard)
                answers.append(asyncio.shield(answer))
        await asyncio.gather(*answers)

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
                    compression_type="zstd",  # aiokafka's lz4 is fixed at its slowest level, and takes the longest of all steps
                    max_request_size=MAX_RECORD_BYTES,
                    max_batch_size=MAX_RECORD_BYTES,
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


def _batches(producer: AIOKafkaProducer, group: Sequence[tuple[bytes, Any]]) -> Iterator[Any]:
    batch = producer.create_batch()
    for raw, headers in group:
        if batch.append(key=None, value=raw, timestamp=None, headers=headers) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=None, value=raw, timestamp=None, headers=headers)
    yield batch


def unavailable(why: str) -> Refusal:
    """Tell a sender to come again."""
    return Refusal(
        503, f"Kafka has not acknowledged ({why}). Send this again: what has arrived is recognised and not counted twice.", RETRY_S
    )
