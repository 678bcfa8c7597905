"""Reading Kafka's records again, by offset and by time: the edge of the audit, for real and in memory."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime.edges import LogUnavailableError
from llmtower_processors.runtime.fencing import incarnations
from llmtower_processors.runtime.model import Record
from llmtower_schemas.kafka_trouble import trouble
from llmtower_schemas.settings import KafkaSettings

T = TypeVar("T")

POLL_MS = 1_000
READING: Final = {"enable_auto_commit": False, "auto_offset_reset": "none", "isolation_level": "read_committed"}
"""As the runtime reads: what it steps over is no record here either."""
QUIET_POLLS = 10
"""Empty answers in a row after which a range that should have records is given up."""
METADATA_ATTEMPTS = 5
METADATA_PAUSE_S = 0.1
"""An answer that was on its way when a topic was asked for does not have it: a topic counts as absent only after so many."""


@dataclass(frozen=True, slots=True)
class LogEnds:
    """Offsets of the first record a partition still has and of the next one it will get."""

    start: int
    end: int


class Records(Protocol):
    """Kafka's records, read by position. Every method blocks, and raises Unreachable when Kafka does not answer."""

    def incarnation(self, topic: str) -> str:
        """Cluster id and topic id, as in the ledger."""

    def ends(self, topic: str) -> Mapping[int, LogEnds]:
        """Give the ends of every partition."""

    def since(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """Give, for every partition, the offset of its first record of that time or later (its end if there is none)."""

    def read(self, topic: str, partition: int, first: int, last: int) -> Iterator[Record]:
        """Give the records at offsets `first..last` that exist; a few at a time are held in memory."""


def ranges(offsets: Iterable[int], slack: int = 1_000) -> Iterator[tuple[int, int]]:
    """Cover ascending offsets by ranges; gaps up to `slack` are read over, as that is quicker than to seek."""
    first = last = None
    for offset in offsets:
        if first is None or last is None:
            first = last = offset
        elif offset <= last + slack:
            last = offset
        else:
            yield first, last
            first = last = offset
    if first is not None and last is not None:
        yield first, last


@dataclass(slots=True)
class MemoryRecords:
    """Records in memory: `logs[topic, partition]` in ascending order of offset."""

    incarnations: dict[str, str]
    logs: dict[tuple[str, int], list[Record]]
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    tails: dict[tuple[str, int], int] = field(default_factory=dict)

    def incarnation(self, topic: str) -> str:
        """Cluster id and topic id, as in the ledger."""
        return self.incarnations[topic]

    def ends(self, topic: str) -> Mapping[int, LogEnds]:
        """Give the ends of every partition; `starts` and `tails` move them, as retention and markers do."""
        return {key[1]: LogEnds(self.starts.get(key, 0), self._end(key)) for key in self.logs if key[0] == topic}

    def since(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """Give the first offset of that time or later."""
        found = {}
        for key in self.logs:
            if key[0] == topic:
                later = (record.offset for record in self._kept(key) if record.timestamp_ms >= time_ms)
                found[key[1]] = next(later, self._end(key))
        return found

    def read(self, topic: str, partition: int, first: int, last: int) -> Iterator[Record]:
        """Give the records at offsets `first..last` that exist."""
        records = self._kept((topic, partition))
        begin = bisect_left(records, first, key=lambda record: record.offset)
        for record in records[begin:]:
            if record.offset > last:
                return
            yield record

    def _kept(self, key: tuple[str, int]) -> list[Record]:
        return [record for record in self.logs[key] if record.offset >= self.starts.get(key, 0)]

    def _end(self, key: tuple[str, int]) -> int:
        return max([self.starts.get(key, 0), self.tails.get(key, 0), *(record.offset + 1 for record in self.logs[key])])


class KafkaRecords:
    """Records of a real Kafka, read without a consumer group. Use as a context manager, from one thread at a time."""

    def __init__(self, kafka: KafkaSettings, incarnation: Callable[[str], str] | None = None) -> None:
        self._options: dict[str, Any] = kafka.client_options()
        self._where = kafka.bootstrap_servers
        self._incarnation = incarnation
        self._timeout_s = kafka.request_timeout_ms / 1_000 * 2

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        try:
            self._consumer = self._run(self._start)
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._run(self._consumer.stop)
        finally:
            self._runner.close()

    def incarnation(self, topic: str) -> str:
        """Cluster id and topic id, as in the ledger; asked from Kafka unless another source was given."""
        if self._incarnation is not None:
            return self._incarnation(topic)

        async def ask() -> dict[str, str]:
            await self._partitions(topic)
            return await incarnations(self._consumer, [topic])

        return self._run(ask)[topic]

    def ends(self, topic: str) -> Mapping[int, LogEnds]:
        """Give the ends of every partition."""

        async def ask() -> dict[int, LogEnds]:
            partitions = await self._partitions(topic)
            starts = await self._consumer.beginning_offsets(partitions)
            ends = await self._consumer.end_offsets(partitions)
            return {p.partition: LogEnds(starts[p], ends[p]) for p in partitions}

        return self._run(ask)

    def since(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """Give the first offset of that time or later."""

        async def ask() -> dict[int, int]:
            partitions = await self._partitions(topic)
            found = await self._consumer.offsets_for_times({p: max(0, time_ms) for p in partitions})
            ends = await self._consumer.end_offsets(partitions)
            return {p.partition: at.offset if (at := found[p]) else ends[p] for p in partitions}

        return self._run(ask)

    def read(self, topic: str, partition: int, first: int, last: int) -> Iterator[Record]:
        """Give the records at offsets `first..last` that exist. Raises Unreachable when Kafka gives nothing for long."""
        ends = self.ends(topic)[partition]
        first, last = max(first, ends.start), min(last, ends.end - 1)
        if last < first:
            return
        where = TopicPartition(topic, partition)
        self._run(lambda: self._seek(where, first))
        quiet = 0
        while True:
            batch, position = self._run(lambda: self._poll(where))
            for message in batch:
                if message.offset > last:
                    return
                yield _record(message)
            if position > last:
                return
            quiet = 0 if batch else quiet + 1
            if quiet == QUIET_POLLS:
                raise Unreachable(f"Kafka at {self._where} gave no records of {topic}[{partition}] from offset {position} on.")

    async def _seek(self, where: TopicPartition, offset: int) -> None:
        self._consumer.assign([where])
        self._consumer.seek(where, offset)

    async def _poll(self, where: TopicPartition) -> tuple[list[Any], int]:
        batch = (await self._consumer.getmany(where, timeout_ms=POLL_MS, max_records=500)).get(where, [])
        return batch, await self._consumer.position(where)

    async def _start(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._options, **READING)
        try:
            await consumer.start()
        except KafkaError:
            await consumer.stop()
            raise
        return consumer

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        client = self._consumer._client
        for _ in range(METADATA_ATTEMPTS):
            await client.add_topic(topic)  # partitions_for_topic knows only topics somebody asked for
            if found := self._consumer.partitions_for_topic(topic):
                return [TopicPartition(topic, partition) for partition in sorted(found)]
            await asyncio.sleep(METADATA_PAUSE_S)
            await client.force_metadata_update()
        raise Unreachable(f"Kafka at {self._where} has no topic {topic}. Run: llmtower topics create")

    def _run(self, step: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(self._timeout_s):
                return await step()

        try:
            return self._runner.run(bounded())
        except KafkaConnectionError as error:
            raise Unreachable(f"Kafka cannot be reached: {self._runner.run(trouble(self._options))}") from error
        except (KafkaError, LogUnavailableError, TimeoutError) as error:
            raise Unreachable(f"Kafka at {self._where} does not answer ({type(error).__name__}). Is it running?") from error


def _record(message: Any) -> Record:
    headers = tuple((name, value) for name, value in message.headers)
    return Record(message.topic, message.partition, message.offset, message.timestamp, message.key, message.value, headers)
