"""From events to columns: the second half of every processor that stores events. Without per-row dictionaries."""

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

from llmtower_processors.arrivals import Arrivals, position
from llmtower_processors.runtime.model import Batch, Block

Column = Sequence[Any]
Columns = dict[str, Column]

CONTENT_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("input", "output", "retrieved", "parameters", "error_message", "comment", "correction", "embedder", "extra"), ""),
    "embedding": [],
}
"""Columns of `contents` that a kind of event may leave out."""


def fields(events: Sequence[Any], names: Sequence[str]) -> Columns:
    """Take fields of events as columns of the same names."""
    return {name: list(map(attrgetter(name), events)) for name in names}


def ticks(times_ns: Iterable[int]) -> list[int]:
    """Turn nanoseconds into the microseconds of a DateTime64(6) column, which must be a list."""
    return [at // 1_000 for at in times_ns]


def origin(batch: Batch, found: Arrivals) -> Columns:
    """Give the columns that say who sent each row and where it stands in Kafka."""
    return {
        "producer": [sender.producer for sender in found.senders],
        "producer_seq": [sender.seq + line for sender, line in zip(found.senders, found.lines, strict=True)],
        **position(batch, found),
    }


def content(batch: Batch, found: Arrivals, kind: str, carried: Columns, texts: Columns) -> Columns:
    """Give the `contents` columns of those events that have any of `texts` or unknown fields; `carried` goes along."""
    texts = texts | {"extra": found.unknown}
    mask = list(map(any, zip(*texts.values(), strict=True)))
    if not any(mask):
        return {}
    given = {"kind": [kind] * len(mask), **carried, **texts, **position(batch, found)}
    return given if all(mask) else {name: list(compress(column, mask)) for name, column in given.items()}


def contents_block(parts: Iterable[Columns]) -> Block:
    """Join the contents of several kinds of events: one table is one insert under one token."""
    kept = [part for part in parts if part]
    if len(kept) <= 1:
        return Block("contents", kept[0] if kept else {})
    names = sorted({name for part in kept for name in part})
    return Block("contents", {name: [value for part in kept for value in _column(part, name)] for name in names})


def _column(part: Columns, name: str) -> Column:
    return part[name] if name in part else [CONTENT_DEFAULTS[name]] * len(part["kind"])
