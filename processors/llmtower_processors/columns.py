"""From event objects to columns: the second half of every processor that stores events. Pure and without per-row dictionaries."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from llmtower_processors.arrivals import Arrivals
from llmtower_processors.runtime.model import Batch, Block

Column = Sequence[Any]
Columns = dict[str, Column]

SHORT_TEXT = 64
"""Longest text kept in `calls.parameters` and `calls.usage_raw`, which dashboards may read; longer ones are content."""

_EXTRA = attrgetter("__pydantic_extra__")


def fields(events: Iterable[Any], names: Sequence[str]) -> Columns:
    """Take plain fields of events as columns of the same names."""
    return dict(zip(names, zip(*map(itemgetter(*names), map(vars, events)), strict=True), strict=True))


def ticks(events: Iterable[Any], field: str) -> list[int]:
    """Take a time in nanoseconds as the microseconds of a DateTime64(6) column."""
    name = itemgetter(field)
    return [name(vars(event)) // 1_000 for event in events]


def to_json(value: Any) -> str:
    """Give JSON text; whatever came out of JSON goes back, huge integers included."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text(value: Any) -> str:
    """Give content as it is read: text as it stands, anything else as JSON, nothing as ''."""
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value)


def public(value: Any, depth: int = 4) -> Any:
    """Give the part of a JSON value that is no content: numbers, booleans and short words; None where nothing is left."""
    if isinstance(value, str):
        return value if len(value) <= SHORT_TEXT else None
    if isinstance(value, Mapping):
        kept = {key: public(item, depth - 1) for key, item in value.items() if len(key) <= SHORT_TEXT} if depth else {}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, list):
        return None
    return value


def extras(events: Iterable[Any]) -> list[str]:
    """Give the fields that this version does not know, as JSON; '' where there are none."""
    return [to_json(unknown) if unknown else "" for unknown in map(_EXTRA, events)]


CONTENT_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("input", "output", "retrieved", "parameters", "error_message", "comment", "correction", "embedder", "extra"), ""),
    "embedding": [],
}
"""Columns of `contents` that a kind of event may leave out."""


def content(batch: Batch, arrivals: Arrivals, kind: str, columns: Columns, *, texts: Columns) -> Columns:
    """Give the `contents` columns of those events that have any of `texts`; `columns` are carried along."""
    mask = [any(row) for row in zip(*texts.values(), strict=True)]
    given = {"kind": [kind] * len(mask), **columns, **texts, **arrivals.position(batch)}
    if not all(mask):
        given = {name: list(compress(column, mask)) for name, column in given.items()}
    return given


def contents_block(parts: Sequence[Columns]) -> Block:
    """Join the contents of several kinds of events: one table is one insert under one token."""
    kept = [part for part in parts if part and part["kind"]]
    if len(kept) == 1:
        return Block("contents", kept[0])
    names = {name for part in kept for name in part}
    return Block("contents", {name: [value for part in kept for value in _filled(part, name)] for name in sorted(names)})


def _filled(part: Columns, name: str) -> Column:
    return part[name] if name in part else [CONTENT_DEFAULTS[name]] * len(part["kind"])


def identity(batch: Batch, arrivals: Arrivals) -> Columns:
    """Give the columns that say who sent each row and where it stands in Kafka."""
    return {**arrivals.origin(), **arrivals.position(batch)}
