"""What the headers of a record say about its envelope, and the ledger rows made of it."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from llmtower_processors.native import Constant
from llmtower_processors.runtime.model import Block, Record
from llmtower_processors.runtime.pending import Pending

LEDGER: Final = "ledger"
"""Name of the ledger table: one row per record and processor, inserted last of a range."""

OLDEST_MS: Final = 400 * 86_400_000
AHEAD_MS: Final = 3_600_000

NO_TEXTS: Final[Mapping[int, int]] = MappingProxyType({})

SPAN_GAP: Final = 10_000
"""A producer's records are spread over partitions, so those of one partition follow each other with gaps."""

_LONGEST: Final = 256
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
    header = dict(record.headers).get
    producer, project, app = _names(_bounded(header("producer")), _bounded(header("project")), _bounded(header("app")))
    seq, count = _number(header("seq")), _number(header("count"))
    if not producer or seq is None or count is None or count >= _COUNT_LIMIT:
        return Envelope("", 0, 0, project, app)
    return Envelope(producer, seq, count, project, app)


def _bounded(value: bytes | None) -> bytes:
    return value if value and len(value) <= _LONGEST else b""


@lru_cache(maxsize=4096)
def _names(*values: bytes) -> tuple[str, ...]:
    return tuple(map(_text, values))


def _text(value: bytes) -> str:
    try:
        return value.decode()
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


def spans(keys: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Cover keys by (producer, first seq, last seq), each without a gap of more than SPAN_GAP."""
    found: list[tuple[str, int, int]] = []
    for producer, seq in sorted(keys):
        if found and found[-1][0] == producer and seq - found[-1][2] <= SPAN_GAP:
            found[-1] = (producer, found[-1][1], seq)
        else:
            found.append((producer, seq, seq))
    return found


def duplicates(envelopes: Sequence[Envelope], known: Container[tuple[str, int]]) -> list[bool]:
    """For each envelope of a range, in order: whether it was there before, in the ledger or earlier in the range."""
    seen: set[tuple[str, int]] = set()
    flags = []
    for e in envelopes:
        key = (e.producer, e.seq)
        flags.append(bool(e.producer) and (key in known or key in seen))
        seen.add(key)
    return flags


def texts(blocks: Iterable[Block]) -> Counter[int]:
    """Count the rows of `contents` by offset: the ledger keeps it, as nothing else says that an event had texts."""
    offsets = (np.asarray(block.columns["kafka_offset"], dtype=np.int64).tolist() for block in blocks if block.table == "contents")
    return Counter(chain.from_iterable(offsets))


def ledger_block(
    processor: str,
    pending: Pending,
    records: Sequence[Record],
    envelopes: Sequence[Envelope],
    duplicate: Sequence[bool],
    texts: Mapping[int, int] = NO_TEXTS,
) -> Block:
    """One ledger row per record of a range (one partition); `minute` is its own time, from 400 days before the range to an hour after.

    `texts` says how many rows of `contents` each record made, by offset.
    """
    n = len(records)
    return Block(
        LEDGER,
        {
            "processor": Constant(processor, n),
            "incarnation": Constant(pending.incarnation, n),
            "topic": Constant(records[0].topic, n),
            "partition": Constant(records[0].partition, n),
            "offset": [r.offset for r in records],
            "producer": [e.producer for e in envelopes],
            "first_seq": [e.seq for e in envelopes],
            "count": [e.events for e in envelopes],
            "texts": [texts.get(r.offset, 0) for r in records],
            "duplicate": [int(d) for d in duplicate],
            "project": [e.project for e in envelopes],
            "app": [e.app for e in envelopes],
            "minute": _minutes(records, pending.time_ms),
        },
    )


def _minutes(records: Sequence[Record], now_ms: int) -> list[int]:
    """Times that are absurd would open table partitions without end, which ClickHouse refuses to insert into at once."""
    oldest, newest = max(0, now_ms - OLDEST_MS), now_ms + AHEAD_MS
    return [min(max(record.timestamp_ms, oldest), newest) // 60_000 * 60 for record in records]
