"""What a rule's figures were: tracks over days from a few queries. The queries are written here, who asks them is passed in.

Windows end on a grid; a row belongs to all windows that it lies in. First the rows are summed up per step of the grid (and the dimensions
that a metric looks at), then each sum counts for its windows: reading sketches is what costs, so each is read once.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from llmtower_processors.alerts.levels import Baseline
from llmtower_processors.alerts.questions import Group, Moment, Span, batches, read
from llmtower_processors.alerts.replay import DAY_US, Floats, Track, with_certainty
from llmtower_processors.alerts.rules import BLIND, Rule
from llmtower_processors.alerts.tables import QuestionRefusedError, Tables
from llmtower_processors.errors import LlmtowerError
from llmtower_schemas.metrics import CALLS, SCORES, USERS, Metric
from llmtower_schemas.queries import Query, resolution

OVERLAP: Final = 10
"""Windows that a row belongs to at most: finer grids cost more and find the same."""
MOST_LOOKS: Final = 1_500
"""SQL of one's own is asked once for each time."""
_SECOND_US: Final = 1_000_000
_STATES: Final = re.compile(r"\b(duration|ttft|token_time)_digest\b")
_DIGEST: Final = "quantilesTDigestMergeState(0.5, 0.9, 0.95, 0.99)"
_SUMMED: Final = re.compile(r"\bsum(?:If)?\(([^()]*)")
_WORD: Final = re.compile(r"\b[a-z][a-z0-9_]+\b")


class BacktestError(LlmtowerError):
    """A rule cannot be played over the past."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Times at which windows end: multiples of `step_s`; a window is `overlap` steps long."""

    step_s: int
    overlap: int

    @classmethod
    def of(cls, window_s: float, finest_s: int) -> "Grid":
        """Choose the finest grid whose step divides the window, with at most OVERLAP windows around a row."""
        unit = max(60, finest_s)
        units = max(1, round(window_s / unit))
        overlap = max(count for count in range(1, OVERLAP + 1) if units % count == 0)
        return cls(units // overlap * unit, overlap)


def tracks(tables: Tables, rule: Rule, start_us: int, end_us: int) -> list[Track]:
    """Give the figures of every group (the `top` largest). Raises Unreachable, QuestionRefusedError, BacktestError."""
    if rule.metric == BLIND:
        raise BacktestError(f"Rule {rule.name} is about the evaluator itself: its past is in alert_events.")
    if rule.measured is None:
        return _asked(tables, rule, start_us, end_us)
    finest = rule.measured.source.resolutions[0][0]
    if rule.budget:
        return _budget(tables, rule, rule.measured, Grid.of(60, finest), start_us, end_us)
    if rule.burn_rate:
        grid = Grid.of(rule.burn_rate.short, finest)
        long = Grid(grid.step_s, max(1, round(rule.burn_rate.long / grid.step_s)))
        both = [_read(tables, rule, rule.measured, one, start_us, end_us) for one in (grid, long)]
        return _burning(both, rule.burn_rate.budget)
    grid = Grid.of(rule.window, finest)
    if rule.baseline:
        before = rule.baseline.days * DAY_US + -(-round(rule.baseline.near * 1e6) // (grid.step_s * _SECOND_US)) * grid.step_s * _SECOND_US
        found = _read(tables, rule, rule.measured, grid, start_us - before, end_us)
        return [against_days(one, before, rule) for one in found]
    return _read(tables, rule, rule.measured, grid, start_us, end_us)


def history_query(rule: Rule, metric: Metric, grid: Grid, start_us: int, end_us: int) -> Query:
    """One row per group: arrays of times (seconds), values and samples, of the groups with the largest sample."""
    table, column = resolution(metric.source, max(grid.step_s, metric.source.resolutions[0][0]))
    parameters: dict[str, Any] = {"start": start_us // _SECOND_US, "end": end_us // _SECOND_US}
    conditions = [f"{column} >= fromUnixTimestamp({{start:Int64}})", f"{column} < fromUnixTimestamp({{end:Int64}})"]
    for number, (name, relation, chosen) in enumerate(rule.conditions):
        conditions.append(f"{name} {relation} {{w_{number}_{name}:Array(String)}}")
        parameters[f"w_{number}_{name}"] = list(chosen)
    by = ", ".join(rule.group_by)
    keys = f"{by}, " if by else ""
    bucket = f"intDiv(toUnixTimestamp({column}), {grid.step_s}) * {grid.step_s} AS t_"
    parts, more = _parts(rule, metric)
    rows = f"SELECT {keys}{bucket}{more} FROM {table} WHERE {' AND '.join(conditions)}{parts}"  # noqa: S608 - names of the registries
    values = f"{metric.value} AS v_, toFloat64({metric.sample}) AS s_"
    return Query(
        f"SELECT {keys}groupArray(end_), groupArray(v_), groupArray(s_) FROM (SELECT {keys}t_ + {grid.step_s} * n_ AS end_, {values}"  # noqa: S608
        f" FROM ({rows}) ARRAY JOIN range(1, {grid.overlap + 1}) AS n_ GROUP BY {keys}end_ HAVING isNotNull(v_))"
        f"{f' GROUP BY {by}' if by else ''} ORDER BY sum(s_) DESC LIMIT {rule.top}",
        parameters,
    )


def _parts(rule: Rule, metric: Metric) -> tuple[str, str]:
    """Sum up per step where the table is a rollup: GROUP BY and the columns that the metric reads."""
    words = set(_WORD.findall(f"{metric.value} {metric.sample}"))
    if metric.source not in (CALLS, USERS, SCORES):
        named = sorted((words & set(_ROW_COLUMNS)) - set(rule.group_by))
        return "", "".join(f", {name}" for name in named)
    kept = sorted((words & set(metric.source.dimensions)) - set(rule.group_by))
    digests = sorted({found.group(0) for found in _STATES.finditer(f"{metric.value} {metric.sample}")})
    summed = sorted({word for text in _SUMMED.findall(f"{metric.value} {metric.sample}") for word in _WORD.findall(text.partition(",")[0])})
    columns = [*kept, *(f"sum({name}) AS {name}" for name in summed), *(f"{_DIGEST}({name}) AS {name}" for name in digests)]
    # Without an alias of its own the sum would stand for the column in the same query, so the inner names are the outer columns.
    keys = ", ".join([*rule.group_by, "t_", *kept])
    return f" GROUP BY {keys}", "".join(f", {column}" for column in columns)


_ROW_COLUMNS: Final = ("weight", "name", "value", "score", "label", "reason")
"""Columns that metrics of tables without a rollup read."""


def _read(tables: Tables, rule: Rule, metric: Metric, grid: Grid, start_us: int, end_us: int) -> list[Track]:
    window_us = grid.step_s * grid.overlap * _SECOND_US
    _, rows = tables.ask(history_query(rule, metric, grid, start_us - window_us, end_us))
    return [with_certainty(rule, _dense(rule, row, grid.step_s, start_us, end_us)) for row in rows]


def _dense(rule: Rule, row: Sequence[Any], step_s: int, start_us: int, end_us: int) -> Track:
    step_us = step_s * _SECOND_US
    first = -(-start_us // step_us) * step_us
    length = max(1, (end_us - first) // step_us + 1)
    at = np.asarray(row[-3], dtype=np.int64) * _SECOND_US
    place = (at - first) // step_us
    inside = (place >= 0) & (place < length)
    values, samples = np.full(length, np.nan), np.zeros(length)
    values[place[inside]] = np.asarray(row[-2], dtype=np.float64)[inside]
    samples[place[inside]] = np.asarray(row[-1], dtype=np.float64)[inside]
    values[~np.isfinite(values)] = np.nan
    return Track(dict(zip(rule.group_by, map(str, row[:-3]), strict=True)), first, step_us, values, samples)


def against_days(track: Track, before_us: int, rule: Rule) -> Track:
    """Give value / median of the same time on the days before; the first `before_us` of the track are only looked back at."""
    baseline = rule.baseline or Baseline()
    skip = before_us // track.step_us
    usual = _usual(track, skip, rule, baseline)
    denominator = np.maximum(usual, baseline.floor)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(denominator > 0, track.values[skip:] / denominator, np.nan)
        sure = None if track.sure is None else np.where(denominator > 0, track.sure[skip:] / denominator, np.nan)
    return Track(track.group, track.start_us + skip * track.step_us, track.step_us, values, track.samples[skip:], sure)


def _usual(track: Track, skip: int, rule: Rule, baseline: Baseline) -> Floats:
    """The median over the days with enough of a sample; with `near` the one of three that is furthest towards the rule's levels."""
    day, length = DAY_US // track.step_us, len(track.values) - skip
    off = round(baseline.near * 1_000_000 / track.step_us)
    known = np.where(track.samples >= max(1.0, rule.min_sample), track.values, np.nan)
    furthest = np.fmin if rule.levels.graded()[0][1].below is not None else np.fmax
    result = np.full(length, np.nan)
    for offset in {0, -off, off}:
        places = skip + offset + np.arange(length)
        past = np.stack([np.where(places >= number * day, known[places - number * day], np.nan) for number in range(1, baseline.days + 1)])
        enough = np.sum(~np.isnan(past), axis=0) >= baseline.min_days
        median = np.full(length, np.nan)
        if enough.any():
            median[enough] = np.nanmedian(past[:, enough], axis=0)
        result = furthest(result, median)
    return result


def _burning(found: Sequence[Sequence[Track]], budget: float) -> list[Track]:
    short = {tuple(one.group.values()): one for one in found[0]}
    return [burning(short[key], one, budget) for one in found[1] if (key := tuple(one.group.values())) in short]


def burning(near: Track, far: Track, budget: float) -> Track:
    """Give the smaller of two burn rates, with the smaller sample."""
    values, samples = np.minimum(near.values, far.values) / budget, np.minimum(near.samples, far.samples)
    sure = None if near.sure is None or far.sure is None else np.minimum(near.sure, far.sure) / budget
    return Track(near.group, near.start_us, near.step_us, values, samples, sure)


def _budget(tables: Tables, rule: Rule, metric: Metric, grid: Grid, start_us: int, end_us: int) -> list[Track]:
    assert rule.budget is not None  # noqa: S101 - the caller looks
    begin = _period_starts(np.array([start_us]), rule.budget.period)[0]
    found = _read(tables, rule, metric, grid, int(begin), end_us)
    return [spent(one, rule.budget.amount, rule.budget.period, start_us) for one in found]


def spent(track: Track, amount: float, period: str, start_us: int) -> Track:
    """Sum up since the period began, as a share of what may be spent."""
    ends = track.start_us + np.arange(len(track.values)) * track.step_us
    periods = _period_starts(ends - 1, period)
    first = np.flatnonzero(np.r_[True, periods[1:] != periods[:-1]])
    number = np.cumsum(np.r_[True, periods[1:] != periods[:-1]]) - 1

    def since(figures: Floats) -> Floats:
        total = np.cumsum(np.nan_to_num(figures))
        before = np.r_[0.0, total][first]
        return np.asarray(total - before[number], dtype=np.float64)

    skip = max(0, (start_us - track.start_us) // track.step_us)
    values, samples = since(track.values) / amount, since(track.samples)
    return Track(track.group, int(ends[skip]), track.step_us, values[skip:], samples[skip:])


def _period_starts(at_us: Any, period: str) -> Any:
    days = np.asarray(at_us).astype("datetime64[us]").astype("datetime64[D]")
    return (days.astype("datetime64[M]") if period == "month" else days).astype("datetime64[us]").astype(np.int64)


def _asked(tables: Tables, rule: Rule, start_us: int, end_us: int) -> list[Track]:
    """Ask SQL of one's own once for each time: as fine as MOST_LOOKS allows, at least once per window."""
    window_us = round(rule.window * _SECOND_US)
    step_us = max(60 * _SECOND_US, -(-(end_us - start_us) // MOST_LOOKS // (60 * _SECOND_US)) * 60 * _SECOND_US)
    if step_us > window_us * 2:
        most = MOST_LOOKS * window_us * 2 / DAY_US
        raise BacktestError(
            f"Rule {rule.name} has SQL of its own and a window of {rule.window:g} s: ask for at most {most:.1f} days at once."
        )
    first = -(-start_us // step_us) * step_us
    times = range(first, end_us + 1, step_us)
    values: dict[Group, Floats] = {}
    samples: dict[Group, Floats] = {}
    ((batch, pairs),) = batches([(rule, Span(rule.window))])
    for number, now in enumerate(times):
        answer = read(batch, *_ask(tables, batch.query(Moment(now, closed=True)), rule))
        for _, one in _readings(answer, pairs):
            for group, reading in one.items():
                values.setdefault(group, np.full(len(times), np.nan))[number] = np.nan if reading.value is None else reading.value
                samples.setdefault(group, np.zeros(len(times)))[number] = reading.sample
    names = {group: dict(zip(rule.group_by, group, strict=True)) for group in values}
    return [with_certainty(rule, Track(names[group], first, step_us, values[group], samples[group])) for group in values]


def _readings(answer: Mapping[Any, Any], pairs: Iterable[Any]) -> Iterable[tuple[str, Mapping[Group, Any]]]:
    for rule, _ in pairs:
        for view in answer.values():
            yield rule.name, view.readings[rule.name]


def _ask(tables: Tables, query: Query, rule: Rule) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    try:
        return tables.ask(query)
    except QuestionRefusedError as error:
        raise BacktestError(f"Rule {rule.name}: {error}") from error
