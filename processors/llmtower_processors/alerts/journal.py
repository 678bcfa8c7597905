"""The journal of alerts: topic `llmtower.alerts`, written by one process at a time.

The leader opens it as a transactional producer of one fixed id: Kafka then refuses every earlier owner of that id, whatever it still
believes, and only after that is the topic read to its end. So nobody can write behind the back of whoever has read it. An append whose
outcome is unknown is never retried: the journal is opened anew, and what it holds then is what happened.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, ProducerFenced

from llmtower_processors.alerts.model import LeadershipLostError
from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime import fencing
from llmtower_processors.runtime.edges import EdgeError
from llmtower_schemas import topics
from llmtower_schemas.alerts import Sent, Transition, decode_entries, encode_entries
from llmtower_schemas.settings import KafkaSettings

OPEN_S: Final = 60.0
APPEND_S: Final = 15.0
_STOP_S: Final = 3.0
CHUNK: Final = 400
"""Entries in one record: far below a megabyte."""


@dataclass(frozen=True, slots=True)
class Page:
    """One record: where it is and what it says."""

    incarnation: str
    offset: int
    entries: tuple[Transition | Sent, ...]


class Journal(Protocol):
    """What alerts went through, in order."""

    async def open(self) -> list[Page]:
        """Become the only writer, and give everything that is written. Raises Unreachable."""

    async def append(self, entries: Sequence[Transition | Sent]) -> list[Page]:
        """Write all or nothing. Raises LeadershipLostError when another has opened it since; Unreachable: nobody knows, open it anew."""

    async def close(self) -> None:
        """Let go; may be opened again."""


@dataclass
class MemoryTopic:
    """What several MemoryJournals share, as processes share Kafka."""

    pages: list[Page] = field(default_factory=list)
    epoch: int = 0


class MemoryJournal:
    """A journal in memory, with the same fencing."""

    def __init__(self, topic: MemoryTopic) -> None:
        self._topic = topic
        self._epoch = -1

    async def open(self) -> list[Page]:
        """Refuse all earlier owners, then read."""
        self._topic.epoch += 1
        self._epoch = self._topic.epoch
        return list(self._topic.pages)

    async def append(self, entries: Sequence[Transition | Sent]) -> list[Page]:
        """Write one page."""
        if self._epoch != self._topic.epoch:
            raise LeadershipLostError("Another process has opened the journal of alerts.")
        pages = [Page("memory", len(self._topic.pages), tuple(entries))]
        self._topic.pages += pages
        return pages

    async def close(self) -> None:
        """Nothing to let go of."""


class KafkaJournal:
    """The journal in Kafka."""

    def __init__(self, kafka: KafkaSettings, group: str, *, topic: str = topics.ALERTS) -> None:
        self._options: dict[str, Any] = kafka.client_options(metadata_s=60)
        self._where = kafka.bootstrap_servers
        self._id = f"{group}.alerts"
        self._partition = TopicPartition(topic, 0)
        self._producer: AIOKafkaProducer | None = None
        self._incarnation = ""
        self._one = asyncio.Lock()

    async def open(self) -> list[Page]:
        """Fence earlier owners by InitProducerId, then read what is committed up to the end."""
        await self.close()
        producer = AIOKafkaProducer(**self._options, transactional_id=self._id, acks="all", transaction_timeout_ms=30_000)
        try:
            async with asyncio.timeout(OPEN_S):
                await producer.start()
                self._producer = producer
                pages = await self._read()
        except (KafkaError, EdgeError, TimeoutError) as error:
            self._producer = producer
            await self.close()
            raise self._unreachable(error) from error
        return pages

    async def _read(self) -> list[Page]:
        consumer = AIOKafkaConsumer(
            **self._options, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        await consumer.start()
        try:
            consumer.assign([self._partition])
            self._incarnation = (await fencing.incarnations(consumer, [self._partition.topic]))[self._partition.topic]
            start = (await consumer.beginning_offsets([self._partition]))[self._partition]
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            consumer.seek(self._partition, start)
            pages: list[Page] = []
            while await consumer.position(self._partition) < end:
                messages = (await consumer.getmany(timeout_ms=1_000)).get(self._partition, ())
                pages += [Page(self._incarnation, one.offset, tuple(decode_entries(one.value or b""))) for one in messages]
            return pages
        finally:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), _STOP_S)

    async def append(self, entries: Sequence[Transition | Sent]) -> list[Page]:
        """Write one transaction of as many records as are needed."""
        async with self._one:
            if self._producer is None:
                raise Unreachable("The journal of alerts is not open.")
            chunks = [tuple(entries[begin : begin + CHUNK]) for begin in range(0, len(entries), CHUNK)]
            try:
                async with asyncio.timeout(APPEND_S), self._producer.transaction():
                    sends = [
                        await self._producer.send(self._partition.topic, encode_entries(chunk), partition=self._partition.partition)
                        for chunk in chunks
                    ]
                    placed = [await send for send in sends]
            except (ProducerFenced, OutOfOrderSequenceNumber) as error:
                raise LeadershipLostError("Another process has opened the journal of alerts.") from error
            except (KafkaError, TimeoutError) as error:
                raise self._unreachable(error) from error
            return [Page(self._incarnation, found.offset, chunk) for found, chunk in zip(placed, chunks, strict=True)]

    async def close(self) -> None:
        """Stop the producer, bounded in time."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), _STOP_S)

    def _unreachable(self, error: BaseException) -> Unreachable:
        return Unreachable(f"Kafka at {self._where} does not keep the journal of alerts ({type(error).__name__}). Is it running?")
