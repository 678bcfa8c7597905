"""Arithmetic of event numbers: how many of a producer's events are there, how many more than once. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class Coverage:
    """The union of intervals `first .. first + count - 1`, given in ascending order of `first`; memory does not grow."""

    covered: int = 0
    """Numbers that lie in at least one interval."""
    doubled: int = 0
    """How often a number that was covered already came again."""
    end: int = 0
    """One more than the highest number covered."""
    begun: bool = False

    def add(self, first: int, count: int) -> None:
        """Add one interval. Raises ValueError when its start is below that of the one before."""
        if self.begun and first < self._last_first:
            raise ValueError("intervals must come in ascending order of their first number")
        self._last_first = first
        fresh = count if not self.begun else max(0, first + count - max(first, self.end))
        self.covered += fresh
        self.doubled += count - fresh
        self.end = max(self.end, first + count) if self.begun else first + count
        self.begun = True

    _last_first: int = 0


def coverage(intervals: Iterable[tuple[int, int]]) -> Coverage:
    """Add up intervals (first, count) in any order."""
    result = Coverage()
    for first, count in sorted(intervals):
        result.add(first, count)
    return result


@dataclass(frozen=True, slots=True)
class Books:
    """A producer's own count of its run, from its last heartbeat."""

    emitted: int
    delivered: int
    spooled: int
    dropped: int
    final: bool
    """True: it closed or fell silent, so nothing it still held can arrive any more (but what it spooled)."""


def missing(books: Books, stored: int) -> int:
    """Count the events that should be stored and are not.

    A run that is over: emitted - dropped - spooled - stored; spooled events may come with the app's next start, and count as stored
    when they do, so the figure is a lower bound while any are spooled. A live run: what Kafka acknowledged and is not stored.
    """
    expected = books.emitted - books.dropped - books.spooled if books.final else books.delivered
    return max(0, expected - stored)
