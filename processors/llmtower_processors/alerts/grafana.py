"""The same rules as Grafana-managed ones: rule group, contact points and policies as Grafana's provisioning API takes them. Pure.

Only rules that say `grafana: true` are compiled: Grafana tells people of them, and the evaluator judges them as shadows, so each rule has
one pager. A heartbeat joins them, which fires when this system itself is silent. Differences that Grafana's rules cannot bridge: windows
end now, not at the watermark; a baseline's `near` is left out; a level is compared with the certain bound (`sure`), also to recover.
Messages say what our own say (`grafana_words`), from a second question of each rule (`grafana_facts`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from llmtower_processors.alerts.durations import duration
from llmtower_processors.alerts.grafana_facts import grafana_facts
from llmtower_processors.alerts.grafana_sql import grafana_sql, never_empty
from llmtower_processors.alerts.grafana_words import (
    MESSAGE,
    TEMPLATE_NAME,
    TITLE,
    Shown,
    annotations,
    heartbeat_annotations,
    message_template,
)
from llmtower_processors.alerts.levels import Level
from llmtower_processors.alerts.rules import Route, Rule
from llmtower_schemas.alerts import Severity, digest

GROUP: Final = "llmtower-alerts"
INTERVAL_S: Final = 60
SILENT_S: Final = 60
"""The leader writes watermarks every 5 s."""
LONGEST_HEADING: Final = 100
"""Grafana takes 190 characters of a title, rule and level included."""
LONGEST_UID: Final = 40
_NO_DATA: Final = {"ok": "NoData", "alert": "Alerting", "keep": "KeepLast"}
"""Rules for which no rows are fine always give one (`never_empty`): without data means that a question failed, of which people are told."""
HEARTBEAT_SQL: Final = "SELECT 'llmtower' AS what, toFloat64(dateDiff('second', max(at), now())) AS value FROM watermarks"


@dataclass(frozen=True, slots=True)
class Compiled:
    """One thing for Grafana: what kind, by which name it is found again, and its body."""

    kind: Literal["alert rules", "message template", "contact point", "notification policy"]
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """What of Grafana rules refer to: folder, data source, and where panels are shown."""

    folder_uid: str
    source_uid: str
    source_type: str
    panels: Mapping[str, Shown] = field(default_factory=dict)

    @property
    def source(self) -> dict[str, str]:
        """The data source as a query names it."""
        return {"type": self.source_type, "uid": self.source_uid}


def grafana_alerts(rules: Iterable[Rule], routes: Mapping[str, Route], addresses: Mapping[str, str], stage: Stage) -> list[Compiled]:
    """Compile the rules that Grafana tells of, and the routes they use. `addresses`: of routes, secrets as they are to be stored there."""
    chosen = [rule for rule in rules if rule.grafana and rule.enabled and rule.queried]
    used = {name: route for name, route in routes.items() if name == "default" or any(name in rule.routes for rule in chosen)}
    made = [_rule(rule, severity, level, stage) for rule in chosen for severity, level in rule.levels.graded()]
    group = {"title": GROUP, "folderUid": stage.folder_uid, "interval": INTERVAL_S, "rules": [*made, _heartbeat(used, stage)]}
    told = {name: route for name, route in used.items() if route.kind != "apprise"}
    return [
        Compiled("message template", TEMPLATE_NAME, {"name": TEMPLATE_NAME, "template": message_template()}),
        *(Compiled("contact point", _receiver(name), _contact(name, route, addresses.get(name, ""))) for name, route in told.items()),
        *(Compiled("notification policy", _receiver(name), _policy(name, route)) for name, route in told.items()),
        Compiled("alert rules", f"{stage.folder_uid}/{GROUP}", group),
    ]


def _rule(rule: Rule, severity: Severity, level: Level, stage: Stage) -> dict[str, Any]:
    """The condition is B, which looks at A; C is for the message alone."""
    window = round(rule.window)
    question = _question("A", never_empty(rule, level) if rule.no_data == "ok" else grafana_sql(rule), window, stage)
    facts = _question("C", grafana_facts(rule, level), window, stage)
    return {
        "uid": _uid(rule.name, severity),
        "title": f"{rule.heading[:LONGEST_HEADING]} ({rule.name}, {severity})",
        "ruleGroup": GROUP,
        "folderUID": stage.folder_uid,
        "condition": "B",
        "data": [question, _threshold(level), facts],
        "noDataState": _NO_DATA[rule.no_data],
        "execErrState": "Error",
        "for": duration(rule.for_),
        "keep_firing_for": duration(rule.recover_for),
        "labels": {"severity": severity, "source": "llmtower", "rule": rule.name} | {_label(route): "yes" for route in rule.routes},
        "annotations": annotations(rule, level, stage.panels),
        "isPaused": False,
    }


def _heartbeat(routes: Iterable[str], stage: Stage) -> dict[str, Any]:
    """Fires when the evaluator's own process is silent, ClickHouse cannot be asked, or its table is empty."""
    level = Level.model_construct(above=float(SILENT_S), below=None, recover=None)
    return {
        "uid": _uid("heartbeat", "critical"),
        "title": "Llmtower itself is silent (heartbeat, critical)",
        "ruleGroup": GROUP,
        "folderUID": stage.folder_uid,
        "condition": "B",
        "data": [_question("A", HEARTBEAT_SQL, 300, stage), _threshold(level)],
        "noDataState": "Alerting",
        "execErrState": "Alerting",
        "for": "1m",
        "keep_firing_for": "0s",
        "labels": {"severity": "critical", "source": "llmtower", "rule": "heartbeat"} | {_label(route): "yes" for route in routes},
        "annotations": heartbeat_annotations(SILENT_S, stage.panels),
        "isPaused": False,
    }


def _question(ref: str, sql: str, window_s: int, stage: Stage) -> dict[str, Any]:
    model = {"refId": ref, "datasource": stage.source, "editorType": "sql", "format": 1, "queryType": "table", "rawSql": sql}
    return {"refId": ref, "relativeTimeRange": {"from": window_s, "to": 0}, "datasourceUid": stage.source_uid, "model": model}


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
    words = {"httpMethod": "POST", "title": TITLE, "message": MESSAGE}
    settings = {"url": address} | ({} if route.kind == "alertmanager" else words)
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
