"""The same rules as Grafana-managed ones: rule group, contact points and policies as Grafana's provisioning API takes them. Pure.

Only rules that say `grafana: true` are compiled: Grafana tells people of them, and the evaluator judges them as shadows, so each rule has
one pager. A heartbeat joins them, which fires when this system itself is silent. Differences that Grafana's rules cannot bridge: windows
end now, not at the watermark; a baseline's `near` is left out; a level is compared with the certain bound (`sure`), also to recover.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Literal

from llmtower_processors.alerts.durations import duration
from llmtower_processors.alerts.levels import Level
from llmtower_processors.alerts.rules import Route, Rule
from llmtower_schemas.alerts import Severity, digest
from llmtower_schemas.metrics import Metric
from llmtower_schemas.queries import resolution

GROUP: Final = "llmtower-alerts"
INTERVAL_S: Final = 60
SILENT_S: Final = 60
"""The leader writes watermarks every 5 s."""
LONGEST_HEADING: Final = 100
"""Grafana takes 190 characters of a title, rule and level included."""
LONGEST_UID: Final = 40
_NO_DATA: Final = {"ok": "OK", "alert": "Alerting", "keep": "KeepLast"}
_START: Final = re.compile(r"\{start:[^}]+\}")
_END: Final = re.compile(r"\{end:[^}]+\}")
HEARTBEAT_SQL: Final = "SELECT 'llmtower' AS what, toFloat64(dateDiff('second', max(at), now())) AS value FROM watermarks"


@dataclass(frozen=True, slots=True)
class Compiled:
    """One thing for Grafana: what kind, by which name it is found again, and its body."""

    kind: Literal["alert rules", "contact point", "notification policy"]
    name: str
    body: Mapping[str, Any]


def grafana_alerts(
    rules: Iterable[Rule], routes: Mapping[str, Route], addresses: Mapping[str, str], *, folder_uid: str, source_uid: str, source_type: str
) -> list[Compiled]:
    """Compile the rules that Grafana tells of, and the routes they use. `addresses`: of routes, secrets as they are to be stored there."""
    chosen = [rule for rule in rules if rule.grafana and rule.enabled and rule.queried]
    used = {name: route for name, route in routes.items() if name == "default" or any(name in rule.routes for rule in chosen)}
    source = {"type": source_type, "uid": source_uid}
    made = [_rule(rule, severity, level, folder_uid, source) for rule in chosen for severity, level in rule.levels.graded()]
    group = {"title": GROUP, "folderUid": folder_uid, "interval": INTERVAL_S, "rules": [*made, _heartbeat(used, folder_uid, source)]}
    told = {name: route for name, route in used.items() if route.kind != "apprise"}
    return [
        *(Compiled("contact point", _receiver(name), _contact(name, route, addresses.get(name, ""))) for name, route in told.items()),
        *(Compiled("notification policy", _receiver(name), _policy(name, route)) for name, route in told.items()),
        Compiled("alert rules", f"{folder_uid}/{GROUP}", group),
    ]


def grafana_sql(rule: Rule) -> str:
    """Give a rule's question as one statement that ends now: its groups as text, and `value`, of groups with enough of a sample."""
    by = "".join(f"{name}, " for name in rule.group_by)
    if rule.sql:
        own = _END.sub("now64(6)", _START.sub(f"(now64(6) - toIntervalMillisecond({round(rule.window * 1_000)}))", rule.sql))
        for name, values in rule.left_out.items():
            own = own.replace(f"{{{name}:Array(String)}}", f"CAST([{_listed(values)}], 'Array(String)')")
        inner, value = own.rstrip().removesuffix(";"), _certain(rule, "value")
    elif rule.measured is None:
        raise ValueError(f"rule {rule.name} is no question to the tables")
    else:
        inner, value = _metric_sql(rule, rule.measured), "value" if rule.burn_rate or rule.baseline else _certain(rule, "value")
    least = f" AND sample >= {rule.min_sample:g}" if rule.min_sample else ""
    return f"SELECT {by}toFloat64({value}) AS value FROM (\n{inner}\n) WHERE isNotNull(value){least} LIMIT {rule.top}"  # noqa: S608 - the rule's own


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
        begin = "toStartOfMonth(now('UTC'))" if rule.budget.period == "month" else "toStartOfDay(now('UTC'))"
        return f"SELECT * REPLACE (value / {rule.budget.amount!r} AS value) FROM ({_since(rule, metric, begin)})"  # noqa: S608
    return _windowed(rule, metric, rule.window)


def _windowed(rule: Rule, metric: Metric, seconds: float) -> str:
    return _since(rule, metric, f"toStartOfMinute(now('UTC') - toIntervalSecond({round(seconds)}))")


def _since(rule: Rule, metric: Metric, begin: str) -> str:
    table, column = _table(rule, metric)
    keys = ", ".join(rule.group_by)
    head = f"{keys}, " if keys else "1 AS one_, "
    where = f"{column} >= {begin} AND {column} <= now('UTC'){_filter(rule)}"
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


def _rule(rule: Rule, severity: Severity, level: Level, folder_uid: str, source: Mapping[str, str]) -> dict[str, Any]:
    labels = {"severity": severity, "source": "llmtower", "rule": rule.name} | {_label(route): "yes" for route in rule.routes}
    annotations = {
        "summary": f"{rule.heading}: {severity}",
        "description": f"Value {{{{ .Values.A }}}} {rule.value_unit}, level {level.threshold:g}.",  # no `$`: files of Grafana expand it
    } | ({"runbook_url": rule.runbook} if rule.runbook else {})
    return {
        "uid": _uid(rule.name, severity),
        "title": f"{rule.heading[:LONGEST_HEADING]} ({rule.name}, {severity})",
        "ruleGroup": GROUP,
        "folderUID": folder_uid,
        "condition": "B",
        "data": [_question(grafana_sql(rule), round(rule.window), source), _threshold(level)],
        "noDataState": _NO_DATA[rule.no_data],
        "execErrState": "Error",
        "for": duration(rule.for_),
        "keep_firing_for": duration(rule.recover_for),
        "labels": labels,
        "annotations": annotations,
        "isPaused": False,
    }


def _heartbeat(routes: Iterable[str], folder_uid: str, source: Mapping[str, str]) -> dict[str, Any]:
    """Fires when the evaluator's own process is silent, ClickHouse cannot be asked, or its table is empty."""
    return {
        "uid": _uid("heartbeat", "critical"),
        "title": "Llmtower itself is silent (heartbeat, critical)",
        "ruleGroup": GROUP,
        "folderUID": folder_uid,
        "condition": "B",
        "data": [_question(HEARTBEAT_SQL, 300, source), _threshold(Level.model_construct(above=float(SILENT_S), below=None, recover=None))],
        "noDataState": "Alerting",
        "execErrState": "Alerting",
        "for": "1m",
        "keep_firing_for": "0s",
        "labels": {"severity": "critical", "source": "llmtower", "rule": "heartbeat"} | {_label(route): "yes" for route in routes},
        "annotations": {"summary": "No worker judges alerts: the last watermark is more than a minute old. `llmtower doctor` says why."},
        "isPaused": False,
    }


def _question(sql: str, window_s: int, source: Mapping[str, str]) -> dict[str, Any]:
    model = {"refId": "A", "datasource": dict(source), "editorType": "sql", "format": 1, "queryType": "table", "rawSql": sql}
    return {"refId": "A", "relativeTimeRange": {"from": window_s, "to": 0}, "datasourceUid": source["uid"], "model": model}


def _threshold(level: Level) -> dict[str, Any]:
    """Hysteresis is Grafana's recovery threshold: what fires goes on until the other side of it."""
    down = level.below is not None
    condition: dict[str, Any] = {"evaluator": {"type": "lt" if down else "gt", "params": [level.threshold]}}
    if level.recovery != level.threshold:
        condition["unloadEvaluator"] = {"type": "gt" if down else "lt", "params": [level.recovery or 1e-9]}
    expression = {"type": "__expr__", "uid": "__expr__"}
    model = {"refId": "B", "datasource": expression, "type": "threshold", "expression": "A", "conditions": [condition]}
    return {"refId": "B", "relativeTimeRange": {"from": 0, "to": 0}, "datasourceUid": "__expr__", "model": model}


def _contact(name: str, route: Route, address: str) -> dict[str, Any]:
    kind = "prometheus-alertmanager" if route.kind == "alertmanager" else "webhook"
    settings = {"url": address} if route.kind == "alertmanager" else {"url": address, "httpMethod": "POST"}
    return {
        "uid": _receiver(name),
        "name": _receiver(name),
        "type": kind,
        "settings": settings,
        "disableResolveMessage": not route.resolved,
    }


def _policy(name: str, route: Route) -> dict[str, Any]:
    matchers = [[_label(name), "=", "yes"], ["severity", "=~", "|".join(route.severities)]]
    return {
        "receiver": _receiver(name),
        "object_matchers": matchers,
        "continue": True,
        "group_by": ["rule"],
        "group_wait": "10s",
        "group_interval": duration(max(10.0, route.digest)),
        "repeat_interval": "4h",
    }


def _receiver(route: str) -> str:
    return _fitting(f"llmtower-{route}", route)


def _label(route: str) -> str:
    return f"route_{re.sub('[^a-z0-9_]', '_', route)}"


def _uid(name: str, severity: str) -> str:
    return _fitting(f"llmtower-{name}-{severity}", name, severity)


def _fitting(whole: str, *parts: str) -> str:
    return whole if len(whole) <= LONGEST_UID else f"llmtower-{digest(*parts)[:24]}"
