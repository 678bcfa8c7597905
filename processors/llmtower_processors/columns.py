"""From events to columns: the second half of every processor that stores events. Without per-row dictionaries."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import astuple

from llmtower_processors.arrivals import Arrivals, position
from llmtower_processors.runtime.model import Batch, Block

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
    rest = {name: [default] * n for name, default in CONTENT_DEFAULTS.items() if name not in texts and name not in carried}
    given = {"kind": [kind] * n, **carried, **texts, **rest, **position(batch, found)}
    if any(map(all, texts.values())):
        return given
    mask = list(map(any, zip(*texts.values(), strict=True)))
    return {name: list(compress(column, mask)) for name, column in given.items()} if any(mask) else {}


def blocks(parts: Iterable[tuple[str, Columns]]) -> list[Block]:
    """Join parts to one block per table (one table is one insert under one token), without spare columns and without empty blocks."""
    joined: dict[str, dict[str, list[Any]]] = {}
    for table, columns in parts:
        if table not in joined:
            joined[table] = {name: list(column) for name, column in columns.items()}
            continue
        for name, column in columns.items():
            joined[table].setdefault(name, []).extend(column)
    made = (Block(table, _without_spare(columns)) for table, columns in joined.items())
    return [block for block in made if block.rows]


def _without_spare(columns: Mapping[str, list[Any]]) -> Columns:
    return {name: column for name, column in columns.items() if not _is_spare(name, column)}


def _is_spare(name: str, column: list[Any]) -> bool:
    if name in USUALLY_EMPTY:
        return not any(column)
    return name in USUALLY_NULL and column.count(None) == len(column)
