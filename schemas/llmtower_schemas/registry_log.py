"""Edge: the topic `llmtower.registry`, read to its present end, followed, and written; and compare-and-set on its chains.

The SDK, the command line, the worker and the page share it. aiokafka is loaded when it is first needed.
"""

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, Any, Final, Protocol

from llmtower_schemas import topics
from llmtower_schemas.chains import Chains, Entry, RegistryRecord, entry_key

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    from llmtower_schemas.settings import KafkaSettings

READ_S: Final = 10.0
WRITE_S: Final = 10.0
_STOP_S: Final = 2.0
_FETCH_BYTES: Final = 4 << 20


class RegistryUnavailable(Exception):  # noqa: N818 - reads as a state
    """Kafka does not give or take the registry; the message says where and what to do."""

    retriable = True


class TakenError(Exception):
    """Somebody else wrote the number first; `entry` is what they wrote."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"{entry.chain} is at {entry.number} already")
        self.entry = entry


class RegistryLog(Protocol):
    """The topic, as one reader and writer sees it."""

    async def read(self, wait_s: float = 0.0) -> list[RegistryRecord]:
        """Give what is new up to the present end, at first everything; with `wait_s` wait so long for something to come.

        Raises RegistryUnavailable; nothing is left out by that: the next read begins anew at the beginning.
        """

    async def write(self, key: str, value: bytes) -> int:
        """Write one value, acknowledged, and give its offset. Raises RegistryUnavailable: then nobody knows whether it is there."""

    async def close(self) -> None:
        """Let go; the next read begins at the beginning."""


class MemoryTopic:
    """What several MemoryRegistryLogs share, as processes share Kafka."""

    def __init__(self) -> None:
        self.records: list[RegistryRecord] = []
        self.reachable = True


class MemoryRegistryLog:
    """The topic in memory; times are offsets."""

    def __init__(self, topic: MemoryTopic) -> None:
        self._topic = topic
        self._next = 0

    async def read(self, wait_s: float = 0.0) -> list[RegistryRecord]:
        """Give what is new."""
        self._check()
        new = [record for record in self._topic.records if record.offset >= self._next]
        if not new and wait_s:
            await asyncio.sleep(min(wait_s, 0.01))
        self._next = new[-1].offset + 1 if new else self._next
        return new

    async def write(self, key: str, value: bytes) -> int:
        """Append."""
        self._check()
        offset = self._topic.records[-1].offset + 1 if self._topic.records else 0
        self._topic.records.append(RegistryRecord("memory", offset, offset, key.encode(), value))
        return offset

    async def close(self) -> None:
        """Begin again."""
        self._next = 0

    def _check(self) -> None:
        if not self._topic.reachable:
            self._next = 0
            raise RegistryUnavailable("The registry in memory was made unreachable.")


class KafkaRegistryLog:
    """The topic in Kafka; it is of no group and commits nothing. A connection is opened by the first read, another by the first write."""

    def __init__(self, kafka: "KafkaSettings", *, topic: str = topics.REGISTRY) -> None:
        self._kafka = kafka
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self._incarnation = ""

    async def read(self, wait_s: float = 0.0) -> list[RegistryRecord]:
        """Read to the end, then wait on an open fetch: what is written meanwhile comes at once."""
        from aiokafka.errors import KafkaError

        try:
            async with asyncio.timeout(READ_S + wait_s) as limit:
                consumer = self._consumer or await self._open()
                found = await self._rest(consumer, limit)
                limit.reschedule(asyncio.get_running_loop().time() + READ_S + wait_s)
                return found or (await self._wait(consumer, wait_s) if wait_s else [])
        except (KafkaError, OSError, TimeoutError) as error:
            await self._close_consumer()
            raise self._unavailable("give", error) from error

    async def write(self, key: str, value: bytes) -> int:
        """Send, acknowledged by all replicas in sync."""
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        try:
            async with asyncio.timeout(WRITE_S):
                if self._producer is None:
                    self._producer = AIOKafkaProducer(
                        **self._options(), acks="all", enable_idempotence=True, max_request_size=topics.MAX_RECORD_BYTES
                    )
                    await self._producer.start()
                sent = await self._producer.send_and_wait(self._topic, value, key=key.encode())
                return int(sent.offset)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._close_producer()
            raise self._unavailable("take", error) from error

    async def close(self) -> None:
        """Close both connections."""
        await self._close_consumer()
        await self._close_producer()

    async def incarnation(self, consumer: "AIOKafkaConsumer", topic: str) -> str:
        """Name the topic's present incarnation; '' where nobody asks for it."""
        del consumer, topic
        return ""

    async def _wait(self, consumer: "AIOKafkaConsumer", wait_s: float) -> list[RegistryRecord]:
        consumer.resume(*consumer.assignment())
        return self._records(await consumer.getmany(timeout_ms=int(wait_s * 1_000)))

    async def _rest(self, consumer: "AIOKafkaConsumer", limit: asyncio.Timeout) -> list[RegistryRecord]:
        """Fetch only while something is there: a consumer that is not paused asks Kafka twice a second for nothing.

        The time limit is for every part anew: one for all would let a slow reader of a long topic begin again and again. A topic that
        ends before what was read of it was made anew, and nothing read of the one before counts.
        """
        from aiokafka.errors import OffsetOutOfRangeError

        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        reached = {partition: await consumer.position(partition) for partition in ends}
        if any(ends[partition] < place for partition, place in reached.items()):
            raise OffsetOutOfRangeError(reached)
        found: list[RegistryRecord] = []
        while True:
            behind = [partition for partition, end in ends.items() if await consumer.position(partition) < end]
            if not behind:
                consumer.pause(*ends)
                return found
            consumer.resume(*behind)
            if part := self._records(await consumer.getmany(*behind, timeout_ms=500)):
                limit.reschedule(asyncio.get_running_loop().time() + READ_S)
                found += part

    def _records(self, got: dict[Any, Any]) -> list[RegistryRecord]:
        return [
            RegistryRecord(self._incarnation, one.offset, one.timestamp, one.key, one.value)
            for messages in got.values()
            for one in messages
        ]

    async def _open(self) -> "AIOKafkaConsumer":
        from aiokafka import AIOKafkaConsumer, TopicPartition

        consumer = AIOKafkaConsumer(
            **self._options(), enable_auto_commit=False, auto_offset_reset="none", max_partition_fetch_bytes=_FETCH_BYTES
        )
        self._consumer = consumer
        await consumer.start()
        await consumer._client.force_metadata_update()
        partitions = [TopicPartition(self._topic, number) for number in sorted(consumer.partitions_for_topic(self._topic) or {0})]
        consumer.assign(partitions)
        self._incarnation = await self.incarnation(consumer, self._topic)
        await consumer.seek_to_beginning(*partitions)
        return consumer

    def _options(self) -> dict[str, Any]:
        if not self._kafka.bootstrap_servers:
            raise RegistryUnavailable("The registry needs Kafka's address: set LLMTOWER_KAFKA__BOOTSTRAP_SERVERS.")
        return self._kafka.client_options(metadata_s=60)

    async def _close_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        await _stop(consumer)

    async def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        await _stop(producer)

    def _unavailable(self, verb: str, error: BaseException) -> RegistryUnavailable:
        where = f"Kafka at {self._kafka.bootstrap_servers} does not {verb} topic {self._topic}"
        return RegistryUnavailable(f"{where} ({type(error).__name__}). Is it running? `llmtower doctor` looks.")


async def _stop(client: Any) -> None:
    if client is not None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.stop(), _STOP_S)


async def append(log: RegistryLog, chains: Chains, chain: str, value: bytes, *, after: int) -> Entry:
    """Write the entry that follows number `after` of a chain, and read on until it is known whose entry that became.

    Raises TakenError when another one stands there, RegistryUnavailable when that cannot be told.
    """
    chains.learn(await log.read())
    head = chains.head(chain)
    if head is not None and head.number > after:
        raise TakenError(head)
    attempt = uuid.uuid4().hex
    await log.write(entry_key(chain, after + 1, attempt), value)
    chains.learn(await log.read())
    winner = chains.entry(chain, after + 1)
    if winner is None:
        raise RegistryUnavailable(f"What was written to {chain} cannot be read back yet; look again before you repeat it.")
    if winner.attempt != attempt:
        raise TakenError(chains.head(chain) or winner)
    return winner
