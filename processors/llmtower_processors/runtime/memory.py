"""Kafka in memory: topics, groups with generations, commits that are fenced, and every fault of theirs to be had on demand."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llmtower_processors.runtime.edges import (
    CommitRefusedError,
    Fence,
    LogUnavailableError,
    OnAssigned,
    OnRevoked,
    PositionLostError,
    TopicPartition,
)
from llmtower_processors.runtime.model import Record
from llmtower_processors.runtime.pending import Pending
from llmtower_processors.runtime.steps import State


@dataclass(slots=True)
class PartitionLog:
    """The records of one partition from `start` on; None stands for an offset without a record (a marker)."""

    start: int = 0
    records: list[Record | None] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Offset the next record will get."""
        return self.start + len(self.records)


@dataclass(slots=True)
class Group:
    """A consumer group: who is in it, in which generation, and what it has committed."""

    generation: int = 0
    members: list[str] = field(default_factory=list)
    topics: tuple[str, ...] = ()
    commits: dict[TopicPartition, tuple[int, str]] = field(default_factory=dict)


class MemoryBroker:
    """A Kafka cluster that does at once what it is asked for."""

    def __init__(self, cluster: str = "memory") -> None:
        self.cluster = cluster
        self.topics: dict[str, list[PartitionLog]] = {}
        self.groups: dict[str, Group] = {}
        self._ids: dict[str, int] = {}
        self._created = 0
        self._joined = 0

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic, or create it anew after it was deleted: its offsets begin at 0, its id is another."""
        self._created += 1
        self._ids[topic] = self._created
        self.topics[topic] = [PartitionLog() for _ in range(partitions)]
        for group in self.groups.values():
            group.commits = {p: c for p, c in group.commits.items() if p.topic != topic}

    def append(
        self,
        partition: TopicPartition,
        value: bytes | None,
        *,
        timestamp_ms: int = 0,
        key: bytes | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> int:
        """Append one record and return its offset."""
        log = self.log(partition)
        offset = log.end
        log.records.append(Record(*partition, offset, timestamp_ms, key, value, headers))
        return offset

    def append_marker(self, partition: TopicPartition) -> None:
        """Let one offset pass without a record, as a transaction's end does."""
        self.log(partition).records.append(None)

    def log(self, partition: TopicPartition) -> PartitionLog:
        """The log of a partition."""
        return self.topics[partition.topic][partition.partition]

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Retention: delete everything before `offset`."""
        log = self.log(partition)
        del log.records[: max(0, offset - log.start)]
        log.start = max(log.start, offset)

    def truncate(self, partition: TopicPartition, end: int) -> None:
        """Lose the tail from offset `end` on."""
        log = self.log(partition)
        del log.records[max(0, end - log.start) :]

    def incarnation(self, topic: str) -> str:
        """Cluster id and topic id."""
        return f"{self.cluster}.{self._ids[topic]}"

    def read(self, partition: TopicPartition, offset: int, limit: int) -> tuple[list[Record], int]:
        """Records from `offset` on and the position after them. Raises PositionLostError."""
        log = self.log(partition)
        if not log.start <= offset <= log.end:
            raise PositionLostError([partition])
        found = log.records[offset - log.start : offset - log.start + limit]
        return [r for r in found if r is not None], offset + len(found)

    def join(self, group_id: str, topics: Sequence[str]) -> str:
        """Become a member; everybody's generation ends."""
        group = self.groups.setdefault(group_id, Group())
        self._joined += 1
        member = f"member-{self._joined}"
        group.members.append(member)
        group.topics = tuple(topics)
        group.generation += 1
        return member

    def remove(self, group_id: str, member: str) -> None:
        """A member left or its session timed out; the generation of an emptied group stays, as in Kafka."""
        group = self.groups[group_id]
        if member in group.members:
            group.members.remove(member)
            group.generation += bool(group.members)

    def assignment(self, group_id: str, member: str) -> tuple[Fence, frozenset[TopicPartition]] | None:
        """What a member owns in the present generation; None if it is no member."""
        group = self.groups[group_id]
        if member not in group.members:
            return None
        partitions = [TopicPartition(t, p) for t in group.topics for p in range(len(self.topics.get(t, ())))]
        mine = frozenset(partitions[group.members.index(member) :: len(group.members)])
        return Fence(group.generation, member), mine

    def commit(self, group_id: str, fence: Fence, commits: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Write commits of a member of the present generation; an empty group accepts generation -1, as Kafka does."""
        group = self.groups.setdefault(group_id, Group())
        simple = fence.generation < 0 and not group.members
        if not simple and (fence.member not in group.members or fence.generation != group.generation):
            raise CommitRefusedError(f"{fence.member} of generation {fence.generation}; the group is at {group.generation}")
        group.commits.update(commits)

    def state(self, group_id: str, partition: TopicPartition) -> State:
        """The group's commit, the log's ends and the topic's incarnation."""
        offset, metadata = self.groups.setdefault(group_id, Group()).commits.get(partition, (-1, ""))
        log = self.log(partition)
        return State(self.incarnation(partition.topic), offset, metadata, log.start, log.end)


def as_commits(pending: Mapping[TopicPartition, Pending]) -> dict[TopicPartition, tuple[int, str]]:
    """What a commit of pending ranges writes: offset and metadata."""
    return {partition: (p.first, p.metadata) for partition, p in pending.items()}


class MemoryLog:
    """The log edge on a MemoryBroker; `fault` is called with the name of each call and may raise or wait in its stead."""

    def __init__(self, broker: MemoryBroker, group_id: str, topics: Sequence[str], *, limit: int = 500) -> None:
        self.broker = broker
        self.fault: Callable[[str], None] = lambda call: None
        self._group_id = group_id
        self._topics = tuple(topics)
        self._limit = limit
        self._member = ""
        self._fence: Fence | None = None
        self._positions: dict[TopicPartition, int | None] = {}
        self.paused: set[TopicPartition] = set()
        self.polls = 0
        self._on_assigned: OnAssigned = lambda fence, partitions: None

    async def start(self, on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group; the first poll tells of the assignment."""
        self._call("start")
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        self._member = self.broker.join(self._group_id, self._topics)

    def _call(self, name: str) -> None:
        self.fault(name)

    async def _follow(self) -> None:
        """Notice a rebalance, as heartbeats would."""
        found = self.broker.assignment(self._group_id, self._member)
        if found is not None and found[0] == self._fence:
            return
        if self._fence is not None:
            self._positions.clear()
            await self._on_revoked()
        if found is None:
            self._member = self.broker.join(self._group_id, self._topics)
        assigned = self.broker.assignment(self._group_id, self._member)
        if assigned is None:
            raise LogUnavailableError("not a member")
        self._fence = assigned[0]
        self._positions = dict.fromkeys(assigned[1])
        self.paused.clear()
        self._on_assigned(*assigned)

    async def poll(self, timeout_s: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return what there is at the positions sought."""
        self._call("poll")
        self.polls += 1
        await self._follow()
        waited = 0.0
        while True:
            out, lost = {}, []
            for partition, position in self._positions.items():
                if position is None or partition in self.paused:
                    continue
                try:
                    records, self._positions[partition] = self.broker.read(partition, position, self._limit)
                except PositionLostError:
                    lost.append(partition)
                    continue
                if records:
                    out[partition] = records
            if lost:
                raise PositionLostError(lost)
            if out or waited >= timeout_s:
                return out
            await asyncio.sleep(0.005)
            waited += 0.005

    def position(self, partition: TopicPartition) -> int:
        """Offset of the next record."""
        return self._positions.get(partition) or 0

    def end(self, partition: TopicPartition) -> int | None:
        """End of the log."""
        return self.broker.log(partition).end

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`."""
        if partition in self._positions:
            self._positions[partition] = offset

    def pause(self, partition: TopicPartition) -> None:
        """Return nothing of this partition until `resume`."""
        self.paused.add(partition)

    def resume(self, partition: TopicPartition) -> None:
        """Return records of this partition again."""
        self.paused.discard(partition)

    async def states(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, State]:
        """Commits, log ends and incarnations."""
        self._call("states")
        return {p: self.broker.state(self._group_id, p) for p in partitions}

    async def incarnations(self, topics: Iterable[str]) -> Mapping[str, str]:
        """Cluster id and topic id of each topic."""
        self._call("incarnations")
        return {t: self.broker.incarnation(t) for t in topics}

    async def commit(self, fence: Fence, pending: Mapping[TopicPartition, Pending]) -> None:
        """Commit for all partitions at once; a fault named `commit` prevents it, one named `committed` hides its outcome."""
        self._call("commit")
        self.broker.commit(self._group_id, fence, as_commits(pending))
        self._call("committed")

    async def leave(self) -> None:
        """Leave; the next poll joins again."""
        self.broker.remove(self._group_id, self._member)

    async def stop(self) -> None:
        """Leave for good."""
        if self._member:
            self.broker.remove(self._group_id, self._member)
