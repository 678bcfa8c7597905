"""A rule's question as one statement that Grafana can ask: its windows end now, its values are its own literals. Pure."""

import re
from collections.abc import Iterable
from statistics import NormalDist
from typing import Final

from llmtower_processors.alerts.levels import Level
from llmtower_processors.alerts.rules import Rule
from llmtower_schemas.metrics import Metric
from llmtower_schemas.queries import resolution

_START: Final = re.compile(r"\{start:[^}]+\}")
_END: Final = re.compile(r"\{end:[^}]+\}")


def grafana_sql(rule: Rule) -> str:
    """Give a rule's question as one statement that ends now: its groups as text, and `value`, of groups with enough of a sample."""
    inner, value = asked(rule)
    return f"SELECT {''.join(as_text(rule))}toFloat64({value}) AS value FROM (\n{inner}\n) {enough(rule)}"  # noqa: S608 - the rule's own


def never_empty(rule: Rule, level: Level) -> str:
    """Give that question so that it always has a row: where no group is judged, one without a name on the good side of the level.

    Then only a question that fails can make Grafana take the rule for one without data (`grafana_facts`).
    """
    outer = "".join(f"one_.{number} AS {name}, " for number, name in enumerate(rule.group_by, 1))
    keys = "".join(f"{name}, " for name in rule.group_by)
    nobody = "".join("'', " for _ in rule.group_by)
    return (
        f"SELECT {outer}one_.{len(rule.group_by) + 1} AS value FROM (SELECT arrayJoin(if(empty(judged_),"  # noqa: S608 - the rule's own
        f" [tuple({nobody}{_good(level)!r})], judged_)) AS one_ FROM (SELECT groupArray(tuple({keys}assumeNotNull(value))) AS judged_"
        f" FROM (\n{grafana_sql(rule)}\n)))"
    )


def _good(level: Level) -> float:
    """Beyond the level and beyond where it has recovered."""
    if level.below is not None:
        return level.recovery + 1.0
    return min(0.0, level.recovery - 1.0)


def asked(rule: Rule) -> tuple[str, str]:
    """Give the statement whose rows are a rule's groups with `value` and `sample`, and the expression that its levels are compared with."""
    if rule.sql:
        own = _END.sub("now64(6)", _START.sub(f"(now64(6) - toIntervalMillisecond({round(rule.window * 1_000)}))", rule.sql))
        for name, values in rule.left_out.items():
            own = own.replace(f"{{{name}:Array(String)}}", f"CAST([{_listed(values)}], 'Array(String)')")
        return own.rstrip().removesuffix(";"), _certain(rule, "value")
    if rule.measured is None:
        raise ValueError(f"rule {rule.name} is no question to the tables")
    return _metric_sql(rule, rule.measured), "value" if rule.burn_rate or rule.baseline else _certain(rule, "value")


def as_text(rule: Rule) -> list[str]:
    """Give the columns that tell groups apart, each with its comma. Grafana takes labels from text alone."""
    return [f"toString({name}) AS {name}, " for name in rule.group_by]


def enough(rule: Rule) -> str:
    """Which groups are judged."""
    least = f" AND sample >= {rule.min_sample:g}" if rule.min_sample else ""
    return f"WHERE isNotNull(value){least} LIMIT {rule.top}"


def begin(rule: Rule) -> str:
    """Say in SQL when the window of a rule begins, which ends now."""
    if rule.budget:
        return _period(rule.budget.period)
    seconds = rule.burn_rate.long if rule.burn_rate else rule.window
    return f"toStartOfMinute(now('UTC') - toIntervalSecond({round(seconds)}))"


def _metric_sql(rule: Rule, metric: Metric) -> str:
    if rule.burn_rate:
        parts = [_windowed(rule, metric, seconds) for seconds in (rule.burn_rate.long, rule.burn_rate.short)]
        by = ", ".join(rule.group_by) or "one_"
        value = f"least({_certain(rule, 'long_.value', 'long_.sample')}, {_certain(rule, 'short_.value', 'short_.sample')})"
        joined = f"({parts[0]}) AS long_ INNER JOIN ({parts[1]}) AS short_ USING ({by})"
        return f"SELECT {by}, {value} / {rule.burn_rate.budget!r} AS value, least(long_.sample, short_.sample) AS sample FROM {joined}"  # noqa: S608
    if rule.baseline:
        return _against_days(rule, metric)
    if rule.budget:
        return f"SELECT * REPLACE (value / {rule.budget.amount!r} AS value) FROM ({_since(rule, metric, begin(rule))})"  # noqa: S608
    return _since(rule, metric, begin(rule))


def _windowed(rule: Rule, metric: Metric, seconds: float) -> str:
    return _since(rule, metric, f"toStartOfMinute(now('UTC') - toIntervalSecond({round(seconds)}))")


def _period(period: str) -> str:
    return "toDateTime(toStartOfMonth(now('UTC')), 'UTC')" if period == "month" else "toStartOfDay(now('UTC'))"


def _since(rule: Rule, metric: Metric, start: str) -> str:
    table, column = _table(rule, metric)
    keys = ", ".join(rule.group_by)
    head = f"{keys}, " if keys else "1 AS one_, "
    where = f"{column} >= {start} AND {column} <= now('UTC'){_filter(rule)}"
    grouped = f" GROUP BY {keys} ORDER BY s_ DESC" if keys else ""
    # Some tables have a column `value`, so that is no name within.
    inner = f"SELECT {head}{metric.value} AS v_, toFloat64({metric.sample}) AS s_ FROM {table} WHERE {where}{grouped}"  # noqa: S608
    return f"SELECT {f'{keys}, ' if keys else 'one_, '}v_ AS value, s_ AS sample FROM ({inner})"  # noqa: S608


def _against_days(rule: Rule, metric: Metric) -> str:
    """All days in one pass: a row's age says which day's window it lies in."""
    assert rule.baseline is not None  # noqa: S101 - the caller looks
    table, column = _table(rule, metric)
    keys = "".join(f"{name}, " for name in rule.group_by)
    age = f"(toUnixTimestamp(now()) - toUnixTimestamp({column}))"
    window, days = round(rule.window) + 60, rule.baseline.days
    where = (
        f"{column} >= now('UTC') - toIntervalSecond({days * 86_400 + window}) AND {age} >= 0 AND {age} % 86400 < {window}{_filter(rule)}"
    )
    by_day = f"SELECT {keys}intDiv({age}, 86400) AS day_, {metric.value} AS v_, toFloat64({metric.sample}) AS s_ FROM {table}"  # noqa: S608
    counts = f"day_ BETWEEN 1 AND {days} AND s_ >= {max(1.0, rule.min_sample):g}"
    usual = f"quantileExactInclusiveIf(0.5)(assumeNotNull(v_), {counts} AND isNotNull(v_))"
    today = _certain(rule, "anyIf(v_, day_ = 0)", "anyIf(s_, day_ = 0)")
    grouped = f" GROUP BY {keys.removesuffix(', ')}" if keys else ""
    return (
        f"SELECT {keys}{today} / nullIf(greatest({usual}, {rule.baseline.floor!r}), 0) AS value, anyIf(s_, day_ = 0) AS sample"  # noqa: S608
        f" FROM ({by_day} WHERE {where} GROUP BY {keys}day_){grouped} HAVING countIf({counts}) >= {rule.baseline.min_days}"
    )


def _certain(rule: Rule, share: str, sample: str = "sample") -> str:
    """Wilson's bound in SQL; see `conditions.bound`."""
    if not rule.sure:
        return share
    z2 = NormalDist().inv_cdf(rule.sure) ** 2
    spread, sign = f"({z2!r} / {sample})", "+" if rule.levels.graded()[0][1].below is not None else "-"
    half = f"sqrt({spread} * ({share} * (1 - {share}) + {spread} / 4))"
    return f"(({share} + {spread} / 2 {sign} {half}) / (1 + {spread}))"


def _table(rule: Rule, metric: Metric) -> tuple[str, str]:
    finest = metric.source.resolutions[0][0]
    long = rule.budget is not None or rule.window > 2 * 86_400
    return resolution(metric.source, max(3_600 if long and finest <= 3_600 else 60, finest))


def _filter(rule: Rule) -> str:
    return "".join(f" AND {name} {relation} ({_listed(values)})" for name, relation, values in rule.conditions)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(_quoted(value) for value in values)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
