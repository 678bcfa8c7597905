"""Silences from the compacted topic `llmtower.registry`: read by the leader, written by command line, page and API."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from llmtower_processors.alerts.rows import SilenceRecord
from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime import fencing
from llmtower_processors.runtime.edges import EdgeError
from llmtower_schemas import topics
from llmtower_schemas.settings import KafkaSettings
from llmtower_schemas.silences import Silence, decode_silence, encode_silence

READ_S: Final = 10.0


class SilenceFeed(Protocol):
    """What was silenced, as it is written."""

    async def poll(self) -> list[SilenceRecord]:
        """Give what is new since the last time; at first everything. Raises Unreachable; nothing is left out by that."""

    async def close(self) -> None:
        """Let go; the next poll begins at the beginning."""


class MemorySilences:
    """A feed in memory."""

    def __init__(self) -> None:
        self.records: list[SilenceRecord] = []
        self._position = 0

    def publish(self, silence: Silence, at_ms: int = 0) -> None:
        """Write one version of a silence."""
        self.records.append(SilenceRecord("memory", len(self.records), at_ms, silence))

    async def poll(self) -> list[SilenceRecord]:
        """Give what is new."""
        new, self._position = self.records[self._position :], len(self.records)
        return new

    async def close(self) -> None:
        """Begin again."""
        self._position = 0


class KafkaSilences:
    """The feed from Kafka; it is of no group and commits nothing."""

    def __init__(self, kafka: KafkaSettings, *, topic: str = topics.REGISTRY) -> None:
        self._options: dict[str, Any] = kafka.client_options()
        self._where = kafka.bootstrap_servers
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._incarnation = ""

    async def poll(self) -> list[SilenceRecord]:
        """Read up to the present end."""
        try:
            async with asyncio.timeout(READ_S):
                return await self._poll()
        except (KafkaError, EdgeError, TimeoutError) as error:
            await self.close()
            raise Unreachable(f"Kafka at {self._where} does not tell what is silenced ({type(error).__name__}). Is it running?") from error

    async def _poll(self) -> list[SilenceRecord]:
        consumer = self._consumer or await self._open()
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        found: list[SilenceRecord] = []
        while True:
            behind = [partition for partition, end in ends.items() if await consumer.position(partition) < end]
            if not behind:
                return found
            for messages in (await consumer.getmany(*behind, timeout_ms=500)).values():
                for message in messages:
                    silence = decode_silence(message.key, message.value)
                    if silence is not None:
                        found.append(SilenceRecord(self._incarnation, message.offset, message.timestamp, silence))

    async def _open(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._options, enable_auto_commit=False, auto_offset_reset="earliest")
        self._consumer = consumer
        await consumer.start()
        partitions = [TopicPartition(self._topic, number) for number in await _partitions(consumer, self._topic)]
        consumer.assign(partitions)
        self._incarnation = (await fencing.incarnations(consumer, [self._topic]))[self._topic]
        await consumer.seek_to_beginning(*partitions)
        return consumer

    async def close(self) -> None:
        """Stop the consumer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(KafkaError, TimeoutError):
                await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    await consumer._client.force_metadata_update()
    return sorted(consumer.partitions_for_topic(topic) or {0})


async def publish_silence(kafka: KafkaSettings, silence: Silence, *, topic: str = topics.REGISTRY) -> None:
    """Write a silence (or, with `deleted`, its end); the leader follows within a round. Raises Unreachable."""
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        await producer.send_and_wait(topic, encode_silence(silence), key=silence.key.encode())
    except KafkaError as error:
        raise Unreachable(
            f"Kafka at {kafka.bootstrap_servers} did not take the silence ({type(error).__name__}). Is it running?"
        ) from error
    finally:
        with contextlib.suppress(KafkaError):
            await producer.stop()


class Silences:
    """The latest version of each silence, and which one covers an alert."""

    def __init__(self, records: Iterable[SilenceRecord] = ()) -> None:
        self._latest: dict[str, Silence] = {}
        self.learn(records)

    def learn(self, records: Iterable[SilenceRecord]) -> None:
        """Take in versions, in the order in which they were written."""
        for record in records:
            if record.silence.deleted:
                self._latest.pop(record.silence.silence_id, None)
            else:
                self._latest[record.silence.silence_id] = record.silence

    def covering(self, rule: str, group: Mapping[str, str], at_us: int) -> Silence | None:
        """Give the silence that covers an alert, a real one before an acknowledgement; None when people are to be told."""
        found = [silence for silence in self._latest.values() if silence.covers(rule, group, at_us)]
        return min(found, key=lambda silence: (silence.kind != "silence", silence.silence_id), default=None)
