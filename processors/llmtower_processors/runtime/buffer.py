"""What was read of one partition and not yet taken into a range: bounded, in order, with its size in rows and bytes."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from typing import Final

from llmtower_processors.runtime.envelopes import Envelope, envelope
from llmtower_processors.runtime.model import Record

_ROWS_OF_A_RECORD: Final = 10_000
"""A record whose header says more, or nothing, counts as one row."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a range is cut and how much is held: rows are events as the records' headers count them."""

    rows: int = 20_000
    bytes: int = 32 << 20
    flush_s: float = 1.0
    acknowledge_s: float = 5.0

    @property
    def full_rows(self) -> int:
        """From this many rows on the partition is paused."""
        return 2 * self.rows

    @property
    def full_bytes(self) -> int:
        """From this many bytes on the partition is paused."""
        return 2 * self.bytes


@dataclass(frozen=True, slots=True)
class Held:
    """The records of the range in hand."""

    first: int
    records: list[Record]
    envelopes: list[Envelope]
    rows: int

    @property
    def last(self) -> int:
        """Offset of the last record; `first - 1` if there is none."""
        return self.records[-1].offset if self.records else self.first - 1


class Buffer:
    """Records from offset `cursor` on; a cursor of None takes nothing in."""

    def __init__(self) -> None:
        self.cursor: int | None = None
        self.records: list[Record] = []
        self.rows = 0
        self.bytes = 0
        self.since = 0.0
        self._envelopes: list[Envelope] = []

    def open(self, cursor: int | None) -> None:
        """Forget everything and begin at `cursor`."""
        self.cursor = cursor
        self.records, self._envelopes = [], []
        self.rows = self.bytes = 0

    def add(self, records: Sequence[Record], now: float, waited_s: float = 0.0) -> None:
        """Take in what was polled at monotonic time `now`; its first record has waited in Kafka for `waited_s` already."""
        if self.cursor is None or not records:
            return
        after = self.records[-1].offset if self.records else self.cursor - 1
        if records[0].offset <= after:
            records = [record for record in records if record.offset > after]
        if not self.records:
            self.since = now - waited_s
        fresh = [envelope(record) for record in records]
        self.records.extend(records)
        self._envelopes.extend(fresh)
        self.rows += _rows(fresh)
        self.bytes += _bytes(records)

    @property
    def last(self) -> int:
        """Offset of the last record, -1 if there is none."""
        return self.records[-1].offset if self.records else -1

    def cut(self, limits: Limits, now: float, last: int | None, upto: int) -> Held:
        """Take out a range: up to offset `last`, else what the limits allow of the records up to `upto`, and at least one."""
        first = self.cursor or 0
        count = self._until(last) if last is not None else min(self._within(limits), self._until(upto))
        taken = self._envelopes[:count]
        held = Held(first, self.records[:count], taken, _rows(taken))
        del self.records[:count], self._envelopes[:count]
        self.rows = self.rows - held.rows if self.records else 0
        self.bytes = self.bytes - _bytes(held.records) if self.records else 0
        self.cursor = (held.last if last is None else last) + 1
        self.since = now - limits.flush_s if self.records else now
        return held

    def _until(self, last: int) -> int:
        return bisect_right(self.records, last, key=attrgetter("offset"))

    def _within(self, limits: Limits) -> int:
        if self.rows <= limits.rows and self.bytes <= limits.bytes:
            return len(self.records)
        rows = list(accumulate(_row_counts(self._envelopes)))
        sizes = list(accumulate(len(record.value or b"") for record in self.records))
        return max(1, min(bisect_right(rows, limits.rows), bisect_right(sizes, limits.bytes)))

    def restore(self, held: Held) -> None:
        """Put a range back in front, as it was never begun."""
        self.cursor = held.first
        self.records[:0], self._envelopes[:0] = held.records, held.envelopes
        self.rows += held.rows
        self.bytes += _bytes(held.records)


def _rows(senders: Sequence[Envelope]) -> int:
    return sum(_row_counts(senders))


def _row_counts(senders: Sequence[Envelope]) -> list[int]:
    return [n if 0 < (n := sender.events) <= _ROWS_OF_A_RECORD else 1 for sender in senders]


def _bytes(records: Sequence[Record]) -> int:
    return sum([len(record.value) for record in records if record.value])
