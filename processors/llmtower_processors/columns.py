"""From events to columns: the second half of every processor that stores events. Without per-row dictionaries."""

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import astuple

from llmtower_processors.arrivals import Arrivals, position
from llmtower_processors.native import Constant, Writer, writer, zero
from llmtower_processors.packed import Packed
from llmtower_processors.runtime.model import Batch, Block
from llmtower_processors.runtime.work import BlockError
from llmtower_schemas.migrations import column_types

Column = Sequence[Any]
Columns = dict[str, Column]

USUALLY_EMPTY = frozenset(
    {
        *("release", "user_id", "session_id", "request_id", "route", "trace_id", "span_id", "prompt_name", "prompt_version", "tags"),
        *("error_class", "error_type", "finish_reasons", "service_tier", "usage_convention", "usage_raw", "instrumentation"),
        *("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens"),
        *("audio_output_tokens", "image_input_tokens", "tool_fees", "parameters", "attributes", "retrieved_ids", "retrieved_scores"),
        *("input", "output", "retrieved", "error_message", "comment", "correction", "embedding", "embedder", "extra"),
        *("label", "dropped_by_reason"),
    }
)
"""Columns that are left out of a block where no row has anything in them: the table's own default is the same, and costs nothing."""

USUALLY_NULL = frozenset(
    {
        *("parent_id", "ttft_us", "http_status", "retries", "rate_limit_remaining_requests", "rate_limit_remaining_tokens"),
        *("timeout_ms", "oldest_unsent_at"),
    }
)
"""The same for columns that are NULL in every row."""

BINARY = frozenset({"raw"})
"""Columns of type String that hold bytes which need not be text."""

CONTENT_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("input", "output", "retrieved", "parameters", "error_message", "comment", "correction", "embedder", "extra"), ""),
    "embedding": [],
}
"""Columns of `contents` that a kind of event may leave out."""


def fields(events: Sequence[Any], names: Sequence[str]) -> Columns:
    """Take fields of events as columns of the same names; of structs of one type all at once, a third of the time."""
    kinds = set(map(type, events))
    if len(kinds) == 1 and issubclass(kind := kinds.pop(), msgspec.Struct):
        whole = dict(zip(kind.__struct_fields__, zip(*map(astuple, events), strict=True), strict=True))
        return {name: whole[name] for name in names}
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
    """Give all `contents` columns of those events that have any text or unknown fields; `carried` goes along."""
    n = len(found.events)
    texts = texts | {"extra": found.unknown}
    rest = {name: Constant(default, n) for name, default in CONTENT_DEFAULTS.items() if name not in texts and name not in carried}
    given = {"kind": Constant(kind, n), **carried, **texts, **rest, **position(batch, found)}
    if any(map(all, texts.values())):
        return given
    mask = list(map(any, zip(*texts.values(), strict=True)))
    return {name: list(compress(column, mask)) for name, column in given.items()} if any(mask) else {}


def blocks(parts: Iterable[tuple[str, Columns]]) -> list[Block]:
    """Join parts to one block per table (one table is one insert under one token), without spare columns and without empty blocks."""
    tables: dict[str, _Table] = {}
    for table, columns in parts:
        if columns:
            tables.setdefault(table, _Table(table)).add(columns)
    made = (table.block() for table in tables.values())
    return [block for block in made if block.rows]


class _Table:
    """The block of one table: a portion's values become bytes while they are at hand, and are not kept."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._types = column_types()[name]
        self._writers: dict[str, Writer] = {}
        self._rows = 0

    def add(self, columns: Columns) -> None:
        """Take a portion; a column that was spare so far begins with its default. Raises BlockError for a value that does not fit."""
        rows = len(next(iter(columns.values())))
        if not rows:
            return
        for name, column in columns.items():
            if name not in self._writers:
                if _is_spare(name, column):
                    continue
                self._begin(name)
            try:
                self._writers[name].add(column)
            except (TypeError, ValueError, OverflowError, AttributeError) as error:
                reason = f"a value does not fit its type {self._types[name]} ({type(error).__name__})"
                raise BlockError(f"table {self._name}, column {name}: {reason}") from None
        self._rows += rows

    def _begin(self, name: str) -> None:
        of = self._types[name]
        made = self._writers[name] = writer(of)
        if self._rows:
            made.add(Constant(zero(of), self._rows))

    def block(self) -> Block:
        """Give the block of all portions."""
        return Block(self._name, {name: self._packed(name, made) for name, made in self._writers.items()})

    def _packed(self, name: str, made: Writer) -> Packed:
        return Packed(self._types[name], self._rows, [made.prefix(), *made.body()], bytes if name in BINARY else bytes.decode)


def _is_spare(name: str, column: Column) -> bool:
    if name in USUALLY_EMPTY:
        return not (column.value if isinstance(column, Constant) else any(column))
    return name in USUALLY_NULL and column.count(None) == len(column)
