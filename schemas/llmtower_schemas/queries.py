"""From a metric to SQL: over time, in one number, or by group. All values are bound parameters; nothing a user typed becomes SQL.

Pure: time is passed in. Times are half-open, [start, end), and aligned outward to the buckets of the table that is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from llmtower_schemas.metrics import Metric, Source


class QueryError(ValueError):
    """A query asks for a dimension or a bucket that its source does not have; the message names those there are."""


@dataclass(frozen=True, slots=True)
class Query:
    """SQL and the values of its `{name:Type}` parameters."""

    sql: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: a span of time and, per dimension, the values wanted (none = all)."""

    start: datetime
    end: datetime
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)


def resolution(source: Source, bucket_s: int) -> tuple[str, str]:
    """Give the coarsest table (and its time column) whose buckets make up this one. Raises QueryError."""
    for seconds, table, column in reversed(source.resolutions):
        if bucket_s % seconds == 0:
            return table, column
    finest = source.resolutions[0][0]
    raise QueryError(f"{source.name} is kept in buckets of {finest} s: ask for a multiple of it, not {bucket_s} s.")


def total(metrics: Sequence[Metric], scope: Scope, *, by: Sequence[str] = (), bucket_s: int = 60, limit: int = 1_000) -> Query:
    """One row per group (of `by`, biggest sample first): the dimensions, then `<metric>_value` and `<metric>_sample` of each metric.

    All metrics are of one source; `bucket_s` says how finely the window's ends are kept. Raises QueryError.
    """
    source = _source(metrics, by)
    table, column = resolution(source, max(bucket_s, source.resolutions[0][0]))
    where, parameters = _where(source, column, scope)
    head = ", ".join([*by, *_values(metrics)])
    grouped = f" GROUP BY {', '.join(by)} ORDER BY {metrics[0].name}_sample DESC LIMIT {int(limit)}" if by else ""
    return Query(f"SELECT {head} FROM {table} WHERE {where}{grouped}", parameters)  # noqa: S608 - names of the registries only


def series(metrics: Sequence[Metric], scope: Scope, *, bucket_s: int, by: Sequence[str] = ()) -> Query:
    """The same over time: `time` (start of the bucket, UTC, epoch-aligned), the dimensions, the values; ordered by time."""
    source = _source(metrics, by)
    table, column = resolution(source, bucket_s)
    where, parameters = _where(source, column, scope)
    time = f"toStartOfInterval({column}, INTERVAL {int(bucket_s)} SECOND, 'UTC')"
    head = ", ".join([f"{time} AS time", *by, *_values(metrics)])
    keys = ", ".join(["time", *by])
    return Query(f"SELECT {head} FROM {table} WHERE {where} GROUP BY {keys} ORDER BY {keys}", parameters)  # noqa: S608 - as above


def _source(metrics: Sequence[Metric], by: Sequence[str]) -> Source:
    sources = {metric.source.name: metric.source for metric in metrics}
    if len(sources) != 1:
        raise QueryError(f"metrics of one query share a source; these have {', '.join(sources) or 'none'}.")
    (source,) = sources.values()
    _known(source, by)
    return source


def _known(source: Source, names: Sequence[str]) -> None:
    for name in names:
        if name not in source.dimensions:
            raise QueryError(f"{source.name} has no dimension {name!r}. There are: {', '.join(source.dimensions)}.")


def _values(metrics: Sequence[Metric]) -> list[str]:
    return [part for metric in metrics for part in (f"{metric.value} AS {metric.name}_value", f"{metric.sample} AS {metric.name}_sample")]


def _where(source: Source, column: str, scope: Scope) -> tuple[str, dict[str, Any]]:
    _known(source, list(scope.where))
    parameters: dict[str, Any] = {"start": _utc(scope.start), "end": _utc(scope.end)}
    parts = [f"{column} >= {{start:DateTime('UTC')}}", f"{column} < {{end:DateTime('UTC')}}"]
    for name, wanted in scope.where.items():
        if wanted:
            parts.append(f"{name} IN {{{name}:Array(String)}}")
            parameters[name] = list(wanted)
    return " AND ".join(parts), parameters


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
