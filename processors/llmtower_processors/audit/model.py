"""The values of the audit: what is checked, where, and what was found. Times are seconds since the epoch, hours are multiples of 3600."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from llmtower_schemas import topics

HOUR_S: Final = 3_600
SLICE: Final = 100_000
"""Kafka offsets looked at by one query; it bounds the memory of the server and of the audit."""

CHECKS: Final[dict[str, str]] = {
    "missing_events": "ledgered events without a row, or without their texts",
    "doubled_rows": "rows that stand twice, or that their record does not explain",
    "rows_without_ledger": "rows of records that the ledger does not have, or has as duplicates",
    "doubled_ledger": "records with more than one ledger row",
    "doubled_envelopes": "events of envelopes that were sent twice and stored twice",
    "missing_records": "records in Kafka that the ledger steps over",
    "expired_records": "offsets that the ledger steps over and Kafka no longer has",
    "unprocessed_records": "old offsets at the end of Kafka's log that the ledger has not reached",
    "rollup_1m": "rows of rollup_1m that differ from calls",
    "rollup_1h": "rows of rollup_1h that differ from rollup_1m",
    "rollup_user_1h": "rows of rollup_user_1h that differ from calls",
    "rollup_models_1h": "rows of rollup_models_1h that differ from calls",
    "rollup_scores_1m": "rows of rollup_scores_1m that differ from call_scores and scores",
    "rollup_scores_1h": "rows of rollup_scores_1h that differ from rollup_scores_1m",
    "missing_from_producers": "events that a producer counts as delivered, or lost without a count, and that are not stored",
    "doubled_from_producers": "events of a producer that are stored more than once",
}
"""Every check by its name."""

AUDITED_TO: Final = "audited_to"
"""Not a check: rows of `audits` under this name say how far the audits by timer have come."""


@dataclass(frozen=True, slots=True)
class Ledgered:
    """A processor whose every event has exactly one row in one of `homes`, and at most one in each of `sides`."""

    processor: str
    topic: str
    homes: tuple[str, ...]
    sides: tuple[str, ...]


_SIDES: Final = ("contents", "dead_letter_bytes")
AUDITED: Final[tuple[Ledgered, ...]] = (
    Ledgered("calls", topics.CALLS, ("calls", "requests", "steps", "dead_letters"), _SIDES),
    Ledgered("signals", topics.SIGNALS, ("feedback", "scores", "late_contents", "deploys", "heartbeats", "dead_letters"), _SIDES),
)
"""The processors whose promise can be read back event by event."""

_BARE_POSITION: Final = frozenset({"dead_letters", "dead_letter_bytes", "ledger"})


def prefix(table: str) -> str:
    """Give what stands before `topic`, `partition` and `offset` in the column names of a table."""
    return "" if table in _BARE_POSITION else "kafka_"


@dataclass(frozen=True, slots=True)
class Place:
    """A partition of one incarnation of a topic, as one processor sees it."""

    processor: str
    incarnation: str
    topic: str
    partition: int

    def parameters(self) -> dict[str, object]:
        """Give it as query parameters."""
        return {"processor": self.processor, "incarnation": self.incarnation, "topic": self.topic, "partition": self.partition}

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets `first..last` of one place; `last` is ledgered, so everything up to it is settled."""

    place: Place
    first: int
    last: int

    def slices(self, size: int = SLICE) -> "Iterable[Span]":
        """Cut it into spans of at most `size` offsets."""
        for first in range(self.first, self.last + 1, size):
            yield replace(self, first=first, last=min(first + size - 1, self.last))

    def parameters(self) -> dict[str, object]:
        """Give it as query parameters."""
        return {**self.place.parameters(), "first": self.first, "last": self.last}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as promised: how many events (or rows), in which hour; `detail` never holds payload."""

    check: str
    hour: int
    processor: str
    found: int
    detail: str
    repaired: int = 0

    @property
    def open(self) -> int:
        """How many are still not as promised."""
        return self.found - self.repaired


@dataclass(slots=True)
class Report:
    """What one audit looked at (hours from `start` to before `end`, and others that were open) and found."""

    start: int
    end: int
    hours: tuple[int, ...]
    goes_on: bool
    """Whether it went on from the last audit, and the next will from here."""
    findings: list[Finding] = field(default_factory=list)
    records: int = 0
    audited_to: list[Span] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found, or everything found was repaired."""
        return not any(finding.open for finding in self.findings)


def describe(place: Place, offsets: Iterable[int]) -> str:
    """Name a partition and some of its offsets: `llmtower.calls[2] offsets 17-19, 44`."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset == runs[-1][1] + 1:
            runs[-1][1] = offset
        else:
            runs.append([offset, offset])
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs[:8])
    return f"{place} offsets {shown}" + (f" and {len(runs) - 8} more ranges" if len(runs) > 8 else "")
