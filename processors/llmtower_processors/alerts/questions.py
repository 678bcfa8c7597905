"""From rules to few queries, and from answers to readings. Pure: time and watermarks are passed in.

All rules of one source, span, filter and grouping share a query. A span ends at the watermark (at the latest `patience` ago) and
begins with the minute that holds its start; what has arrived since its end is counted too, so a value is never older than it must be.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final, Literal

from llmtower_processors.alerts.conditions import Reading, against, burn
from llmtower_processors.alerts.rules import Rule
from llmtower_schemas.metrics import METRICS, Metric
from llmtower_schemas.queries import Query, Scope, total

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

    def bounds(self, moment: Moment) -> tuple[int, int]:
        """Give [start, end) in microseconds; the end lies ahead, so that what has arrived early is seen."""
        shift = self.days_back * DAY_US
        if self.period:
            return _period_start(moment.now_us, self.period), moment.now_us + HOUR_US
        start = (moment.end_us(None) - round(self.seconds * 1_000_000)) // MINUTE_US * MINUTE_US
        end = moment.now_us if self.days_back or moment.closed else moment.now_us + MINUTE_US
        return start - shift, end - shift

    @property
    def bucket_s(self) -> int:
        """How finely its ends matter: long spans read hours."""
        return 3_600 if self.period or self.seconds > 2 * 86_400 else 60


@dataclass(frozen=True, slots=True)
class Batch:
    """One query, and the metrics that some rules want from it; for SQL of one's own, that rule alone."""

    source: str
    span: Span
    where: tuple[tuple[str, tuple[str, ...]], ...]
    group_by: tuple[str, ...]
    sql: str = ""
    names: tuple[str, ...] = field(default=(), compare=False)
    """Metrics, in order."""
    top: int = field(default=100, compare=False)
    rules: tuple[str, ...] = field(default=(), compare=False)

    def query(self, moment: Moment) -> Query:
        """Write the query; it asks for one group more than wanted, to see whether there are more."""
        start, end = self.span.bounds(moment)
        if self.sql:
            return Query(_wrapped(self.sql, self.top), {"start": _decimal(start), "end": _decimal(min(end, moment.now_us))})
        scope = Scope(_moment(start), _moment(end), {name: list(values) for name, values in self.where})
        metrics = [METRICS[name] for name in self.names]
        return total(metrics, scope, by=self.group_by, bucket_s=self.span.bucket_s, limit=self.top + 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """Readings by metric and group; `cut` when there were more groups than the rules allow."""

    readings: Mapping[str, Mapping[Group, Reading]]
    cut: bool = False


def spans(rule: Rule) -> list[Span]:
    """Give the spans of a rule's own figures (not of its baseline)."""
    if rule.burn_rate:
        return [Span(rule.burn_rate.short), Span(rule.burn_rate.long)]
    return [Span(period=rule.budget.period)] if rule.budget else [Span(rule.window)]


def baseline_spans(rule: Rule) -> list[Span]:
    """Give the same window on each of the days before."""
    return [Span(rule.window, days_back=day) for day in range(1, rule.baseline.days + 1)] if rule.baseline else []


def batches(wanted: Iterable[tuple[Rule, Span]]) -> list[Batch]:
    """Put what shares a query together."""
    together: dict[Batch, list[Rule]] = defaultdict(list)
    for rule, span in wanted:
        together[_batch(rule, span)].append(rule)
    return [_merged(batch, rules) for batch, rules in together.items()]


def read(batch: Batch, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Answer:
    """Turn rows into readings. Raises ValueError when SQL of one's own lacks a column (an empty answer names none)."""
    if not rows:
        return Answer({name: {} for name in batch.names})
    place = {name: index for index, name in enumerate(columns)}
    if batch.sql:
        lacking = [name for name in (*batch.group_by, "value") if name not in place]
        if lacking:
            raise ValueError(
                f"the SQL gives no column {', '.join(lacking)}; it must give {', '.join((*batch.group_by, 'value', 'sample'))}"
            )
    keys = [place[name] for name in batch.group_by]
    groups = [tuple(str(row[key]) for key in keys) for row in rows[: batch.top]]
    found: dict[str, Mapping[Group, Reading]] = {}
    for name in batch.names:
        value, sample = (place["value"], place.get("sample")) if batch.sql else (place[f"{name}_value"], place[f"{name}_sample"])
        found[name] = {
            group: Reading(_number(row[value]), _number(row[sample]) or 0.0 if sample is not None else 1.0)
            for group, row in zip(groups, rows, strict=False)
        }
    return Answer(found, len(rows) > batch.top)


def readings(rule: Rule, answers: Mapping[Span, Answer], usual: Mapping[Group, float] | None = None) -> dict[Group, Reading]:
    """Give the rule's figures by group: as its levels are compared with them."""
    name = rule.metric or rule.name
    if rule.burn_rate:
        short, long = (answers[span].readings[name] for span in spans(rule))
        budget = rule.burn_rate.budget
        return {group: burn(reading, short.get(group, Reading(None)), budget) for group, reading in long.items()}
    found = answers[spans(rule)[0]].readings[name]
    if rule.budget:
        amount = rule.budget.amount
        return {group: Reading(None if one.value is None else one.value / amount, one.sample) for group, one in found.items()}
    if rule.baseline:
        known, floor = usual or {}, rule.baseline.floor
        return {group: against(reading, known.get(group), floor) for group, reading in found.items()}
    return dict(found)


def usual(rule: Rule, days: Sequence[Answer]) -> dict[Group, float]:
    """Give the median over the days of a baseline that have enough of a sample, for groups with enough such days."""
    values: dict[Group, list[float]] = defaultdict(list)
    for answer in days:
        for group, reading in answer.readings[rule.metric or rule.name].items():
            if reading.value is not None and reading.sample >= max(1.0, rule.min_sample):
                values[group].append(reading.value)
    enough = rule.baseline.min_days if rule.baseline else 1
    return {group: median(found) for group, found in values.items() if len(found) >= enough}


def cadence_s(rule: Rule, period_s: float) -> float:
    """Give the seconds between two looks: a hundred and fiftieth of the window, between one round and ten seconds; budgets every ten."""
    if rule.budget or rule.window > HOUR_US / 1e6:
        return max(period_s, 10.0)
    window = rule.burn_rate.short if rule.burn_rate else rule.window
    return min(max(period_s, window / 150), 10.0)


def _batch(rule: Rule, span: Span) -> Batch:
    metric: Metric | None = rule.measured
    where = tuple(sorted((name, tuple(values)) for name, values in rule.where.items()))
    return Batch(metric.source.name if metric else rule.name, span, where, rule.group_by, rule.sql or "")


def _merged(batch: Batch, rules: Sequence[Rule]) -> Batch:
    names = tuple(dict.fromkeys(rule.metric or rule.name for rule in rules))
    top = max(rule.top for rule in rules)
    return Batch(
        batch.source, batch.span, batch.where, batch.group_by, batch.sql, names, top, tuple(dict.fromkeys(rule.name for rule in rules))
    )


def _wrapped(sql: str, top: int) -> str:
    return f"SELECT * FROM (\n{sql.rstrip().removesuffix(';')}\n) LIMIT {top + 1}"  # noqa: S608 - the operator's own SQL, run read-only


def _period_start(now_us: int, period: str) -> int:
    today = _moment(now_us).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today.replace(day=1) if period == "month" else today
    return round(start.timestamp()) * 1_000_000


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
