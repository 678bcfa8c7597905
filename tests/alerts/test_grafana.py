"""Rules as Grafana-managed ones: which, with what labels, thresholds, hysteresis and receivers; and a heartbeat always."""

import json
from math import sqrt

import pytest
import yaml

from llmtower_dashboards.grafana.push import MemoryGrafana, plan, push
from llmtower_dashboards.grafana.resources import Resource
from llmtower_processors.alerts.conditions import bound
from llmtower_processors.alerts.durations import duration
from llmtower_processors.alerts.grafana import Compiled, Stage, grafana_alerts
from llmtower_processors.alerts.grafana_facts import grafana_facts
from llmtower_processors.alerts.grafana_file import provisioning_file
from llmtower_processors.alerts.grafana_sql import grafana_sql, never_empty
from llmtower_processors.alerts.grafana_words import Shown, annotations, message_template
from llmtower_processors.alerts.levels import Level
from llmtower_processors.alerts.load import load_rules, parse_rules
from llmtower_processors.alerts.message import LISTED
from llmtower_processors.alerts.rules import Rule, Rules

FILE = """
routes:
  default: {url: "http://hooks.example/1"}
  pager: {kind: alertmanager, url_env: AM, severities: [critical], resolved: false}
  chat: {kind: apprise, url_env: CHAT}
  unused: {url: "http://hooks.example/2"}
rules:
  - name: errors
    metric: error_rate
    group_by: [app]
    window: 10m
    where: {environment: [production, "it's"]}
    levels: {warning: {above: 0.1, recover: 0.05}, critical: {above: 0.5}}
    for: 2m
    recover_for: 5m
    no_data: keep
    min_sample: 20
    routes: [pager, chat]
    runbook: https://runbooks.example/errors
    grafana: true
  - {name: ours, metric: cost, levels: {warning: {above: 1}}}
"""
STAGE = Stage("llmtower", "llmtower-clickhouse", "grafana-clickhouse-datasource", {"errors_rate": Shown("llmtower-latency", 7)})


def compiled(rules: Rules) -> dict[str, Compiled]:
    found = grafana_alerts(rules.rules, rules.routes, {"pager": "http://am.example"}, STAGE)
    return {f"{one.kind} {one.name}": one for one in found}


def test_only_what_grafana_tells_of_is_compiled_and_a_heartbeat_always() -> None:
    found = compiled(parse_rules(FILE))
    group = found["alert rules llmtower/llmtower-alerts"].body
    assert [rule["uid"] for rule in group["rules"]] == [
        "llmtower-errors-critical",
        "llmtower-errors-warning",
        "llmtower-heartbeat-critical",
    ]
    assert (group["title"], group["folderUid"], group["interval"]) == ("llmtower-alerts", "llmtower", 60)
    nothing = compiled(parse_rules(""))
    assert [rule["uid"] for rule in nothing["alert rules llmtower/llmtower-alerts"].body["rules"]] == ["llmtower-heartbeat-critical"]
    json.dumps([one.body for one in found.values()])


def test_a_rule_keeps_its_patience_its_hysteresis_and_its_labels() -> None:
    critical, warning, heartbeat = compiled(parse_rules(FILE))["alert rules llmtower/llmtower-alerts"].body["rules"]
    assert warning["labels"] == {"severity": "warning", "source": "llmtower", "rule": "errors", "route_pager": "yes", "route_chat": "yes"}
    assert (warning["for"], warning["keep_firing_for"], warning["noDataState"], warning["condition"]) == ("2m", "5m", "KeepLast", "B")
    question, threshold, facts = warning["data"]
    assert (facts["refId"], facts["model"]["rawSql"]) == ("C", grafana_facts(parse_rules(FILE).rules[0], Level(above=0.1, recover=0.05)))
    assert question["datasourceUid"] == "llmtower-clickhouse"
    assert question["model"]["format"] == 1
    assert question["relativeTimeRange"] == {"from": 600, "to": 0}
    assert threshold["model"]["conditions"] == [
        {"evaluator": {"type": "gt", "params": [0.1]}, "unloadEvaluator": {"type": "lt", "params": [0.05]}}
    ]
    assert "unloadEvaluator" not in critical["data"][1]["model"]["conditions"][0]
    assert warning["annotations"]["runbook_url"] == "https://runbooks.example/errors"
    assert (heartbeat["noDataState"], heartbeat["execErrState"]) == ("Alerting", "Alerting")
    assert "watermarks" in heartbeat["data"][0]["model"]["rawSql"]
    assert heartbeat["labels"]["route_default"] == "yes"


def test_routes_become_contact_points_and_policies_but_for_those_grafana_cannot_reach() -> None:
    found = compiled(parse_rules(FILE))
    assert {name for name in found if not name.startswith("alert rules")} == {
        "message template llmtower",
        "contact point llmtower-default",
        "contact point llmtower-pager",
        "notification policy llmtower-default",
        "notification policy llmtower-pager",
    }
    pager = found["contact point llmtower-pager"].body
    assert (pager["type"], pager["settings"], pager["disableResolveMessage"]) == (
        "prometheus-alertmanager",
        {"url": "http://am.example"},
        True,
    )
    policy = found["notification policy llmtower-pager"].body
    assert policy["receiver"] == pager["name"] == pager["uid"]
    assert policy["object_matchers"] == [["route_pager", "=", "yes"], ["severity", "=~", "critical"]]


def test_values_are_quoted_and_the_window_ends_now() -> None:
    (rule,) = (rule for rule in parse_rules(FILE).rules if rule.grafana)
    sql = grafana_sql(rule)
    assert "environment IN ('production', 'it\\'s')" in sql
    assert "toIntervalSecond(600)" in sql
    assert "sample >= 20" in sql
    assert "$__" not in sql


@pytest.mark.parametrize("rule", [rule for rule in load_rules().rules if rule.queried], ids=lambda rule: rule.name)
def test_every_shipped_rule_has_a_question_for_grafana_without_a_parameter(rule: Rule) -> None:
    for _, level in rule.levels.graded():
        asked = never_empty(rule, level) + grafana_facts(rule, level)
        assert "{start" not in asked
        assert "{end" not in asked


def test_a_rule_that_may_be_without_data_always_has_a_row_so_that_no_data_means_a_failure() -> None:
    (made, *_) = compiled(parse_rules(FILE.replace("no_data: keep", "no_data: ok")))["alert rules llmtower/llmtower-alerts"].body["rules"]
    assert made["noDataState"] == "NoData"
    assert "if(empty(judged_), [tuple(" in made["data"][0]["model"]["rawSql"]


def test_a_long_name_still_fits_grafana() -> None:
    name = "a" * 60
    rules = parse_rules(
        f"rules: [{{name: {name}, metric: cost, levels: {{warning: {{above: 1}}, critical: {{above: 2}}}}, grafana: true}}]"
    )
    uids = [rule["uid"] for rule in compiled(rules)["alert rules llmtower/llmtower-alerts"].body["rules"]]
    assert len(set(uids)) == 3
    assert max(map(len, uids)) <= 40


def test_certainty_is_the_same_in_sql() -> None:
    rule = next(rule for rule in load_rules().rules if rule.name == "error_rate")
    expression = grafana_sql(rule).partition("toFloat64(")[2].partition(") AS value")[0]
    found = eval(expression, {"__builtins__": {}}, {"value": 0.2, "sample": 50.0, "sqrt": sqrt})
    assert found == pytest.approx(bound(0.2, 50, rule.sure))


def test_a_second_push_changes_nothing() -> None:
    grafana = MemoryGrafana()
    wanted = [Resource(one.kind, one.name, one.body) for one in compiled(parse_rules(FILE)).values()]
    assert {change.verdict for change in push(grafana, wanted)} == {"create"}
    assert {change.verdict for change in push(grafana, wanted)} == {"same"}
    changed = FILE.replace("above: 0.1,", "above: 0.2,")
    found = plan(grafana, [Resource(one.kind, one.name, one.body) for one in compiled(parse_rules(changed)).values()])
    assert [(change.resource.kind, change.verdict) for change in found if change.verdict != "same"] == [("alert rules", "update")]


def test_the_same_as_a_file_for_grafanas_provisioning() -> None:
    text = provisioning_file(compiled(parse_rules(FILE)).values(), "Llmtower")
    found = yaml.safe_load(text.replace("$$", "$"))
    assert "$ " not in text.replace("$$", "")
    assert (found["apiVersion"], found["groups"][0]["interval"], len(found["groups"][0]["rules"])) == (1, "1m", 3)
    assert found["contactPoints"][1]["receivers"][0]["settings"] == {"url": "http://am.example"}
    assert found["templates"][0]["template"] == message_template()
    assert f"lt $index {LISTED} " in message_template()
    assert [route["receiver"] for route in found["policies"][0]["routes"]] == ["llmtower-default", "llmtower-pager"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1m30s"), (300, "5m"), (5_400, "1h30m"), (86_400, "1d"), (90_000, "25h")])
def test_durations_are_written_as_grafana_gives_them_back(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_rule_is_tied_to_its_panel_in_the_api_and_in_a_file() -> None:
    rules = parse_rules(FILE.replace("    grafana: true", "    panel: errors_rate\n    grafana: true"))
    made = compiled(rules)
    said = made["alert rules llmtower/llmtower-alerts"].body["rules"][0]["annotations"]
    assert (said["__dashboardUid__"], said["__panelId__"]) == ("llmtower-latency", "7")
    assert "/d/llmtower-latency?orgId=1&viewPanel=7" in said["panel"]
    rule = yaml.safe_load(provisioning_file(made.values(), "Llmtower"))["groups"][0]["rules"][0]
    assert (rule["dashboardUid"], rule["panelId"]) == ("llmtower-latency", 7)
    assert not [name for name in rule["annotations"] if name.startswith("__")]


@pytest.mark.parametrize(
    ("unit", "value", "level"),
    [
        ("ratio", "{{ humanizePercentage .Value }}", "10%"),
        ("usd", "{{ if ge .Value 1.0 }}{{ printf `%.2f USD` .Value }}{{ else }}{{ printf `%.4f USD` .Value }}{{ end }}", "0.1000 USD"),
        ("seconds", "{{ printf `%.3g s` .Value }}", "0.1 s"),
        ("x budget", "{{ printf `%.3gx budget` .Value }}", "0.1x budget"),
        ("% of it", "{{ printf `%.3g %% of it` .Value }}", "0.1 % of it"),
        ("", "{{ printf `%.3g` .Value }}", "0.1"),
    ],
)
def test_a_value_has_its_unit(unit: str, value: str, level: str) -> None:
    rule = parse_rules("rules: [{name: own, sql: SELECT 1 AS value, group_by: [], levels: {warning: {above: 0.1}}}]").rules[0]
    said = annotations(rule.model_copy(update={"unit": unit}), rule.levels.graded()[0][1], {})
    assert value in said["description"]
    assert f", level {level}{{{{ with .Values.C }}}}" in said["description"]
    assert "$" not in json.dumps(said)
