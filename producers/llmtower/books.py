"""The books: emitted = delivered + spooled + dropped + queued, exactly, at any moment.

`emitted` and what callers drop are tallies without locks; everything else has one writer, the courier, who replaces one frozen value.
What is `queued` is what remains, so a fault in any of the others would show there after a flush.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llmtower.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Stats:
    """A producer run's books, in events; cumulative, but for `spooled` and `queued`, which are what is there now."""

    producer: str
    emitted: int
    delivered: int
    """Acknowledged by Kafka."""
    spooled: int
    """On the disk, not acknowledged."""
    dropped: int
    dropped_by_reason: Mapping[str, int]
    queued: int
    """In memory: waiting, or sent and not acknowledged."""
    replayed: int
    """Events of earlier runs that this one delivered from the spool; not part of this run's `emitted`."""
    delivered_bytes: int
    queued_bytes: int
    redaction_failures: int
    connected: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What the courier has decided so far."""

    delivered: int = 0
    spooled: int = 0
    replayed: int = 0
    delivered_bytes: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int) -> "Settled":
        """Give the books after a drop."""
        return replace(self, dropped={**self.dropped, reason: self.dropped.get(reason, 0) + count})


def stats(producer: str, outbox: Outbox, settled: Settled, *, redaction_failures: int, connected: bool) -> Stats:
    """Read the books; `emitted` last, so that nothing can be settled before it was emitted."""
    by_reason = Counter({reason: tally.value() for reason, tally in outbox.dropped.items()})
    by_reason.update(settled.dropped)
    dropped = by_reason.total()
    waiting = outbox.waiting_bytes()
    emitted = outbox.emitted.value()
    return Stats(
        producer=producer,
        emitted=emitted,
        delivered=settled.delivered,
        spooled=settled.spooled,
        dropped=dropped,
        dropped_by_reason={reason: count for reason, count in sorted(by_reason.items()) if count},
        queued=emitted - settled.delivered - settled.spooled - dropped,
        replayed=settled.replayed,
        delivered_bytes=settled.delivered_bytes,
        queued_bytes=waiting,
        redaction_failures=redaction_failures,
        connected=connected,
    )


def zero() -> Stats:
    """Give the books of a process that records nothing."""
    return Stats("", 0, 0, 0, 0, {}, 0, 0, 0, 0, 0, connected=False)
