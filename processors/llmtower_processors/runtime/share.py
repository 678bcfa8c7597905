"""One partition in the hands of one membership, and what the membership holds together."""

import asyncio
from dataclasses import dataclass, field

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.buffer import Buffer, Held, Limits
from llmtower_processors.runtime.edges import Fence, TopicPartition
from llmtower_processors.runtime.model import Block
from llmtower_processors.runtime.pending import Pending
from llmtower_processors.runtime.ranges import Phase, Ranges

REPLAY_S = 5.0
"""A replay whose records do not come within this time reads the state again: the log may have lost them."""


@dataclass(slots=True, eq=False)
class Share:
    """A partition: its state machine, what was read of it, and what is being done about it."""

    partition: TopicPartition
    ranges: Ranges = field(default_factory=Ranges)
    buffer: Buffer = field(default_factory=Buffer)
    held: Held | None = None
    blocks: list[Block] = field(default_factory=list)
    reading: bool = False
    take: steps.Take | None = None
    commit: Pending | None = None
    task: asyncio.Task[None] | None = None
    paused: bool = False
    failures: int = 0
    since: float = 0.0
    last_time_ms: int | None = None
    settling: tuple[str, float] | None = None
    """The salt waited for, and the monotonic time at which nothing is under way any more under the token before it."""

    def due(self, limits: Limits, now: float, position: int) -> bool:
        """Whether the range that is asked for can be cut, or its absence be told."""
        if self.take is None:
            return False
        if self.take.last is not None:
            return position > self.take.last or now - self.since >= REPLAY_S
        if self.buffer.records:
            return self.buffer.rows >= limits.rows or self.buffer.bytes >= limits.bytes or now >= self.buffer.since + limits.flush_s
        return not self.ranges.acknowledged and now >= self.since + limits.acknowledge_s

    def next_due(self, limits: Limits) -> float:
        """Monotonic time at which `due` may change by itself."""
        if self.take is None:
            return float("inf")
        if self.take.last is not None:
            return self.since + REPLAY_S
        if self.buffer.records:
            return self.buffer.since + limits.flush_s
        return float("inf") if self.ranges.acknowledged else self.since + limits.acknowledge_s

    def ask(self, take: steps.Take, now: float) -> bool:
        """Note what is asked for; True if the log has to be sought to its first offset."""
        self.take, self.since = take, now
        held, self.held, self.blocks = self.held, None, []
        if held is not None and held.first == take.first and self.buffer.cursor is not None:
            self.buffer.restore(held)
            return False
        if self.buffer.cursor == take.first:
            return False
        self.buffer.open(take.first)
        return True

    @property
    def stored_to(self) -> int:
        """First offset that is not known to be stored."""
        return self.ranges.pending.first

    def lag(self, end: int | None, seen: tuple[int, int]) -> int:
        """Events not stored yet: those in hand as they were counted, the rest by the average of those seen (events, records)."""
        held = self.held
        in_hand = len(self.buffer.records) + (len(held.records) if held else 0)
        rows = self.buffer.rows + (held.rows if held else 0)
        beyond = max(0, (end or 0) - self.stored_to - in_hand)
        events, records = seen
        return rows + (beyond * events // records if records else beyond)

    def oldest(self, lag: int) -> int | None:
        """Time of the oldest record that is not stored, as far as it was read; None if there is none."""
        for records in (self.held.records if self.held else (), self.buffer.records):
            if records:
                self.last_time_ms = records[0].timestamp_ms
                return self.last_time_ms
        return self.last_time_ms if lag else None

    @property
    def settled(self) -> bool:
        """Whether the state was read and nothing stands in the way."""
        return self.failures == 0 and self.ranges.phase not in (Phase.NEW, Phase.READING, Phase.FENCED, Phase.HALTED)


@dataclass(slots=True, eq=False)
class Membership:
    """What one assignment gave us, and as whom."""

    fence: Fence
    shares: dict[TopicPartition, Share]
    closing: bool = False
    left: bool = False
