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
        return f"(least({self.bucket_s}, greatest(60, toUnixTimestamp({END}) - toUnixTimestamp(time))) / 60)"


MINUTES: Final = Resolution("rollup_1m", "minute", 60, f"{SPAN} <= {DAY}")
HOURS: Final = Resolution("rollup_1h", "hour", 3_600, f"{SPAN} > {DAY}")


def filters(names: Sequence[str], **columns: str) -> str:
    """The conditions of these variables, each dropped where nothing is chosen; a column may have another name."""
    return " AND ".join(f"$__conditionalAll({columns.get(name, COLUMNS[name])} IN (${{{name}:singlequote}}), ${name})" for name in names)


def resolutions(build: Callable[[Resolution], str]) -> str:
    """The same question to the minutes and to the hours, of which one is asked."""
    return f"{build(MINUTES)}\nUNION ALL\n{build(HOURS)}"


def aliased(values: Mapping[str, str]) -> str:
    """`expression AS name, …`."""
    return ", ".join(name if name == sql else f"{sql} AS {name}" for name, sql in values.items())


def metric(name: str) -> str:
    """The SQL expression of a metric over rows of its source."""
    return METRICS[name].value


def series(values: Mapping[str, str], *, by: Mapping[str, str] | None = None, extra: str = "") -> str:
    """Values over time, by labels: `time`, the labels, the values. `{minutes}` in a value is what a rate is divided by."""
    labels = by or {}

    def build(of: Resolution) -> str:
        shown = {name: sql.replace("{minutes}", of.minutes()) for name, sql in values.items()}
        head = aliased({"time": of.bucket(), **labels, **shown})
        keys = ", ".join(["time", *labels])
        where = f"{of.within(of.bucket_s)} AND {filters(OF_ROLLUPS)}{extra}"
        return f"SELECT {head}\nFROM {of.table}\nWHERE {where}\nGROUP BY {keys}"

    return f"SELECT * FROM (\n{resolutions(build)}\n)\nORDER BY {', '.join(['time', *labels])}"  # noqa: S608 - literals


def grouped(values: Mapping[str, str], *, by: Mapping[str, str], order: str, limit: int = 20, extra: str = "") -> str:
    """One row per group over the whole range, biggest first."""

    def build(of: Resolution) -> str:
        where = f"{of.within()} AND {filters(OF_ROLLUPS)}{extra}"
        return f"SELECT {aliased({**by, **values})}\nFROM {of.table}\nWHERE {where}\nGROUP BY {', '.join(by)}"

    return f"SELECT * FROM (\n{resolutions(build)}\n)\nORDER BY {order}\nLIMIT {limit}"  # noqa: S608 - literals


def total(values: Mapping[str, str], extra: str = "") -> str:
    """One row over the whole range; none without data."""

    def build(of: Resolution) -> str:
        where = f"{of.within()} AND {filters(OF_ROLLUPS)}{extra}"
        return f"SELECT {aliased(values)}\nFROM {of.table}\nWHERE {where}\nHAVING count() > 0"

    return resolutions(build)


SHIFT: Final = f"({DAY} * intDiv({SPAN} + {DAY - 1}, {DAY}))"
"""Seconds between the range and the one it is compared with: whole days, so that like hours meet."""
BACK: Final = f"if({SPAN} <= {DAY}, 7, 1)"
"""How many ranges before it are compared."""


def compared(value: str, *, additive: bool, sample: str = "sum(calls)", unpriced: bool = False) -> str:
    """A figure and its baseline: `value`, `baseline`, [`unpriced`], `sample`; none without data in all of the ranges.

    Sums are compared per range that has data, ratios and percentiles over all of them together.
    """
    more = {"unpriced": "sum(unpriced_calls)"} if unpriced else {}

    def build(of: Resolution) -> str:
        age = f"(toUnixTimestamp({END}) - 1 - toUnixTimestamp({of.time}))"
        span = f"(toUnixTimestamp({END}) - toUnixTimestamp({of.aligned_start()}))"
        inner = {
            "now": f"intDiv({age}, {SHIFT}) = 0",
            "days": f"uniqExact(intDiv({age}, {SHIFT}))",
            "figure": value,
            **more,
            "rows": sample,
        }
        since = f"{of.aligned_start()} - toIntervalSecond({BACK} * {SHIFT})"
        where = f"{of.when} AND {of.time} >= {since} AND {of.time} < {END} AND {age} % {SHIFT} < {span} AND {filters(OF_ROLLUPS)}"
        return f"SELECT {aliased(inner)}\nFROM {of.table}\nWHERE {where}\nGROUP BY now"

    figure = "maxIfOrNull(figure, now)"
    outer = {
        "value": f"ifNull({figure}, 0)" if additive else figure,
        "baseline": f"maxIfOrNull(figure{' / days' if additive else ''}, NOT now)",
        **{name: f"maxIf({name}, now)" for name in more},
        "sample": "maxIf(rows, now)",
    }
    return f"SELECT {aliased(outer)}\nFROM (\n{resolutions(build)}\n)\nHAVING count() > 0"
