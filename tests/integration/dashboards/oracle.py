"""Arithmetic of its own for what panels say: plain Python and numpy over columns, without any SQL of the panels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from tests.dashboards.test_intervals import sampled, sums_of
from tests.integration.dashboards.columns import Array, Bucket, By, Key, Table, known
from tests.integration.dashboards.columns import total as summed
from tests.integration.dashboards.pipeline import us
from tests.integration.dashboards.world import World

from llmtower_dashboards.macros import Frame

Values = dict[str, Any]
Found = dict[Key, Values]
Figures = Callable[[Table], Values]
Z: Final = 1.96
ALONE: Final = 1.8
"""Up to so many values that a digest may keep together it keeps none together: nine tenths of two."""

WIDEST: Final = 0.13
"""How wide what is allowed for a percentile may be, relative to its upper end."""


@dataclass(frozen=True)
class Between:
    """Anything in this interval is right: a percentile of a digest, read at one rank lower or higher."""

    low: float
    high: float

    def holds(self, value: Any) -> bool:
        """Whether the value lies in it."""
        return value is not None and self.low - 1e-6 * abs(self.low) <= value <= self.high + 1e-6 * abs(self.high)


@dataclass(frozen=True)
class OneOf:
    """Any of these is right."""

    values: frozenset[Any]

    def holds(self, value: Any) -> bool:
        """Whether the value is one of them."""
        return value in self.values


def percentile(values: Array, level: float) -> Between | None:
    """The value at a rank, or those around it where a digest is no longer exact; None without any.

    A digest (t-digest of ClickHouse, epsilon 0.01) keeps at most 0.04 q (1 - q) n values together around a level q. Where that is less than
    two every value is kept for itself, and the answer is the value of rank q n, rounded up: up to 180 values at p50, 940 at p95 and 4,500
    at p99. Of more, values that are kept together are interpolated between their middles: half of them, and a rank, are
    allowed: at most `WIDEST`.
    """
    count, together = len(values), 0.04 * len(values) * level * (1 - level)
    if not count:
        return None
    margin = 0 if together < ALONE else 1 + together / 2
    low, high = (min(count - 1, max(0, math.ceil(level * count + end) - 1)) for end in (-margin, margin))
    ordered = np.partition(values, (low, high))
    found = Between(float(ordered[low]), float(ordered[high]))
    assert found.high - found.low <= WIDEST * found.high, f"what is allowed is {found.low} to {found.high}"
    return found


def wilson(hits: float, total: float) -> tuple[float, float]:
    """The interval of a share."""
    middle = (hits + Z * Z / 2) / (total + Z * Z)
    half = Z * math.sqrt(hits * (total - hits) / total + Z * Z / 4) / (total + Z * Z)
    return max(0.0, middle - half), min(1.0, middle + half)


def _scored(rows: Table, bad: Array) -> tuple[Array, Array]:
    """Weights of the scores with a value, and which of them are bad."""
    there = known(rows["value"])
    return rows["weight"][there], np.ma.getdata(bad)[there]


def weighted_as_one(rows: Table, bad: Array) -> Values:
    """The weighted rate of bad scores, with the interval of a simple sample of the same variance."""
    weights, is_bad = _scored(rows, bad)
    whole = weights.sum()
    rate = weights[is_bad].sum() / whole
    variance = ((weights * (is_bad - rate)) ** 2).sum() / whole**2
    size = rate * (1 - rate) / variance if variance else whole**2 / (weights**2).sum()
    low, high = wilson(rate * size, size)
    return {"rate": float(rate), "low": low, "high": high, "sample": len(weights)}


def weighted(rows: Table, bad: Array) -> Values:
    """The weighted rate of bad scores, with the interval of what was sure and what was drawn together."""
    weights, is_bad = _scored(rows, bad)
    rate, low, high = sampled(sums_of(is_bad[None, :].astype(np.float64), weights[None, :]))
    return {"rate": float(rate[0]), "low": float(low[0]), "high": float(high[0]), "sample": len(weights)}


def floor(moment: datetime, seconds: int) -> datetime:
    """The start of the bucket that a moment lies in."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


@dataclass(frozen=True)
class Look:
    """A world through a frame. Ranges up to `fine_s` count by minutes, longer ones by hours, like the tables they are asked of."""

    world: World
    frame: Frame
    kept: dict[tuple[str, int, int], Table] = field(default_factory=dict)
    """Ranges that were asked for."""

    @property
    def span(self) -> timedelta:
        """Length of the range."""
        return self.frame.end - self.frame.start

    def start(self, fine_s: int = 86_400) -> datetime:
        """The range's start, brought down to the bucket of the table."""
        return floor(self.frame.start, 60 if self.span.total_seconds() <= fine_s else 3_600)

    def bucket_s(self, fine_s: int) -> int:
        """Seconds between two points."""
        return max(self.frame.interval_s, 60 if self.span.total_seconds() <= fine_s else 3_600)

    def rows(self, table: str, start: datetime | None = None, end: datetime | None = None, *, time: str = "started_at") -> Table:
        """Rows of a range, under the frame's filters."""
        first, last = us(start or self.frame.start), us(end or self.frame.end)
        if (table, first, last) not in self.kept:
            self.kept[table, first, last] = self._chosen(self.world[table], time, first // (unit := UNITS.get(table, 1)), last // unit)
        return self.kept[table, first, last]

    def _chosen(self, rows: Table, time: str, first: int, last: int) -> Table:
        columns = {"model": "request_model", "prompt": "prompt_name", "user": "user_id", "session": "session_id"}
        keep = (rows[time] >= first) & (rows[time] < last)
        for name, values in self.frame.variables.items():
            column = columns.get(name, name)
            if values and column in rows:
                keep &= rows[column].isin(values)
        return rows.where(keep)

    def whole(self, table: str, *, time: str = "started_at") -> Table:
        """Rows of the range, whole buckets."""
        return self.rows(table, floor(self.frame.start, self.wide()), time=time)

    def wide(self) -> int:
        """Seconds of a bucket of single events."""
        return max(self.frame.interval_s, 60)

    def calls(self, fine_s: int = 86_400) -> Table:
        """Calls of the range, as the rollups see it."""
        return self.rows("calls", self.start(fine_s))

    def by_time(self, by: Sequence[By], figures: Figures, *, fine_s: int = 86_400, keep: Callable[[Table], Array] | None = None) -> Found:
        """Figures of calls per bucket and label; `minutes` of each bucket is given by `minutes()`."""
        seconds = self.bucket_s(fine_s)
        rows = self.rows("calls", floor(self.frame.start, seconds))
        return grouped(rows if keep is None else rows.where(keep(rows)), (Bucket("started_at", seconds), *by), figures)

    def minutes(self, fine_s: int = 86_400) -> float:
        """Minutes of a bucket (frames of the tests end at the end of one)."""
        return self.bucket_s(fine_s) / 60

    def shifted(self, days: int, *, hourly: bool) -> Table:
        """Calls of the range so many days earlier."""
        start = floor(self.frame.start, 3_600) if hourly else self.start()
        return self.rows("calls", start - timedelta(days=days), self.frame.end - timedelta(days=days))

    def back(self) -> list[int]:
        """How many days back the ranges lie that this one is compared with."""
        days = math.ceil(self.span / timedelta(days=1))
        return list(range(1, 8)) if self.span <= timedelta(days=1) else [days]


UNITS: Final = {
    **dict.fromkeys(("watermarks", "dead_letters", "audits", "own_cost", "judge_rounds", "registry_events"), 1_000),
    **dict.fromkeys(("drift", "drift_explanations", "drift_ranges", "ledger"), 1_000_000),
}
"""Microseconds in one tick of a table's time, where it is not one."""


def bucket(table: str, time: str, seconds: int) -> Bucket:
    """The key of a table's buckets."""
    return Bucket(time, seconds, UNITS.get(table, 1))


def at(microseconds: int, seconds: int) -> datetime:
    """The bucket of a moment."""
    return datetime.fromtimestamp(microseconds // 1_000_000 // seconds * seconds, UTC)


def moment(microseconds: int) -> datetime:
    """A moment of a table in microseconds."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)


def grouped(rows: Table, by: Sequence[By], figures: Figures) -> Found:
    """Figures per group."""
    return {key: figures(found) for key, found in rows.groups(by)}


def total(rows: Table, column: str) -> float:
    """A sum, unknown values left out."""
    found: float = summed(rows[column])
    return found


def failed(rows: Table) -> int:
    """Calls that failed."""
    return int((rows["status"] != "ok").sum())


def priced(rows: Table) -> int:
    """Calls with a price."""
    return int(known(rows["cost_nano_usd"]).sum())


def unpriced(rows: Table) -> int:
    """Calls missing from sums of money."""
    return int((~known(rows["cost_nano_usd"]) & (rows["cost_status"] != "failed")).sum())


def cost(rows: Table) -> float:
    """Dollars."""
    return total(rows, "cost_nano_usd") / 1e9


def share(part: float, whole: float) -> float | None:
    """A ratio; None of nothing."""
    return part / whole if whole else None


def flow(rows: Table) -> Array:
    """Seconds per output token after the first."""
    written, first = rows["output_tokens"] + rows["reasoning_tokens"], rows["ttft_us"]
    told = known(first) & (written > 1)
    return np.asarray((rows["duration_us"][told] - np.ma.getdata(first)[told]) / (written[told] - 1) / 1e6)


def seconds(rows: Table, column: str) -> Array:
    """A column of microseconds, in seconds; what is known of it."""
    found = rows[column]
    return np.asarray(np.ma.getdata(found)[known(found)] / 1e6)


def ratio_interval(totals: Sequence[float], counts: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """A mean (total over count) with the interval of a ratio estimator over buckets."""
    used = [(total, count) for total, count in zip(totals, counts, strict=True) if count]
    if not sum(counts):
        return None, None, None
    mean = sum(totals) / sum(counts)
    if len(used) < 10:
        return mean, None, None
    spread = sum((total - mean * count) ** 2 for total, count in used) * len(used) / (len(used) - 1)
    half = Z * math.sqrt(spread) / sum(counts)
    return mean, max(0.0, mean - half), mean + half
