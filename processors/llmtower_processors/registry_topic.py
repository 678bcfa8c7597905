"""Edge: the compacted topic `llmtower.registry`, followed to its present end, and written one value at a time."""

import asyncio
import contextlib
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime import fencing
from llmtower_processors.runtime.edges import EdgeError
from llmtower_schemas import topics
from llmtower_schemas.settings import KafkaSettings

READ_S: Final = 10.0


class RegistryRecord(NamedTuple):
    """One version of a value, and where it is."""

    incarnation: str
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None


class RegistryFeed:
    """Follows the topic; it is of no group and commits nothing."""

    def __init__(self, kafka: KafkaSettings, *, topic: str = topics.REGISTRY) -> None:
        self._options: dict[str, Any] = kafka.client_options()
        self._where = kafka.bootstrap_servers
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._incarnation = ""

    async def poll(self) -> list[RegistryRecord]:
        """Give what is new up to the present end, at first everything. Raises Unreachable; the next poll then begins anew."""
        try:
            async with asyncio.timeout(READ_S):
                return await self._poll()
        except (KafkaError, EdgeError, TimeoutError) as error:
            await self.close()
            where = f"Kafka at {self._where} does not give topic {self._topic}"
            raise Unreachable(f"{where} ({type(error).__name__}). Is it running?") from error

    async def _poll(self) -> list[RegistryRecord]:
        consumer = self._consumer or await self._open()
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        found: list[RegistryRecord] = []
        while True:
            behind = [partition for partition, end in ends.items() if await consumer.position(partition) < end]
            if not behind:
                return found
            for messages in (await consumer.getmany(*behind, timeout_ms=500)).values():
                found += [RegistryRecord(self._incarnation, one.offset, one.timestamp, one.key, one.value) for one in messages]

    async def _open(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._options, enable_auto_commit=False, auto_offset_reset="earliest")
        self._consumer = consumer
        await consumer.start()
        await consumer._client.force_metadata_update()
        partitions = [TopicPartition(self._topic, number) for number in sorted(consumer.partitions_for_topic(self._topic) or {0})]
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


async def publish(kafka: KafkaSettings, key: str, value: bytes, *, topic: str = topics.REGISTRY) -> None:
    """Write one value; followers have it within seconds. Raises Unreachable."""
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        await producer.send_and_wait(topic, value, key=key.encode())
    except KafkaError as error:
        raise Unreachable(f"Kafka at {kafka.bootstrap_servers} did not take {key} ({type(error).__name__}). Is it running?") from error
    finally:
        with contextlib.suppress(KafkaError):
            await producer.stop()
