"""Pieces of SQL that panels share: time, resolution, filters. Built from literals and the metrics registry only.

One text serves every range: `resolutions` asks the minutes for ranges up to a day and the hours beyond it. Which of the two is decided by
a constant condition, so the engine reads nothing of the other (tested with EXPLAIN). Windows are aligned outward to the buckets of the
table and half-open, [start, end), unlike `$__timeFilter`, which cuts the first bucket and doubles the last.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from llmtower_schemas.metrics import METRICS

START: Final = "toTimeZone($__fromTime, 'UTC')"
END: Final = "$__toTime"
SPAN: Final = "(toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime))"
"""Seconds."""
DAY: Final = 86_400

COLUMNS: Final[Mapping[str, str]] = {
    "project": "project",
    "environment": "environment",
    "app": "app",
    "model": "request_model",
    "provider": "provider",
    "prompt": "prompt_name",
    "user": "user_id",
}
"""Variable → column of `calls` and of the rollups that have it."""

OF_ROLLUPS: Final = ("project", "environment", "app", "model", "provider", "prompt")
OF_USERS: Final = ("project", "environment", "app", "model", "user")
OF_CALLS: Final = (*OF_ROLLUPS, "user")
OF_SCORES: Final = ("project", "environment", "app", "model", "prompt")
OF_SCOPE: Final = ("project", "environment", "app")
"""What every kind of event has."""
OF_LETTERS: Final = ("project", "app")
"""What is known even of a record that cannot be read."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A rollup: its table, its time column, the seconds of its buckets, the condition under which it is asked."""

    table: str
    time: str
    seconds: int
    when: str

    @property
    def bucket_s(self) -> str:
        """Seconds of a bucket of the answer: what is asked for, but no finer than what is kept."""
        return f"greatest($__interval_s, {self.seconds})"

    def bucket(self) -> str:
        """Start of the bucket that a row belongs to."""
        return f"toStartOfInterval({self.time}, toIntervalSecond({self.bucket_s}))"

    def aligned_start(self, seconds: str = "") -> str:
        """The range's start, brought down to a bucket's start."""
        return f"toStartOfInterval({START}, toIntervalSecond({seconds or self.seconds}))"

    def within(self, seconds: str = "") -> str:
        """The condition on time, `when` included."""
        return f"{self.when} AND {self.time} >= {self.aligned_start(seconds)} AND {self.time} < {END}"

    def minutes(self) -> str:
        """How many minutes of a bucket called `time` lie before the range's end (at least one): what rates are divided by."""
        return f"(least({self.bucket_s}, greatest(60, toUnixTimestamp({END}) - toUnixTimestamp(time_))) / 60)"


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of single events: its name and its column of time. Buckets are those of a rollup: a minute at least."""

    table: str
    time: str

    def bucket(self) -> str:
        """Start of the bucket that a row belongs to."""
        return f"toStartOfInterval(toDateTime({self.time}, 'UTC'), toIntervalSecond(greatest($__interval_s, 60)))"

    def within(self) -> str:
        """The condition on time: from the start on."""
        return f"{self.time} >= {START} AND {self.time} < {END}"

    def within_buckets(self) -> str:
        """The condition on time, whole buckets."""
        return f"{self.time} >= toStartOfInterval({START}, toIntervalSecond(greatest($__interval_s, 60))) AND {self.time} < {END}"


FINE_SUMS_S: Final = DAY
FINE_DIGESTS_S: Final = 21_600
"""Up to so long a range the minutes are asked, for sums and for percentiles: merging digests costs twenty times what adding up does."""


def pair(fine_s: int, rollup: str = "rollup") -> tuple[Resolution, Resolution]:
    """The minutes for ranges up to `fine_s`, the hours beyond: exactly one of them is asked."""
    fine, coarse = f"{SPAN} <= {fine_s}", f"{SPAN} > {fine_s}"
    return Resolution(f"{rollup}_1m", "minute", 60, fine), Resolution(f"{rollup}_1h", "hour", 3_600, coarse)


def filters(names: Sequence[str], **columns: str) -> str:
    """The conditions of these variables, each dropped where nothing is chosen; a column may have another name."""
    return " AND ".join(f"$__conditionalAll({columns.get(name, COLUMNS[name])} IN (${{{name}:singlequote}}), ${name})" for name in names)


def resolutions(build: Callable[[Resolution], str], fine_s: int = FINE_SUMS_S, rollup: str = "rollup") -> str:
    """The same question to the minutes and to the hours, of which one is asked."""
    minutes, hours = pair(fine_s, rollup)
    return f"{build(minutes)}\nUNION ALL\n{build(hours)}"


def aliased(values: Mapping[str, str]) -> str:
    """`expression AS name, …`."""
    return ", ".join(name if name == sql else f"{sql} AS {name}" for name, sql in values.items())


def metric(name: str) -> str:
    """The SQL expression of a metric over rows of its source."""
    return METRICS[name].value


def _fine_s(values: Mapping[str, str]) -> int:
    return FINE_DIGESTS_S if any("_digest" in sql for sql in values.values()) else FINE_SUMS_S


def series(values: Mapping[str, str], *, by: Mapping[str, str] | None = None, extra: str = "") -> str:
    """Values over time, by labels: `time`, the labels, the values. `{minutes}` in a value is what a rate is divided by."""
    labels = by or {}

    def build(of: Resolution) -> str:
        shown = {name: sql.replace("{minutes}", of.minutes()) for name, sql in values.items()}
        where = f"{of.within(of.bucket_s)} AND {filters(OF_ROLLUPS)}{extra}"
        return select({"time": of.bucket(), **labels, **shown}, of.table, where, ["time", *labels])

    names = ["time", *labels, *values]
    return outer(names, resolutions(build, _fine_s(values)), f"\nORDER BY {', '.join(['time', *labels])}")


def select(values: Mapping[str, str], table: str, where: str, by: Sequence[str] = (), tail: str = "") -> str:
    """One inner SELECT, on lines of its own. Its names end in `_`: an alias that equals a column would stand for it everywhere."""
    head = ", ".join(f"{sql} AS {name}_" for name, sql in values.items())
    group = f"\nGROUP BY {', '.join(f'{name}_' for name in by)}" if by else ""
    return f"SELECT {head}\nFROM {table}\nWHERE {where}{group}{tail}"


def outer(names: Sequence[str], query: str, tail: str = "") -> str:
    """Give the columns of an inner query their own names."""
    return f"SELECT {', '.join(f'{name}_ AS {name}' for name in names)}\nFROM (\n{query}\n){tail}"


def grouped(values: Mapping[str, str], *, by: Mapping[str, str], order: str, limit: int = 20, keep: str = "", extra: str = "") -> str:
    """One row per group over the whole range, biggest first; `keep` is a condition on the figures."""

    def build(of: Resolution) -> str:
        return select({**by, **values}, of.table, f"{of.within()} AND {filters(OF_ROLLUPS)}{extra}", list(by))

    tail = f"{f'{chr(10)}WHERE {keep}' if keep else ''}\nORDER BY {order}\nLIMIT {limit}"
    return outer([*by, *values], resolutions(build, _fine_s(values)), tail)


def total(values: Mapping[str, str], extra: str = "") -> str:
    """One row over the whole range; none without data."""

    def build(of: Resolution) -> str:
        return select(values, of.table, f"{of.within()} AND {filters(OF_ROLLUPS)}{extra}", tail="\nHAVING count() > 0")

    return outer(list(values), resolutions(build, _fine_s(values)))


SHIFT: Final = f"({DAY} * intDiv({SPAN} + {DAY - 1}, {DAY}))"
"""Seconds between the range and the one it is compared with: whole days, so that like hours meet."""
BACK: Final = f"if({SPAN} <= {DAY}, 7, 1)"
"""How many ranges before it are compared."""


def before(time: str, aligned_start: str) -> tuple[str, str]:
    """For a time column: how many ranges a row lies back (0 = in the range), and the condition that it lies in one of them."""
    age = f"(toUnixTimestamp({END}) - 1 - toUnixTimestamp({time}))"
    span = f"(toUnixTimestamp({END}) - toUnixTimestamp({aligned_start}))"
    since = f"{time} >= {aligned_start} - toIntervalSecond({BACK} * {SHIFT})"
    return f"intDiv({age}, {SHIFT})", f"{since} AND {time} < {END} AND {age} % {SHIFT} < {span}"


def compared_sum(value: str, *, unpriced: bool = False) -> str:
    """A sum and its baseline, the mean of the ranges before that have data: `value`, `baseline`, [`unpriced`], `sample`."""
    more = {"unpriced": "sum(unpriced_calls)"} if unpriced else {}

    def build(of: Resolution) -> str:
        number, within = before(of.time, of.aligned_start())
        inner = {"now": f"{number} = 0", "ranges": f"uniqExact({number})", "figure": value, **more, "sample": "sum(calls)"}
        return select(inner, of.table, f"{of.when} AND {within} AND {filters(OF_ROLLUPS)}", ["now"])

    shown = {
        "value": "sumIf(figure_, now_)",
        "baseline": "maxIfOrNull(figure_ / ranges_, NOT now_)",
        **{name: f"sumIf({name}_, now_)" for name in (*more, "sample")},
    }
    return f"SELECT {aliased(shown)}\nFROM (\n{resolutions(build)}\n)\nHAVING count() > 0"


def compared_ratio(value: str, *, sample: str = "sum(calls)", more: Mapping[str, str] | None = None) -> str:
    """A ratio or percentile over the range, and over the same (whole) hours of the ranges before, taken together."""
    number, within = before("hour", f"toStartOfHour({START})")
    baseline = select({"value": value}, "rollup_1h", f"{within} AND {number} > 0 AND {filters(OF_ROLLUPS)}")
    return total({"value": value, "baseline": f"({baseline})", **(more or {}), "sample": sample})
