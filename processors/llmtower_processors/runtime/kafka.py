"""The log edge on Kafka: one aiokafka consumer, every position sought by us, every commit fenced."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import errors as kafka_errors
from aiokafka.structs import TopicPartition as KafkaPartition

from llmtower_processors.runtime import fencing
from llmtower_processors.runtime.edges import (
    Fence,
    LogEndedError,
    LogUnavailableError,
    OnAssigned,
    OnRevoked,
    PositionLostError,
    TopicPartition,
)
from llmtower_processors.runtime.model import Record
from llmtower_processors.runtime.pending import Pending
from llmtower_processors.runtime.steps import State

DEFAULTS: Final[Mapping[str, Any]] = {
    "session_timeout_ms": 15_000,
    "heartbeat_interval_ms": 1_000,
    "rebalance_timeout_ms": 30_000,
    "max_poll_interval_ms": 300_000,
    "metadata_max_age_ms": 5_000,
    "request_timeout_ms": 20_000,
    "fetch_max_wait_ms": 2_000,
    "max_partition_fetch_bytes": 4 << 20,
    "isolation_level": "read_committed",
}
"""Options of the consumer that may be overridden."""

_OURS: Final[Mapping[str, Any]] = {"enable_auto_commit": False, "auto_offset_reset": "none"}
_BUSY_WAIT_MS: Final = 100
"""How long the broker may hold a fetch while records come, or a partition is paused: a fetch under way leaves out the partitions that
were paused or whose records had not been taken yet, and the next one to that broker waits for it. In quiet times a fetch names all."""
_QUIET_POLLS: Final = 2
"""So many polls without a record are a quiet time."""
_LEAVE_S: Final = 5.0
_STOP_S: Final = 10.0


class KafkaLog:
    """A member of a consumer group; see `edges.Log`."""

    def __init__(self, options: Mapping[str, Any], group_id: str, topics: Sequence[str]) -> None:
        self._options = {**DEFAULTS, **options, **_OURS, "group_id": group_id}
        self._topics = tuple(topics)
        self._started: AIOKafkaConsumer | None = None
        self._quiet_polls = 0

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        if self._started is None:
            raise LogEndedError("the consumer is not started")
        return self._started

    async def start(self, on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group; partitions are paused until sought. Raises LogUnavailableError."""
        consumer = AIOKafkaConsumer(**self._options)
        self._started = consumer
        consumer.subscribe(self._topics, listener=_Listener(consumer, on_assigned, on_revoked))
        try:
            await consumer.start()
        except (kafka_errors.KafkaError, OSError) as error:
            await self.stop()
            raise LogUnavailableError(f"cannot join the group: {error!r}") from error
        except BaseException:
            await self.stop()
            raise

    async def poll(self, timeout_s: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return what was fetched. Raises PositionLostError, LogEndedError, LogUnavailableError."""
        consumer = self._consumer
        try:
            fetched = await consumer.getmany(timeout_ms=int(timeout_s * 1000))
        except kafka_errors.OffsetOutOfRangeError as error:
            raise PositionLostError(TopicPartition(*partition) for partition in error.args[0]) from error
        except kafka_errors.NoOffsetForPartitionError:
            return {}
        except kafka_errors.ConsumerStoppedError as error:
            raise LogEndedError("the consumer was stopped") from error
        except kafka_errors.KafkaError as error:
            kind = LogEndedError if fencing.ended(consumer) else LogUnavailableError
            raise kind(f"poll: {error!r}") from error
        self._quiet_polls = 0 if fetched else self._quiet_polls + 1
        self._pace()
        return {TopicPartition(*partition): [_record(r) for r in records] for partition, records in fetched.items()}

    def position(self, partition: TopicPartition) -> int:
        """Offset of the next record."""
        return fencing.position(self._consumer, partition)

    def end(self, partition: TopicPartition) -> int | None:
        """High watermark as of the last fetch."""
        with contextlib.suppress(kafka_errors.KafkaError, AssertionError):
            found = self._consumer.highwater(KafkaPartition(*partition))
            return None if found is None else int(found)
        return None

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`; nothing happens if the partition is gone."""
        with contextlib.suppress(kafka_errors.IllegalStateError):
            self._consumer.seek(KafkaPartition(*partition), offset)

    def pause(self, partition: TopicPartition) -> None:
        """Stop fetching."""
        with contextlib.suppress(kafka_errors.IllegalStateError):
            self._consumer.pause(KafkaPartition(*partition))
            self._pace()

    def resume(self, partition: TopicPartition) -> None:
        """Fetch again."""
        with contextlib.suppress(kafka_errors.IllegalStateError):
            self._consumer.resume(KafkaPartition(*partition))
            self._pace()

    def _pace(self) -> None:
        idle_ms = int(self._options["fetch_max_wait_ms"])
        busy = self._quiet_polls < _QUIET_POLLS or self._consumer.paused()
        fencing.wait_for_records(self._consumer, min(_BUSY_WAIT_MS, idle_ms) if busy else idle_ms)

    async def states(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, State]:
        """Read commits, log ends and incarnations; all of one and the same incarnation."""
        wanted = [KafkaPartition(*partition) for partition in sorted(partitions)]
        before = await self.incarnations({p.topic for p in wanted})
        commits = await fencing.committed(self._consumer, [TopicPartition(*p) for p in wanted])
        try:
            starts = await self._consumer.beginning_offsets(wanted)
            ends = await self._consumer.end_offsets(wanted)
        except kafka_errors.KafkaError as error:
            raise LogUnavailableError(f"no answer to the offset request: {error!r}") from error
        if await self.incarnations({p.topic for p in wanted}) != before:
            raise LogUnavailableError("a topic was re-created while its state was read")
        return {TopicPartition(*p): State(before[p.topic], *commits[TopicPartition(*p)], int(starts[p]), int(ends[p])) for p in wanted}

    async def incarnations(self, topics: Iterable[str]) -> Mapping[str, str]:
        """Cluster id and topic id of each topic."""
        return await fencing.incarnations(self._consumer, topics)

    async def commit(self, fence: Fence, pending: Mapping[TopicPartition, Pending]) -> None:
        """Commit for all partitions in one request."""
        await fencing.commit(self._consumer, fence, {partition: (p.first, p.metadata) for partition, p in pending.items()})

    async def leave(self) -> None:
        """Leave and join again."""
        await fencing.leave(self._consumer, _LEAVE_S)

    async def stop(self) -> None:
        """Leave for good, bounded in time."""
        if self._started is not None:
            consumer, self._started = self._started, None
            with contextlib.suppress(TimeoutError, kafka_errors.KafkaError):
                async with asyncio.timeout(_STOP_S):
                    await consumer.stop()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no type hints
    """Captures the fence of each assignment and holds the partitions until they are sought."""

    def __init__(self, consumer: AIOKafkaConsumer, on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        self._consumer = consumer
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        await self._on_revoked()

    def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        for partition in assigned:
            self._consumer.seek(partition, 0)
            self._consumer.pause(partition)
        self._on_assigned(fencing.capture(self._consumer), frozenset(TopicPartition(*p) for p in assigned))


def _record(r: Any) -> Record:
    return Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
