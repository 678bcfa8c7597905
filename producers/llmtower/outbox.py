"""Where the caller leaves events: a bounded queue without locks, so that no signal, finaliser or fork can ever hang the host.

Every step is one atomic operation of CPython (deque.append, deque.popleft, itertools.count): many callers append, one courier takes.
The caller never wakes anybody: the courier looks in by itself, and is woken only when the queue is half full.
"""

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from llmtower.errors import internal_error

OVERHEAD_BYTES = 900
"""What an event costs in memory beside its contents."""

Item = tuple[Any, Any, int, int]
"""How to turn it into a line (a function of the item and the policy), the thing itself, its size in bytes, its time in nanoseconds."""


class Tally:
    """A counter that many threads may raise without a lock, and that is exact to read."""

    __slots__ = ("_reads", "add")

    def __init__(self) -> None:
        self.add: Callable[[], int] = itertools.count().__next__
        self._reads = itertools.count().__next__

    def value(self) -> int:
        """Give how often `add` was called (reads themselves are counted out)."""
        reads = self._reads()
        return self.add() - reads


class Outbox:
    """The queue between the application and the courier; beyond its limits the oldest event is dropped and counted."""

    def __init__(self, *, max_events: int, max_bytes: int, wake: Callable[[], None]) -> None:
        self.items: deque[Item] = deque()
        self.max_events, self.max_bytes = max_events, max_bytes
        self.emitted = Tally()
        self.dropped = {"queue_events": Tally(), "queue_bytes": Tally(), "closed": Tally(), "invalid": Tally()}
        self.closed = False
        self._wake = wake
        self._count = self.emitted.add
        self._bytes_in = self._bytes_out = 0
        self.wake_at = 0
        """0 at first: the first event, also the first after a fork, finds the courier's thread started."""
        self._wake_in = self._wake_bytes = max_bytes // 2

    def put(self, item: Item) -> None:
        """Take an event; the cost is the same however long the queue is."""
        self._count()
        self.items.append(item)
        self._bytes_in = came = self._bytes_in + item[2]
        if came > self._wake_in or len(self.items) > self.wake_at:
            self._attend()

    def refuse(self, reason: str) -> None:
        """Count an event that cannot be taken."""
        self._count()
        self.dropped[reason].add()

    def _attend(self) -> None:
        """Do what is rarely needed: start or wake the courier, drop what is too much."""
        try:
            if self.closed:
                return self._drop("closed")
            while len(self.items) > self.max_events:
                self._drop("queue_events")
            while self._bytes_in - self._bytes_out > self.max_bytes and len(self.items) > 1:
                self._drop("queue_bytes")
            self.wake_at = self.max_events // 2
            self._wake()
        except Exception:
            internal_error("outbox")
        return None

    def _drop(self, reason: str) -> None:
        if self.take() is not None:
            self.dropped[reason].add()

    def take(self) -> Item | None:
        """Give the oldest event, or None."""
        try:
            item = self.items.popleft()
        except IndexError:
            self._bytes_in = self._bytes_out = 0
            self._wake_in = self._wake_bytes
            return None
        self._bytes_out = gone = self._bytes_out + item[2]
        self._wake_in = gone + self._wake_bytes
        return item

    def lost(self) -> int:
        """Give how many events never reached, or never will reach, the courier."""
        return sum(tally.value() for tally in self.dropped.values())

    def waiting_bytes(self) -> int:
        """Give about how many bytes are waiting."""
        return max(0, self._bytes_in - self._bytes_out)

    def oldest_ns(self) -> int | None:
        """Give the time of the oldest event that waits."""
        try:
            oldest: int = self.items[0][3]
            return oldest
        except IndexError:
            return None
