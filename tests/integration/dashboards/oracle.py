"""Arithmetic of its own for what panels say: plain Python over plain rows, without any SQL of the panels."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from tests.dashboards.test_intervals import sampled, sums_of
from tests.integration.dashboards.pipeline import Row, us
from tests.integration.dashboards.world import World

from llmtower_dashboards.macros import Frame

Key = tuple[Any, ...]
Values = dict[str, Any]
Found = dict[Key, Values]
Group = Callable[[Row], Key]
Figures = Callable[[Sequence[Row]], Values]
Z: Final = 1.96


@dataclass(frozen=True)
class Between:
    """Anything in this interval is right: a percentile of a digest, read at one rank lower or higher."""

    low: float
    high: float

    def holds(self, value: Any) -> bool:
        """Whether the value lies in it."""
        return value is not None and self.low - 1e-6 * abs(self.low) <= value <= self.high + 1e-6 * abs(self.high)


def percentile(values: Iterable[float], level: float, *, rank: float = 0.01) -> Between | None:
    """The values around a rank; None without any."""
    known = sorted(values)
    if not known:
        return None
    margin = max(1.0, rank * len(known))
    low = max(0, math.floor(level * len(known) - margin - 1))
    return Between(known[low], known[min(len(known) - 1, math.ceil(level * len(known) + margin))])


def wilson(hits: float, total: float) -> tuple[float, float]:
    """The interval of a share."""
    middle = (hits + Z * Z / 2) / (total + Z * Z)
    half = Z * math.sqrt(hits * (total - hits) / total + Z * Z / 4) / (total + Z * Z)
    return max(0.0, middle - half), min(1.0, middle + half)


def weighted_as_one(rows: Sequence[Row], bad: Callable[[float], bool]) -> Values:
    """The weighted rate of bad scores, with the interval of a simple sample of the same variance."""
    scored = [(row["weight"], bad(row["value"])) for row in rows if row["value"] is not None]
    total = sum(weight for weight, _ in scored)
    rate = sum(weight for weight, is_bad in scored if is_bad) / total
    variance = sum((weight * (is_bad - rate)) ** 2 for weight, is_bad in scored) / total**2
    size = rate * (1 - rate) / variance if variance else total**2 / sum(weight**2 for weight, _ in scored)
    low, high = wilson(rate * size, size)
    return {"rate": rate, "low": low, "high": high, "sample": len(scored)}


def weighted(rows: Sequence[Row], bad: Callable[[float], bool]) -> Values:
    """The weighted rate of bad scores, with the interval of what was sure and what was drawn together."""
    scored = [(row["weight"], bad(row["value"])) for row in rows if row["value"] is not None]
    values = [np.array([column], dtype=np.float64) for column in zip(*scored, strict=True)]
    rate, low, high = sampled(sums_of(values[1], values[0]))
    return {"rate": float(rate[0]), "low": float(low[0]), "high": float(high[0]), "sample": len(scored)}


def floor(moment: datetime, seconds: int) -> datetime:
    """The start of the bucket that a moment lies in."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


@dataclass(frozen=True)
class Look:
    """A world through a frame. Ranges up to `fine_s` count by minutes, longer ones by hours, like the tables they are asked of."""

    world: World
    frame: Frame

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

    def rows(self, table: str, start: datetime | None = None, end: datetime | None = None, *, time: str = "started_at") -> list[Row]:
        """Rows of a range, under the frame's filters."""
        unit = {
            "watermarks": 1_000,
            "dead_letters": 1_000,
            "audits": 1_000,
            "judge_rounds": 1_000,
            "drift": 1_000_000,
            "drift_explanations": 1_000_000,
            "ledger": 1_000_000,
        }.get(table, 1)
        unit = 1_000_000 if table == "drift_ranges" else unit
        first, last = us(start or self.frame.start), us(end or self.frame.end)
        columns = {"model": "request_model", "prompt": "prompt_name", "user": "user_id", "session": "session_id"}
        chosen = {columns.get(name, name): values for name, values in self.frame.variables.items() if values}
        return [
            row
            for row in self.world[table]
            if first <= row[time] * unit < last and all(row[name] in values for name, values in chosen.items() if name in row)
        ]

    def calls(self, fine_s: int = 86_400) -> list[Row]:
        """Calls of the range, as the rollups see it."""
        return self.rows("calls", self.start(fine_s))

    def by_time(self, by: Group, figures: Figures, *, fine_s: int = 86_400, keep: Callable[[Row], bool] = lambda row: True) -> Found:
        """Figures of calls per bucket and label; `minutes` of each bucket is given by `minutes()`."""
        seconds = self.bucket_s(fine_s)
        rows = [row for row in self.rows("calls", floor(self.frame.start, seconds)) if keep(row)]
        return grouped(rows, lambda row: (at(row["started_at"], seconds), *by(row)), figures)

    def minutes(self, fine_s: int = 86_400) -> float:
        """Minutes of a bucket (frames of the tests end at the end of one)."""
        return self.bucket_s(fine_s) / 60

    def shifted(self, days: int, *, hourly: bool) -> list[Row]:
        """Calls of the range so many days earlier."""
        start = floor(self.frame.start, 3_600) if hourly else self.start()
        return self.rows("calls", start - timedelta(days=days), self.frame.end - timedelta(days=days))

    def back(self) -> list[int]:
        """How many days back the ranges lie that this one is compared with."""
        days = math.ceil(self.span / timedelta(days=1))
        return list(range(1, 8)) if self.span <= timedelta(days=1) else [days]


def at(microseconds: int, seconds: int) -> datetime:
    """The bucket of a moment."""
    return datetime.fromtimestamp(microseconds // 1_000_000 // seconds * seconds, UTC)


def grouped(rows: Iterable[Row], by: Group, figures: Figures) -> Found:
    """Figures per group."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(by(row), []).append(row)
    return {key: figures(found) for key, found in groups.items()}


def total(rows: Sequence[Row], column: str) -> float:
    """A sum, unknown values left out."""
    return sum(row[column] or 0 for row in rows)


def failed(rows: Sequence[Row]) -> int:
    """Calls that failed."""
    return sum(row["status"] != "ok" for row in rows)


def priced(rows: Sequence[Row]) -> int:
    """Calls with a price."""
    return sum(row["cost_nano_usd"] is not None for row in rows)


def unpriced(rows: Sequence[Row]) -> int:
    """Calls missing from sums of money."""
    return sum(row["cost_nano_usd"] is None and row["cost_status"] != "failed" for row in rows)


def cost(rows: Sequence[Row]) -> float:
    """Dollars."""
    return total(rows, "cost_nano_usd") / 1e9


def share(part: float, whole: float) -> float | None:
    """A ratio; None of nothing."""
    return part / whole if whole else None


def flow(rows: Sequence[Row]) -> list[float]:
    """Seconds per output token after the first."""
    written = [(row, row["output_tokens"] + row["reasoning_tokens"]) for row in rows if row["ttft_us"] is not None]
    return [(row["duration_us"] - row["ttft_us"]) / (count - 1) / 1e6 for row, count in written if count > 1]


def seconds(rows: Sequence[Row], column: str) -> list[float]:
    """A column of microseconds, in seconds."""
    return [row[column] / 1e6 for row in rows if row[column] is not None]


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
