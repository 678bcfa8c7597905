"""From rules to few queries, and from answers to readings. Pure: time and watermarks are passed in.

All rules of one source, span, filter and grouping share a query. A span ends at the watermark (at the latest `patience` ago) and
begins with the minute that holds its start; what has arrived since its end is counted too, so a value is never older than it must be.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from llmtower_processors.alerts.conditions import Reading
from llmtower_processors.alerts.rules import Rule
from llmtower_schemas.metrics import METRICS, Metric, Source
from llmtower_schemas.queries import Query, resolution

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 86_400_000_000

Group = tuple[str, ...]
"""Values of `group_by`, in its order."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is, and up to where all is known to be there: per project, in microseconds."""

    now_us: int
    marks: Mapping[str, int] = field(default_factory=dict)
    patience_us: int = 30_000_000
    closed: bool = False
    """A second look: the windows end exactly here, and nothing later counts."""
    at_us: int = 0
    """When a second look is taken."""

    def end_us(self, project: str | None) -> int:
        """The end of a window that is judged now: of one project, or of all that have a watermark."""
        marks = list(self.marks.values()) if project is None else [self.marks[project]] if project in self.marks else []
        mark = min(marks, default=self.now_us)
        return min(self.now_us, max(mark, self.now_us - self.patience_us))

    def completeness(self, project: str | None, start_us: int) -> float | None:
        """Give the share of the window's time that is known to be there; None where nobody says."""
        marks = list(self.marks.values()) if project is None else [self.marks[project]] if project in self.marks else []
        if not marks:
            return None
        end = self.end_us(project)
        return min(1.0, max(0.0, (min(marks) - start_us) / max(1, end - start_us)))


@dataclass(frozen=True, slots=True)
class Span:
    """Which time a query looks at: `seconds` back, or since the period began; moved back by whole days for a baseline."""

    seconds: float = 0.0
    period: Literal["", "day", "month"] = ""
    days_back: int = 0
    later_s: float = 0.0
    """Moved by so many seconds besides, for a baseline that is not to the minute."""

    def bounds(self, moment: Moment) -> tuple[int, int]:
        """Give [start, end) in microseconds; the end lies ahead, so that what has arrived early is seen."""
        shift = self.days_back * DAY_US - round(self.later_s * 1_000_000) // MINUTE_US * MINUTE_US
        if self.period:
            return _period_start(moment.now_us, self.period), moment.now_us + HOUR_US
        start = (moment.end_us(None) - round(self.seconds * 1_000_000)) // MINUTE_US * MINUTE_US
        end = moment.now_us if self.days_back or moment.closed else moment.now_us + MINUTE_US
        return start - shift, end - shift

    @property
    def bucket_s(self) -> int:
        """How finely its ends matter: long spans read hours."""
        return 3_600 if self.period or self.seconds > 2 * 86_400 else 60


Where = tuple[tuple[str, Literal["IN", "NOT IN"], tuple[str, ...]], ...]
"""Dimension, and the values that it must or must not have."""


@dataclass(frozen=True, slots=True)
class View:
    """What one rule looks at within a batch: a span, of some of the rows."""

    span: Span
    where: Where = ()

    @classmethod
    def of(cls, rule: Rule, span: Span) -> "View":
        """Give the view of a rule on a span."""
        return cls(span, tuple(rule.conditions))


@dataclass(frozen=True, slots=True)
class Batch:
    """One query: several metrics of one source over several views, each row read once; or one rule's own SQL."""

    source: Source | None
    group_by: tuple[str, ...]
    views: tuple[View, ...]
    names: tuple[str, ...]
    """Metrics, in order; the rule's name for SQL of one's own."""
    rules: tuple[str, ...]
    top: int
    sql: str = ""
    left_out: Mapping[str, list[str]] = field(default_factory=dict)
    """Parameters of that SQL."""

    def query(self, moment: Moment) -> Query:
        """Write the query; it asks for one group more than wanted, to see whether there are more."""
        if self.source is None:
            start, end = self.views[0].span.bounds(moment)
            bound = {"start": _decimal(start), "end": _decimal(min(end, moment.now_us)), **self.left_out}
            return Query(_wrapped(self.sql, self.top), bound)
        return views_query(
            self.source,
            [METRICS[name] for name in self.names],
            [(*view.span.bounds(moment), view.where) for view in self.views],
            by=self.group_by,
            bucket_s=max(view.span.bucket_s for view in self.views),
            limit=self.top + 1,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """Readings by metric and group; `cut` when there were more groups than the rules allow."""

    readings: Mapping[str, Mapping[Group, Reading]]
    cut: bool = False


def views_query(
    source: Source, metrics: Sequence[Metric], views: Sequence[tuple[int, int, Where]], *, by: Sequence[str], bucket_s: int, limit: int
) -> Query:
    """One pass over the rows for many (start, end, filter): each row counts for every view that it belongs to.

    Reading sketches is what such a query costs, so each is read once, whatever number of windows it lies in.
    """
    table, column = resolution(source, max(bucket_s, source.resolutions[0][0]))
    bucket_us = next(seconds for seconds, name, _ in source.resolutions if name == table) * 1_000_000
    views = [(start // bucket_us * bucket_us, end, where) for start, end, where in views]
    parameters: dict[str, Any] = {}
    conditions = [_condition(f"v{number}", view, column, parameters) for number, view in enumerate(views)]
    start, end = min(view[0] for view in views), max(view[1] for view in views)
    parameters |= {"start": _second(start), "end": _second(end)}
    belongs = ", ".join(f"if({condition}, {number}, -1)" for number, condition in enumerate(conditions))
    values = ", ".join(f"{one.value} AS {one.name}_value, {one.sample} AS {one.name}_sample" for one in metrics)
    keys = ", ".join(["view_", *by])
    return Query(
        f"SELECT {keys}, {values} FROM {table} ARRAY JOIN arrayFilter(v -> v >= 0, [{belongs}]) AS view_"  # noqa: S608 - registries' names
        f" WHERE {column} >= {{start:DateTime('UTC')}} AND {column} < {{end:DateTime('UTC')}} AND ({' OR '.join(conditions)})"
        f" GROUP BY {keys} ORDER BY {metrics[0].name}_sample DESC LIMIT {int(limit)} BY view_",
        parameters,
    )


def _condition(prefix: str, view: tuple[int, int, Where], column: str, parameters: dict[str, Any]) -> str:
    start, end, where = view
    parameters |= {f"{prefix}_start": _second(start), f"{prefix}_end": _second(end)}
    parts = [f"{column} >= {{{prefix}_start:DateTime('UTC')}}", f"{column} < {{{prefix}_end:DateTime('UTC')}}"]
    for number, (name, relation, values) in enumerate(where):
        parts.append(f"{name} {relation} {{{prefix}_{number}_{name}:Array(String)}}")
        parameters[f"{prefix}_{number}_{name}"] = list(values)
    return f"({' AND '.join(parts)})"


def spans(rule: Rule) -> list[Span]:
    """Give the spans of a rule's own figures (not of its baseline)."""
    if rule.burn_rate:
        return [Span(rule.burn_rate.short), Span(rule.burn_rate.long)]
    return [Span(period=rule.budget.period)] if rule.budget else [Span(rule.window)]


def baseline_spans(rule: Rule) -> list[Span]:
    """Give the same window on each of the days before, and with `near` so much earlier and later too; days of one offset together."""
    if rule.baseline is None:
        return []
    offsets = (0.0, -rule.baseline.near, rule.baseline.near) if rule.baseline.near else (0.0,)
    return [Span(rule.window, days_back=day, later_s=later) for later in offsets for day in range(1, rule.baseline.days + 1)]


def longest_look(rule: Rule) -> tuple[str, float]:
    """Give the table that a metric's rule reads, and how many seconds it looks back at most; SQL of one's own may look anywhere."""
    if rule.measured is None:
        return "", 0.0
    looks = [*spans(rule), *baseline_spans(rule)]
    finest = rule.measured.source.resolutions[0][0]
    table, _ = resolution(rule.measured.source, max(finest, *(span.bucket_s for span in looks)))
    period_s = {"": 0.0, "day": DAY_US / 1e6, "month": 31 * DAY_US / 1e6}
    return table, max(span.seconds + span.days_back * DAY_US / 1e6 - min(0.0, span.later_s) + period_s[span.period] for span in looks)


Pair = tuple[Rule, Span]


def batches(wanted: Iterable[Pair]) -> list[tuple[Batch, list[Pair]]]:
    """Put what shares a pass together: one source, one grouping, one table, the same day."""
    together: dict[tuple[Any, ...], list[Pair]] = defaultdict(list)
    for rule, span in wanted:
        source = rule.measured.source.name if rule.measured else f"sql {rule.name}"
        together[source, rule.group_by, span.bucket_s, span.days_back, bool(span.period)].append((rule, span))
    return [(_merged(pairs), pairs) for pairs in together.values()]


def read(batch: Batch, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[View, Answer]:
    """Turn rows into readings. Raises ValueError when SQL of one's own lacks a column (an empty answer names none)."""
    if not rows:
        return {view: Answer({name: {} for name in batch.names}) for view in batch.views}
    place = {name: index for index, name in enumerate(columns)}
    if batch.source is None:
        return {batch.views[0]: _own(batch, place, rows)}
    parts: list[list[Sequence[Any]]] = [[] for _ in batch.views]
    for row in rows:
        parts[row[0]].append(row)
    return {view: _answer(batch, place, part) for view, part in zip(batch.views, parts, strict=True)}


def _own(batch: Batch, place: Mapping[str, int], rows: Sequence[Sequence[Any]]) -> Answer:
    lacking = [name for name in (*batch.group_by, "value") if name not in place]
    if lacking:
        raise ValueError(f"the SQL gives no column {', '.join(lacking)}; it must give {', '.join((*batch.group_by, 'value', 'sample'))}")
    found = {}
    for row in rows[: batch.top]:
        sample = _number(row[place["sample"]]) if "sample" in place else 1.0
        found[tuple(str(row[place[name]]) for name in batch.group_by)] = Reading(_number(row[place["value"]]), sample or 0.0)
    return Answer({batch.names[0]: found}, len(rows) > batch.top)


def _answer(batch: Batch, place: Mapping[str, int], rows: Sequence[Sequence[Any]]) -> Answer:
    keys = range(1, 1 + len(batch.group_by))
    groups = [tuple(str(row[key]) for key in keys) for row in rows[: batch.top]]
    found: dict[str, Mapping[Group, Reading]] = {}
    for name in batch.names:
        value = place[f"{name}_value"]
        found[name] = {group: Reading(_number(row[value]), float(row[value + 1] or 0)) for group, row in zip(groups, rows, strict=False)}
    return Answer(found, len(rows) > batch.top)


def cadence_s(rule: Rule, period_s: float) -> float:
    """Give the seconds between two looks: a hundred and fiftieth of the window, between one round and ten seconds; budgets every ten."""
    if rule.budget or rule.window > HOUR_US / 1e6:
        return max(period_s, 10.0)
    window = rule.burn_rate.short if rule.burn_rate else rule.window
    return min(max(period_s, window / 150), 10.0)


def _merged(pairs: Sequence[Pair]) -> Batch:
    first = pairs[0][0]
    return Batch(
        source=first.measured.source if first.measured else None,
        group_by=first.group_by,
        views=tuple(dict.fromkeys(View.of(rule, span) for rule, span in pairs)),
        names=tuple(dict.fromkeys(rule.metric or rule.name for rule, _ in pairs)),
        rules=tuple(dict.fromkeys(rule.name for rule, _ in pairs)),
        top=max(rule.top for rule, _ in pairs),
        sql=first.sql or "",
        left_out=first.left_out,
    )


def _wrapped(sql: str, top: int) -> str:
    return f"SELECT * FROM (\n{sql.rstrip().removesuffix(';')}\n) LIMIT {top + 1}"  # noqa: S608 - the operator's own SQL, run read-only


def _period_start(now_us: int, period: str) -> int:
    today = _moment(now_us).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today.replace(day=1) if period == "month" else today
    return round(start.timestamp()) * 1_000_000


def _second(at_us: int) -> str:
    return _moment(at_us).strftime("%Y-%m-%d %H:%M:%S")


def _decimal(at_us: int) -> str:
    """Seconds since the epoch, exactly: read alike whatever the server's time zone."""
    return f"{at_us // 1_000_000}.{at_us % 1_000_000:06}"


def _moment(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if number == number and abs(number) != float("inf") else None
