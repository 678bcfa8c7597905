"""The private corner of aiokafka 0.14 that exactly-once needs; nothing else of ours touches what is not public there.

Its own `commit()` reads generation and member id when it sends, so an evicted member commits with generation -1, which an emptied
group accepts; its `committed()` takes an error of the whole answer for "none"; its Metadata request ends at version 5, without
topic ids. A test fails when aiokafka changes under this module (tests/runtime/test_fencing.py).
"""

import asyncio
import base64
import collections
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka_errors
from aiokafka.client import ConnectionGroup
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from llmtower_processors.runtime.edges import (
    CommitNotSentError,
    CommitRefusedError,
    CommitUnknownError,
    Fence,
    LogUnavailableError,
    TopicPartition,
)

_FENCED_OUT: Final = (
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.RebalanceInProgressError,
)


def capture(consumer: AIOKafkaConsumer) -> Fence:
    """Who we are in the group, to be called while partitions are being assigned."""
    return Fence(consumer._coordinator.generation, consumer._coordinator.member_id)


def ended(consumer: AIOKafkaConsumer) -> bool:
    """Whether the task that keeps the membership has died: the consumer must be replaced."""
    return bool(consumer._coordinator._coordination_task.done())


def wait_for_records(consumer: AIOKafkaConsumer, wait_ms: int) -> None:
    """Let the broker hold the fetches from now on for so long when there is nothing to fetch."""
    consumer._fetcher._fetch_max_wait_ms = wait_ms


def position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """Offset of the next record to be returned; 0 for a partition that is no longer assigned."""
    subscription = consumer._subscription.subscription
    state = subscription.assignment.state_value(partition) if subscription and subscription.assignment else None
    return int(state.position) if state is not None and state.has_valid_position else 0


async def commit(consumer: AIOKafkaConsumer, fence: Fence, commits: Mapping[TopicPartition, tuple[int, str]]) -> None:
    """Commit offsets with metadata as exactly that member of that generation.

    Raises CommitNotSentError when nothing left this process, CommitRefusedError when the broker fenced us out, CommitUnknownError for
    everything else: such a commit may be applied even later.
    """
    coordinator = consumer._coordinator
    if capture(consumer) != fence:
        raise CommitRefusedError(f"no longer {fence.member} of generation {fence.generation}")
    if coordinator.coordinator_id is None:
        raise CommitNotSentError("the group's coordinator is not known yet")
    request = OffsetCommitRequest(
        coordinator.group_id, fence.generation, fence.member, OffsetCommitRequest.DEFAULT_RETENTION_TIME, _by_topic(commits)
    )
    try:
        response = await consumer._client.send(coordinator.coordinator_id, request, group=ConnectionGroup.COORDINATION)
    except kafka_errors.NodeNotReadyError as error:
        coordinator.coordinator_dead()
        raise CommitNotSentError(f"no connection to the group's coordinator: {error}") from error
    except kafka_errors.KafkaError as error:
        coordinator.coordinator_dead()
        raise CommitUnknownError(f"no answer to the commit: {error!r}") from error
    _judge(coordinator, {kafka_errors.for_code(code) for _, partitions in response.topics for _, code in partitions})


def _by_topic(commits: Mapping[TopicPartition, tuple[int, str]]) -> list[tuple[str, list[tuple[int, int, str]]]]:
    topics: dict[str, list[tuple[int, int, str]]] = collections.defaultdict(list)
    for (topic, partition), (offset, metadata) in commits.items():
        topics[topic].append((partition, offset, metadata))
    return list(topics.items())


def _judge(coordinator: Any, outcomes: set[type[kafka_errors.KafkaError]]) -> None:
    failures = outcomes - {kafka_errors.NoError}
    if not failures:
        return
    names = ", ".join(sorted(failure.__name__ for failure in failures))
    if failures <= {kafka_errors.RebalanceInProgressError}:
        coordinator.request_rejoin()
        raise CommitRefusedError(names)
    if failures <= set(_FENCED_OUT):
        coordinator.reset_generation()
        raise CommitRefusedError(names)
    raise CommitUnknownError(names)


async def committed(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, str]]:
    """Read (offset, metadata) of each partition by naming it; offset -1 means none. Raises LogUnavailableError for anything else."""
    wanted = set(partitions)
    by_topic: dict[str, list[int]] = collections.defaultdict(list)
    for topic, partition in sorted(wanted):
        by_topic[topic].append(partition)
    coordinator = consumer._coordinator
    try:
        response = await coordinator._send_req(OffsetFetchRequest(coordinator.group_id, list(by_topic.items())))
    except kafka_errors.KafkaError as error:
        raise LogUnavailableError(f"no answer to the offset fetch: {error!r}") from error
    found: dict[TopicPartition, tuple[int, str]] = {}
    codes = {getattr(response, "error_code", 0)}
    for topic, rows in response.topics:
        for partition, offset, metadata, code in rows:
            codes.add(code)
            found[TopicPartition(topic, partition)] = (offset, metadata or "")
    codes.discard(0)
    if codes:
        if codes & {kafka_errors.NotCoordinatorForGroupError.errno, kafka_errors.GroupCoordinatorNotAvailableError.errno}:
            coordinator.coordinator_dead()
        raise LogUnavailableError("offset fetch: " + ", ".join(kafka_errors.for_code(code).__name__ for code in sorted(codes)))
    if missing := wanted - found.keys():
        raise LogUnavailableError(f"offset fetch: no answer for {len(missing)} partitions")
    return {partition: found[partition] for partition in wanted}


async def leave(consumer: AIOKafkaConsumer, timeout_s: float) -> None:
    """Leave the group and forget who we were; the coordinator's own task then joins again as somebody new."""
    coordinator = consumer._coordinator
    try:
        async with asyncio.timeout(timeout_s):
            await coordinator._maybe_leave_group()
    except (TimeoutError, kafka_errors.KafkaError):
        coordinator.reset_generation()


class Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """A Kafka UUID: 16 bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """Write the 16 bytes."""
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        """Read the 16 bytes."""
        return data.read(16)


_NAME = CompactString("utf-8")


class MetadataResponseV12(Response):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """Metadata with the cluster's id and each topic's (KIP-516)."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("node_id", Int32), ("host", _NAME), ("port", Int32), ("rack", _NAME), ("tags", TaggedFields))),
        ("cluster_id", _NAME),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _NAME),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MetadataRequestV12(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """Ask for topics by name, creating none."""

    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponseV12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", _NAME), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIdsRequest(Request[MetadataRequestV12]):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """Builds the one version that knows topic ids (Kafka 2.8 and later)."""

    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics: list[tuple[bytes, str, dict[int, bytes]]] = [(bytes(16), topic, {}) for topic in topics]

    def build(self, request_struct_class: type[MetadataRequestV12]) -> MetadataRequestV12:
        """Build the request."""
        return request_struct_class(self._topics, False, False, {})


async def incarnations(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> dict[str, str]:
    """Give cluster id and topic id, as `<cluster>.<topic>`, of each topic. Raises LogUnavailableError."""
    wanted = sorted(set(topics))
    node = consumer._client.get_random_node()
    if node is None:
        raise LogUnavailableError("no broker is known")
    try:
        response = await consumer._client.send(node, TopicIdsRequest(wanted))
    except kafka_errors.KafkaError as error:
        raise LogUnavailableError(f"no answer to the metadata request: {error!r}") from error
    found: dict[str, str] = {}
    for code, name, topic_id, *_ in response.topics:
        if code:
            raise LogUnavailableError(f"topic {name}: {kafka_errors.for_code(code).__name__}")
        found[name] = f"{response.cluster_id}.{base64.urlsafe_b64encode(topic_id).decode().rstrip('=')}"
    if set(found) != set(wanted):
        raise LogUnavailableError("the metadata answer leaves out a topic")
    return found
