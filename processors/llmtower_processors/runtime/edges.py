"""The two edges of the runtime, as protocols: the log (Kafka) and the store (ClickHouse), and how each may fail."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from llmtower_processors.runtime.model import Block, Record
from llmtower_processors.runtime.pending import Pending
from llmtower_processors.runtime.steps import State


class TopicPartition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Fence:
    """Who owned the partitions when they were assigned: every commit of that membership carries exactly this."""

    generation: int
    member: str


class EdgeError(Exception):
    """Something outside failed; `retriable` tells whether trying again may help."""

    retriable: ClassVar[bool] = True


class LogUnavailableError(EdgeError):
    """Kafka did not answer, or answered that it cannot at present."""


class LogEndedError(EdgeError):
    """The consumer itself is broken: stop it and start another."""


class CommitRefusedError(EdgeError):
    """The commit was refused: the member was fenced out. Nothing was written."""

    retriable = False


class CommitUnknownError(EdgeError):
    """The commit may have been applied, or may be applied later."""

    retriable = False


class CommitNotSentError(EdgeError):
    """The commit never left this process."""


class PositionLostError(EdgeError):
    """The positions of `partitions` are not in their logs (deleted by retention, or the topic was re-created)."""

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        self.partitions = frozenset(partitions)
        super().__init__("position out of range: " + ", ".join(f"{p.topic}[{p.partition}]" for p in sorted(self.partitions)))


class StoreUnavailableError(EdgeError):
    """ClickHouse is down, slow or overloaded, or cut the connection: the insert may or may not have been applied."""


class StoreRefusedError(EdgeError):
    """ClickHouse refused for a reason that trying again cannot mend."""

    retriable = False


class StoreUnfitError(EdgeError):
    """The tables or settings found do not give exactly-once; the runtime refuses to run."""

    retriable = False


class Clock(Protocol):
    """Where time comes from."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that only grow."""


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()


OnAssigned = Callable[[Fence, frozenset[TopicPartition]], None]
OnRevoked = Callable[[], Awaitable[None]]


class Log(Protocol):
    """One membership after another of a consumer group; every partition is sought explicitly before it is read."""

    async def start(self, on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group; the callbacks tell of each assignment. Raises LogUnavailableError."""

    async def poll(self, timeout_s: float) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return what arrived, waiting at most `timeout_s` for the first. Raises Log...Error, PositionLostError."""

    def position(self, partition: TopicPartition) -> int:
        """Offset of the next record `poll` would return; it steps over gaps (markers, compaction)."""

    def end(self, partition: TopicPartition) -> int | None:
        """End of the log as of the last fetch, None while unknown."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`."""

    def pause(self, partition: TopicPartition) -> None:
        """Fetch nothing of this partition until `resume`."""

    def resume(self, partition: TopicPartition) -> None:
        """Fetch this partition again."""

    async def states(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, State]:
        """Read commits (by naming the partitions), log ends and incarnations: all of them, or LogUnavailableError."""

    async def incarnations(self, topics: Iterable[str]) -> Mapping[str, str]:
        """Cluster id and topic id of each topic. Raises LogUnavailableError."""

    async def commit(self, fence: Fence, pending: Mapping[TopicPartition, Pending]) -> None:
        """Commit for all partitions at once. Raises CommitRefusedError, CommitUnknownError, CommitNotSentError."""

    async def leave(self) -> None:
        """Leave the group (bounded in time) and join it again as somebody else."""

    async def stop(self) -> None:
        """Leave the group for good."""


class Store(Protocol):
    """The tables. All methods block, may be called from several threads, and raise StoreUnavailableError or StoreRefusedError."""

    def check(self, tables: Sequence[str]) -> None:
        """Raise StoreUnfitError, naming table and setting, unless replays into `tables` and all views behind them are exact."""

    def floors(self, processor: str, incarnations: Mapping[TopicPartition, str]) -> dict[TopicPartition, int]:
        """Highest offset of each partition in the ledger of this processor and incarnation, -1 if none."""

    def highest(self, processor: str, tables: Sequence[str], after: Mapping[TopicPartition, tuple[str, int]]) -> dict[TopicPartition, int]:
        """Highest offset of each partition's incarnation in any of `tables`, if it is above the given one; else -1."""

    def known(
        self, processor: str, incarnation: str, partition: TopicPartition, before: int, keys: Iterable[tuple[str, int]]
    ) -> set[tuple[str, int]]:
        """Those of `keys` (producer, seq) that the ledger has before offset `before`, or from an earlier incarnation."""

    def present(
        self, table: str, columns: Sequence[str], incarnation: str, partition: TopicPartition, offsets: tuple[int, int]
    ) -> set[tuple[Any, ...]]:
        """Values of `columns`, the offset's first, of the rows stored for offsets from the first to the last of `offsets`."""

    def insert(self, block: Block, token: str) -> None:
        """Insert once per token and table; returns when it is stored in the table and in every view behind it."""

    def close(self) -> None:
        """Let go of connections."""
