"""What people read when Grafana tells of a rule: its questions on the real engine, its templates by Go's own engine and Alertmanager's."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from clickhouse_connect.driver.client import Client
from tests import gotools
from tests.standins.grafana_eval import Alert, Answer, evaluate, told

from llmtower_processors.alerts.grafana import Stage, grafana_alerts
from llmtower_processors.alerts.grafana_words import MESSAGE, TITLE, Shown, message_template
from llmtower_processors.alerts.load import load_rules, parse_rules
from llmtower_processors.alerts.rules import Rules

pytestmark = pytest.mark.integration

STAGE = Stage("llmtower", "llmtower-clickhouse", "grafana-clickhouse-datasource", {"errors_rate": Shown("llmtower-latency", 7)})
CHAT = "chat ‹＠all›"  # noqa: RUF001 - what `_plain` makes of a mention
OWN = """
rules:
  - name: errors
    title: "Many calls {{fail}}"
    metric: error_rate
    group_by: [project, app, request_model]
    window: 10m
    panel: errors_rate
    levels: {warning: {above: 0.1}}
    min_sample: 5
    grafana: true
    runbook: https://runbooks.example/errors
  - {name: all_of_it, metric: cost, group_by: [], window: 10m, levels: {critical: {above: 0.001}}, grafana: true}
  - name: without_sample
    sql: "SELECT app, 2000 AS value FROM calls WHERE started_at >= {start:DateTime64(6)} GROUP BY app"
    unit: things
    group_by: [app]
    levels: {warning: {above: 1}}
    grafana: true
"""


@pytest.fixture(scope="session")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program in gotools/templates."""
    return gotools.build(gotools.HERE / "templates", tmp_path_factory, "messages of Grafana's rules by Go's templates")


def judged(client: Client, rule: Mapping[str, Any]) -> list[Alert]:
    """Ask a rule's questions and judge it as Grafana does."""
    return evaluate(rule, {name: asked(client, sql) for name, sql in questions(rule).items()})


def questions(rule: Mapping[str, Any]) -> dict[str, str]:
    return {one["refId"]: one["model"]["rawSql"] for one in rule["data"] if "rawSql" in one["model"]}


def asked(client: Client, sql: str) -> Answer:
    found = client.query(sql)
    return Answer(found.column_names, found.result_rows)


def rendered(renderer: Path, told: Sequence[tuple[Mapping[str, Any], Alert]], status: str = "firing") -> dict[str, Any]:
    """Let Go write annotations and message of alerts."""
    alerts = [
        {
            "Status": status,
            "StartsAt": "2026-11-26T22:00:00+01:00",
            "EndsAt": "2026-11-26T22:30:00+01:00",
            "GeneratorURL": "http://grafana.example/alerting/1/edit",
            "Annotations": rule["annotations"],
            "Labels": {**rule["labels"], **alert.labels},
            "Data": {
                "Labels": dict(alert.labels),
                "Values": {name: {"Labels": dict(labels), "Value": value} for name, (labels, value) in alert.values.items()},
            },
        }
        for rule, alert in told
    ]
    given = {"ExternalURL": "http://grafana.example/", "Template": message_template(), "Title": TITLE, "Message": MESSAGE, "Alerts": alerts}
    done = subprocess.run([renderer], input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert "<no value>" not in done.stdout, "Grafana shows [no value]"
    return answer


def compiled(rules: Rules) -> dict[str, dict[str, Any]]:
    found = grafana_alerts(rules.rules, rules.routes, {}, STAGE)
    return {rule["uid"]: rule for one in found if one.kind == "alert rules" for rule in one.body["rules"]}


def store(client: Client, app: str, count: int, failed: int) -> None:
    at = time.time_ns() // 1_000 - 60_000_000
    columns: dict[str, list[Any]] = {
        "project": ["default"] * count,
        "app": [app] * count,
        "request_model": ["gpt-4o"] * count,
        "started_at": [at + index for index in range(count)],
        "duration_us": [1_000_000] * count,
        "status": ["error" if index < failed else "ok" for index in range(count)],
        "error_class": ["server" if index < failed else "" for index in range(count)],
        "cost_status": ["priced"] * count,
        "cost_nano_usd": [1_000_000] * count,
    }
    client.insert("calls", list(columns.values()), list(columns), column_oriented=True)


@pytest.fixture
def world(client: Client) -> Client:
    """One app that fails since a deploy, one that does not, and a project that is known to be there but for the last minutes."""
    store(client, "chat <@all>", 60, 30)
    store(client, "search", 40, 0)
    client.command("INSERT INTO deploys (project, app, version, at) VALUES ('default', 'chat <@all>', '1.4.2', now64(6) - 600)")
    client.command("INSERT INTO deploys (project, app, version, at) VALUES ('default', 'chat <@all>', '1.0.0', now64(6) - 86400)")
    client.command("INSERT INTO deploys (project, app, version, at) VALUES ('default', 'search', '9.9', now64(6) - 60)")
    client.command("INSERT INTO watermarks (project, watermark, at) VALUES ('default', now64(3) - 60, now64(3))")
    return client


def test_a_message_holds_every_fact_in_the_order_of_our_own(world: Client, renderer: Path) -> None:
    rule = compiled(parse_rules(OWN))["llmtower-errors-warning"]
    alerts = judged(world, rule)
    assert sorted((alert.state, alert.labels["app"]) for alert in alerts) == [("Alerting", "chat <@all>"), ("Normal", "search")]
    (firing,) = (alert for alert in alerts if alert.state == "Alerting")
    assert set(firing.labels) == {"project", "app", "request_model"}, "the second question adds nothing to an alert's identity"
    answer = rendered(renderer, [(rule, firing)])
    heading = "WARNING: Many calls { {fail}} (project=default, app=chat   all , request_model=gpt-4o)"
    assert answer["Title"] == heading
    lines = answer["Message"].strip().split("\n")
    assert lines[0] == heading
    assert lines[1].startswith("Value 50%, level 10%, from 60 calls, 20")
    assert lines[1].count(" UTC") == 2
    assert lines[2] == "Since 2026-11-26 21:00:00 UTC."
    assert 10 < float(lines[3].partition(" % of the window had arrived when it was judged.")[0]) < 95
    assert lines[4] == "Changed within two hours before:"
    assert lines[5].startswith(f"deploy {CHAT} 1.4.2 at 20")
    panel, calls = urlsplit(lines[6].removeprefix("Panel: ")), urlsplit(lines[7].removeprefix("Example calls: "))
    assert (panel.netloc, panel.path, calls.path) == ("grafana.example", "/d/llmtower-latency", "/d/llmtower-explorer")
    asked = parse_qs(calls.query)
    assert (asked["var-app"], asked["var-model"], asked["var-project"]) == (["chat <@all>"], ["gpt-4o"], ["default"])
    assert int(asked["from"][0]) / 1_000 < time.time() - 600 < time.time() < int(asked["to"][0]) / 1_000
    assert parse_qs(panel.query) == asked | {"viewPanel": ["7"]}
    assert lines[8:] == ["Alert: http://grafana.example/alerting/1/edit", "Runbook: https://runbooks.example/errors"]


def test_rules_without_groups_or_without_a_sample_have_their_messages_too(world: Client, renderer: Path) -> None:
    rules = compiled(parse_rules(OWN))
    ((cost, whole),) = ((rules["llmtower-all_of_it-critical"], alert) for alert in judged(world, rules["llmtower-all_of_it-critical"]))
    text = rendered(renderer, [(cost, whole)])["Message"]
    assert text.startswith("CRITICAL: All of it\nValue 0.1000 USD, level 0.0010 USD, from 100 calls, ")
    assert "deploy search 9.9 at " in text
    assert f"deploy {CHAT} 1.4.2 at " in text
    own = rules["llmtower-without_sample-warning"]
    told = [(own, alert) for alert in judged(world, own)]
    assert len(told) == 2
    answer = rendered(renderer, told, "resolved")
    assert answer["Title"] == "Llmtower: 2 alerts (0 firing, 2 resolved)"
    assert answer["Message"].count("Value 2000 things, level 1 things, from 1 events, ") == 2
    assert answer["Message"].count("Since 2026-11-26 21:00:00 UTC, over since 2026-11-26 21:30:00 UTC.") == 2
    many = rendered(renderer, told * 6)["Message"]
    assert many.count("WARNING: ") == 10
    assert many.endswith("… and more: 12 in all, see http://grafana.example/\n")


def test_the_second_question_never_decides_and_an_alert_without_data_has_words(client: Client, renderer: Path) -> None:
    """Nothing is stored: a rule that may be without data says that all is well, another is one without data by its own question alone."""
    shipped = load_rules().rules
    rules = compiled(Rules(rules=tuple(rule.model_copy(update={"grafana": True}) for rule in shipped)))
    answers = {sql: asked(client, sql) for sql in {sql for rule in rules.values() for sql in questions(rule).values()}}
    judgements = [(rule, evaluate(rule, {name: answers[sql] for name, sql in questions(rule).items()})[0]) for rule in rules.values()]
    without = {rule.name for rule in shipped if rule.no_data != "ok"}
    for rule, alert in judgements:
        name = rule["labels"]["rule"]
        if name == "heartbeat":
            continue
        assert (alert.state, told(rule, alert)) == (("NoData", "kept") if name in without else ("Normal", "")), name
        assert alert.labels.get("ref_id", "A") == "A"
    silent = [(rule, Alert("NoData", {}, {})) for rule in rules.values()]
    for said in rendered(renderer, silent)["Annotations"]:
        assert "{{" not in " ".join(said.values())
        assert said["description"].startswith(("No value, level ", "No watermark"))


def test_a_second_question_that_fails_never_silences_what_fires(world: Client, renderer: Path) -> None:
    rule = compiled(parse_rules(OWN))["llmtower-errors-warning"]
    answers = {name: asked(world, sql) for name, sql in questions(rule).items()}
    (silent,) = evaluate(rule, {**answers, "C": None})
    assert (silent.state, silent.labels["ref_id"], told(rule, silent)) == ("NoData", "C", "DatasourceNoData")
    assert rendered(renderer, [(rule, silent)])["Annotations"][0]["description"].startswith("No value, level 10%")
    (failed,) = evaluate(rule, {**answers, "A": None})
    assert told(rule, failed) == "DatasourceError"
    (firing,) = (alert for alert in evaluate(rule, {"A": answers["A"]}) if alert.state == "Alerting")
    lines = rendered(renderer, [(rule, firing)])["Message"].split("\n")
    assert lines[1:3] == ["Value 50%, level 10%", "Since 2026-11-26 21:00:00 UTC."], (
        "versions that do not mind have the rest of the message"
    )
    assert lines[3].startswith("Panel: http://grafana.example/d/llmtower-latency?orgId=1&viewPanel=7&var-project=default&")


def test_changes_are_looked_for_only_while_a_group_is_beyond_the_level(world: Client) -> None:
    """By rows that the engine read: a table that holds nothing for a question costs nothing, so rollups of a day before are stored."""
    (quiet, loud) = (OWN.replace("{above: 0.1}", f"{{above: {level}}}") for level in (0.9, 0.1))
    found = [compiled(parse_rules(rules))["llmtower-errors-warning"] for rules in (quiet, loud)]
    read = [int(world.query(questions(rule)["C"]).summary["read_rows"]) for rule in found]
    without, with_changes = (asked(world, questions(rule)["C"]) for rule in found)
    changed = [sum(bool(row[answer.columns.index("changed")]) for row in answer.rows) for answer in (without, with_changes)]
    assert (len(without.rows), len(with_changes.rows), changed) == (2, 2, [0, 2])
    assert read[0] < read[1], read
