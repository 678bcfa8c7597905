"""What the headers of a record say about its envelope, and the ledger rows made of it."""

from collections.abc import Container, Iterable, Sequence
from typing import Final, NamedTuple

from llmtower_processors.runtime.model import Block, Record
from llmtower_processors.runtime.pending import Pending

LEDGER: Final = "ledger"
"""Name of the ledger table: one row per record and processor, inserted last of a range."""

_LIMIT: Final = 1 << 62
_COUNT_LIMIT: Final = 1 << 31


class Envelope(NamedTuple):
    """What a record's headers say; `producer == ""` when they are missing or broken."""

    producer: str
    seq: int
    events: int
    project: str
    app: str


def envelope(record: Record) -> Envelope:
    """Read a record's headers; one bad value makes it anonymous, never an error."""
    headers = dict(record.headers)
    project, app = _text(headers.get("project")), _text(headers.get("app"))
    producer, seq, count = _text(headers.get("producer")), _number(headers.get("seq")), _number(headers.get("count"))
    if not producer or seq is None or count is None or count >= _COUNT_LIMIT:
        return Envelope("", 0, 0, project, app)
    return Envelope(producer, seq, count, project, app)


def _text(value: bytes | None) -> str:
    try:
        return value.decode() if value else ""
    except UnicodeDecodeError:
        return ""


def _number(value: bytes | None) -> int | None:
    if not value or len(value) > 19 or not value.isdigit():
        return None
    number = int(value)
    return number if number < _LIMIT else None


def keys(envelopes: Iterable[Envelope]) -> set[tuple[str, int]]:
    """What identifies the envelopes that can be recognised when they are sent again."""
    return {(e.producer, e.seq) for e in envelopes if e.producer}


def duplicates(envelopes: Sequence[Envelope], known: Container[tuple[str, int]]) -> list[bool]:
    """For each envelope of a range, in order: whether it was there before, in the ledger or earlier in the range."""
    seen: set[tuple[str, int]] = set()
    flags = []
    for e in envelopes:
        key = (e.producer, e.seq)
        flags.append(bool(e.producer) and (key in known or key in seen))
        seen.add(key)
    return flags


def ledger_block(
    processor: str, pending: Pending, records: Sequence[Record], envelopes: Sequence[Envelope], duplicate: Sequence[bool]
) -> Block:
    """One ledger row per record; `minute` from the record's own time, clamped to what the column can hold."""
    n = len(records)
    return Block(
        LEDGER,
        {
            "processor": [processor] * n,
            "incarnation": [pending.incarnation] * n,
            "topic": [r.topic for r in records],
            "partition": [r.partition for r in records],
            "offset": [r.offset for r in records],
            "producer": [e.producer for e in envelopes],
            "first_seq": [e.seq for e in envelopes],
            "count": [e.events for e in envelopes],
            "duplicate": [int(d) for d in duplicate],
            "project": [e.project for e in envelopes],
            "app": [e.app for e in envelopes],
            "minute": [_minute(r.timestamp_ms) for r in records],
        },
    )


def _minute(timestamp_ms: int) -> int:
    return min(max(timestamp_ms // 60_000, 0), (1 << 32) // 60 - 1) * 60
