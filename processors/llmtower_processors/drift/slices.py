"""Slices of traffic, as people write them (`app=support,prompt=v3`), and the one query by which two of them are compared."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from llmtower_processors.drift.language import LANGUAGES, UNKNOWN
from llmtower_processors.errors import LlmtowerError

DIMENSIONS: Final[Mapping[str, str]] = {
    "project": "project",
    "app": "app",
    "environment": "environment",
    "model": "request_model",
    "prompt_name": "prompt_name",
    "prompt": "prompt_version",
    "prompt_version": "prompt_version",
    "direction": "direction",
    "language": "language",
    "embedder": "embedder",
}
"""What may stand left of `=`, and the column it means; `prompt=support/v3` names a prompt and its version."""
DIRECTIONS: Final = ("input", "output")
_TIMES: Final = ("from", "to", "last")
_SPAN: Final = re.compile(r"(\d+)\s*(m|min|h|d|w)")
_UNIT: Final = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class SliceError(LlmtowerError):
    """A slice that cannot be read; the message says what may stand in it."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some traffic: values per column, and a half-open span of minutes."""

    where: Mapping[str, str]
    start: datetime
    end: datetime


def span(text: str) -> timedelta:
    """Read `90m`, `12h`, `7d` or `2w`. Raises SliceError."""
    found = _SPAN.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise SliceError(f"{text!r} is no span of time. Write a number and m, h, d or w: 7d")
    try:
        return timedelta(**{_UNIT[found[2]]: int(found[1])})
    except OverflowError as error:
        raise SliceError(f"{text!r} is too long a span of time.") from error


def moment(text: str) -> datetime:
    """Read an ISO 8601 time; without a zone it is UTC. Raises SliceError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SliceError(f"{text!r} is no time; write it like 2026-11-23T14:00") from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def read_slice(text: str, start: datetime, end: datetime) -> Slice:
    """Read `name=value` pairs between commas; `from=`, `to=` and `last=` (back from `to`) change the span. Raises SliceError."""
    given: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, sign, value = part.partition("=")
        name = name.strip().lower()
        if not sign or name not in {*DIMENSIONS, *_TIMES}:
            raise SliceError(f"{part!r} is no part of a slice. Write name=value; names are {', '.join((*DIMENSIONS, *_TIMES))}.")
        if name in given:
            raise SliceError(f"{name} stands twice in the slice {text!r}.")
        given[name] = value.strip()
    end = moment(given.pop("to")) if "to" in given else end
    if "from" in given and "last" in given:
        raise SliceError("A slice has either from= or last=, not both.")
    start = moment(given.pop("from")) if "from" in given else end - span(given.pop("last")) if "last" in given else start
    if start >= end:
        raise SliceError(f"The slice {text!r} ends before it begins.")
    where = _columns(given)
    one_of("direction", where.get("direction", DIRECTIONS[0]), DIRECTIONS)
    one_of("language", where.get("language", UNKNOWN), LANGUAGES)
    return Slice(where, start, end)


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """Give a value that can be. Raises SliceError."""
    if value not in known:
        raise SliceError(f"No {name} is called {value!r}. There are: {', '.join(known)}.")
    return value


def _columns(given: Mapping[str, str]) -> dict[str, str]:
    where: dict[str, str] = {}
    for name, value in given.items():
        if name == "prompt" and "/" in value:
            where["prompt_name"], _, where["prompt_version"] = value.rpartition("/")
        else:
            where[DIMENSIONS[name]] = value
    return where


_HOUR: Final = timedelta(hours=1)


def sources(one: Slice, side: str) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Give the tables and conditions that hold a slice, and the bound values: whole hours from the hours, the rest from the minutes.

    Sums are integers, so the result is the same to the last bit as from the minutes alone.
    """
    first = _floor(one.start + _HOUR - timedelta(microseconds=1))
    last = _floor(one.end)
    where = "".join(f" AND {name} = {{{name}_{side}:String}}" for name in one.where)
    values: dict[str, Any] = {f"{name}_{side}": value for name, value in one.where.items()}
    spans = [("drift_sketches", "minute", one.start, one.end)]
    if first < last:
        spans = [
            ("drift_sketches", "minute", one.start, first),
            ("drift_hours", "hour", first, last),
            ("drift_sketches", "minute", last, one.end),
        ]
    found = []
    for number, (table, column, start, end) in enumerate(spans):
        if start < end:
            name = f"{side}{number}"
            values |= {f"start_{name}": _seconds(start), f"end_{name}": _seconds(end)}
            within = f"{column} >= toDateTime({{start_{name}:UInt32}}, 'UTC') AND {column} < toDateTime({{end_{name}:UInt32}}, 'UTC')"
            found.append((table, within + where))
    return found, values


def _floor(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _seconds(at: datetime) -> int:
    return max(0, min(int(at.timestamp()), (1 << 32) - 1))


def comparison(a: Slice, b: Slice) -> tuple[str, dict[str, Any]]:
    """Give the query: a row per direction and embedder with counts, the unbiased MMD², the distance of the means, and behaviour.

    Feature rows have length 1 (after the division by the scale of the integers and 128 directions), which the correction for pairs of a
    text with itself needs.
    """
    parts: list[str] = []
    values: dict[str, Any] = {}
    for side, one in (("a", a), ("b", b)):
        found, bound = sources(one, side)
        values |= bound
        columns = f"direction, embedder, {', '.join(_READ.get(name, name) for name in COUNTED)}, features, mean"
        parts += [f"SELECT '{side}' AS side, {columns} FROM {table} WHERE {where}" for table, where in found]  # noqa: S608 - as below
    counts = ", ".join(f"sumIf(found.{name}, side = '{side}') AS {name}_{side}" for side in "ab" for name in COUNTED)
    vectors = ", ".join(
        f"CAST(sumForEachMergeIf({name}, side = '{side}'), 'Array(Float64)') AS {name}_{side}"
        for side in "ab"
        for name in ("features", "mean")
    )
    sql = f"""
    WITH 32768. * 32768. * 128 AS one
    SELECT direction, embedder, {", ".join(f"{name}_{side}" for name in COUNTED for side in "ab")},
        if(least(texts_a, texts_b) < 2, nan,
            (L2SquaredNorm(features_a) / one - texts_a) / (toFloat64(texts_a) * (texts_a - 1))
            + (L2SquaredNorm(features_b) / one - texts_b) / (toFloat64(texts_b) * (texts_b - 1))
            - 2 * dotProduct(features_a, features_b) / one / (toFloat64(texts_a) * texts_b)) AS mmd2,
        if(least(texts_a, texts_b) < 1, nan,
            L2Distance(arrayMap(x -> x / texts_a / 32768., mean_a), arrayMap(x -> x / texts_b / 32768., mean_b))) AS mean_distance
    FROM
    (
        SELECT direction, embedder, {counts}, {vectors}
        FROM ({" UNION ALL ".join(parts)}) AS found
        GROUP BY direction, embedder
    )
    ORDER BY texts_a + texts_b DESC, direction, embedder
    """  # noqa: S608 - names from literal tables, values bound
    return sql, values


COUNTED: Final = (
    *("texts", "calls", "without_text", "bad_vectors", "characters", "tokens", "refusals", "tool_calls", "failed"),
    *("timed_us", "timed_tokens", "answered", "succeeded"),
)
_READ: Final = {"answered": "arraySum(mapValues(lengths)) AS answered", "succeeded": "calls - failed AS succeeded"}
"""What refusals and calls of tools are shares of: every text has a length."""
