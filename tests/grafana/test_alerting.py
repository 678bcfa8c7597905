"""`dashboards push --alerts` against a stand-in that takes what Grafana's documented API takes, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmtower_dashboards.grafana.client import HttpGrafana
from llmtower_dashboards.grafana.dashboards import panel_places
from llmtower_dashboards.grafana.errors import GrafanaError
from llmtower_dashboards.grafana.push import plan, push
from llmtower_dashboards.grafana.resources import Reader, Resource, resources
from llmtower_processors.alerts.grafana import Stage, grafana_alerts
from llmtower_processors.alerts.grafana_file import provisioning_file
from llmtower_processors.alerts.grafana_words import Shown
from llmtower_processors.alerts.load import load_rules
from llmtower_processors.alerts.rules import Rule
from tests.grafana.test_push import run
from tests.standins.grafana import TOKEN, Standin
from tests.standins.grafana_alerting import faults_of_file

READER = Reader(host="127.0.0.1", port=8123, database="llmtower", user="dashboards", password="s3cret")
STAGE = Stage("llmtower", "llmtower-clickhouse", "grafana-clickhouse-datasource", {name: Shown(*at) for name, at in panel_places().items()})
OWN = """
include_defaults: true
routes:
  default: {url: "http://hooks.example/$T0PSECRET"}
  pager: {kind: alertmanager, url_env: AM, severities: [critical], resolved: false}
  a-route-whose-name-is-longer-than-a-uid-of-grafana-1: {url: "http://hooks.example/2"}
  a-route-whose-name-is-longer-than-a-uid-of-grafana-2: {url: "http://hooks.example/3"}
rules:
  - name: ends_in_a_dollar
    title: %s
    sql: "SELECT app, countIf(match(error_message, 'fatal$')) AS value, count() AS sample FROM calls
      WHERE started_at >= {start:DateTime64(6)} AND started_at < {end:DateTime64(6)} AND app NOT IN {except_app:Array(String)} GROUP BY app"
    group_by: [app]
    levels: {critical: {below: 3, recover: 5}}
    routes: [a-route-whose-name-is-longer-than-a-uid-of-grafana-1, a-route-whose-name-is-longer-than-a-uid-of-grafana-2, pager]
    runbook: https://runbooks.example/fatal
""" % ("Far too long " * 15)


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.yaml"
    path.write_text(OWN, "utf-8")
    return path


def compiled(path: Path, change: Callable[[Rule], Rule] = lambda rule: rule) -> list[Any]:
    """Every shipped rule and one's own, as if all said `grafana: true`."""
    rules = load_rules(path)
    told = [change(rule.model_copy(update={"grafana": True})) for rule in rules.rules]
    addresses = {name: route.url or "http://am.example:9093" for name, route in rules.routes.items()}
    return grafana_alerts(told, rules.routes, addresses, STAGE)


def wanted(path: Path, change: Callable[[Rule], Rule] = lambda rule: rule) -> list[Resource]:
    return resources(READER, [Resource(one.kind, one.name, one.body) for one in compiled(path, change)])


def test_every_rule_is_taken_and_a_second_push_changes_nothing(grafana: Standin, rules_file: Path) -> None:
    edge, all_of_it = HttpGrafana(grafana.address, TOKEN), wanted(rules_file)
    push(edge, all_of_it)
    ((_, group),) = grafana.groups.items()
    assert len(group["rules"]) > 50
    assert len(grafana.contacts) == 4
    assert {change.verdict for change in plan(edge, all_of_it)} == {"same"}
    grafana.written.clear()
    push(edge, all_of_it)
    assert grafana.written == ["PUT /api/datasources/uid/llmtower-clickhouse"], "a secret, which Grafana does not show"


def test_diff_names_what_somebody_changed_and_a_push_sets_it_right(grafana: Standin, rules_file: Path) -> None:
    edge, all_of_it = HttpGrafana(grafana.address, TOKEN), wanted(rules_file)
    push(edge, all_of_it)
    grafana.groups["llmtower", "llmtower-alerts"]["rules"][0]["for"] = "1h"
    grafana.policy["routes"][0]["group_wait"] = "1h"
    found = {change.resource.kind: change.paths for change in plan(edge, all_of_it) if change.verdict == "update"}
    assert found == {"alert rules": ["rules[0].for"], "notification policy": ["group_wait"]}
    push(edge, all_of_it)
    assert {change.verdict for change in plan(edge, all_of_it)} == {"same"}


def test_a_folder_that_was_deleted_is_made_anew_and_rules_without_one_are_a_sentence(grafana: Standin, rules_file: Path) -> None:
    edge, all_of_it = HttpGrafana(grafana.address, TOKEN), wanted(rules_file)
    push(edge, all_of_it)
    grafana.folders.clear()
    grafana.groups.clear()
    assert {change.resource.kind for change in push(edge, all_of_it) if change.verdict == "create"} == {"folder", "alert rules"}
    grafana.folders.clear()
    grafana.groups.clear()
    with pytest.raises(GrafanaError, match=r"The alert rules llmtower/llmtower-alerts at .*: HTTP 404\."):
        push(edge, [one for one in all_of_it if one.kind == "alert rules"])


@pytest.mark.parametrize(
    ("status", "path", "sentence"),
    [
        (
            500,
            "/api/v1/provisioning/folder",
            r"The alert rules llmtower/llmtower-alerts at .*: HTTP 500\. Grafana itself failed, and its own log says why;",
        ),
        (503, "/api/v1/provisioning/policies", r"The notification policy llmtower-.* at .*: HTTP 503\."),
        (403, "/api/v1/provisioning/contact-points", r"The contact point llmtower-.* at .*: HTTP 403\. .* needs the role Admin "),
    ],
)
def test_a_grafana_that_fails_is_a_sentence_and_a_later_push_goes_on(
    grafana: Standin, rules_file: Path, status: int, path: str, sentence: str
) -> None:
    edge, all_of_it = HttpGrafana(grafana.address, TOKEN), wanted(rules_file)
    grafana.failing[path] = status
    with pytest.raises(GrafanaError, match=sentence) as caught:
        push(edge, all_of_it)
    assert "T0PSECRET" not in str(caught.value)
    grafana.failing.clear()
    push(edge, all_of_it)
    assert {change.verdict for change in plan(edge, all_of_it)} == {"same"}


def test_an_older_grafana_keeps_all_but_one_thing_and_that_is_said(grafana: Standin, rules_file: Path) -> None:
    grafana.version = 11
    edge, all_of_it = HttpGrafana(grafana.address, TOKEN), wanted(rules_file)
    push(edge, all_of_it)
    assert "keep_firing_for" not in grafana.groups["llmtower", "llmtower-alerts"]["rules"][0]
    changes = plan(edge, all_of_it)
    assert {change.verdict for change in changes} == {"same"}
    assert [change.note for change in changes if change.note] == ["a Grafana before 12 knows no keep_firing_for"]
    longer = plan(edge, wanted(rules_file, lambda rule: rule.model_copy(update={"for_": rule.for_ + 60})))
    assert {change.resource.kind for change in longer if change.verdict == "update"} == {"alert rules"}


def test_what_the_api_would_refuse_is_refused_here_too(grafana: Standin, rules_file: Path) -> None:
    edge, all_of_it = HttpGrafana(grafana.address, TOKEN), wanted(rules_file)
    push(edge, all_of_it)
    (group,) = (one for one in all_of_it if one.kind == "alert rules")
    first = group.body["rules"][0]
    for wrong in (
        {"noDataState": "Ok"},
        {"title": "x" * 191},
        {"for": "5 minutes"},
        {"condition": "C"},
        {"uid": "u" * 41},
        {"colour": "red"},
        {"labels": {"severity": 1}},
        {"folderUID": "elsewhere"},
    ):
        body = {**group.body, "rules": [{**first, **wrong}]}
        with pytest.raises(GrafanaError, match=r"HTTP 400\. Grafana does not understand it"):
            push(edge, [Resource("alert rules", group.name, body)])
    with pytest.raises(GrafanaError, match="HTTP 400"):
        push(edge, [Resource("notification policy", "nobody", {"receiver": "nobody"})])


def test_the_file_is_what_grafanas_provisioning_reads(rules_file: Path) -> None:
    written = yaml.safe_load(provisioning_file(compiled(rules_file), "Llmtower"))
    assert list(faults_of_file(written)) == []
    rules = {rule["uid"]: rule for rule in written["groups"][0]["rules"]}
    own = rules["llmtower-ends_in_a_dollar-critical"]
    assert own["keepFiringFor"] == "1m"
    assert "'fatal$')" in own["data"][0]["model"]["rawSql"], "Grafana reads models raw"
    assert "$" not in json.dumps([rule["annotations"] for rule in rules.values()])
    assert written["contactPoints"][0]["receivers"][0]["settings"]["url"] == "http://hooks.example/$$T0PSECRET"


def test_on_the_command_line_with_a_wrong_token_and_without_an_address(
    grafana: Standin, rules_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules_file.write_text(OWN.replace("    group_by: [app]", "    group_by: [app]\n    grafana: true"), "utf-8")
    environment = {"LLMTOWER_ALERTS__FILE": str(rules_file)}
    homeless = run(grafana, "push", "--alerts", environment=environment)
    assert (homeless.returncode, grafana.written) == (2, []), homeless.stderr
    assert "Route pager has no address: set AM in the environment." in homeless.stderr
    environment["AM"] = "http://am.example:9093"
    refused = run(grafana, "push", "--alerts", token="wrong", environment=environment)
    assert (refused.returncode, grafana.written) == (1, [])
    assert "HTTP 401. Grafana does not know the token" in refused.stderr
    pushed = run(grafana, "push", "--alerts", environment=environment)
    assert pushed.returncode == 0, pushed.stderr
    assert "Grafana tells of ends_in_a_dollar, and when this system is silent." in pushed.stdout
    after = run(grafana, "diff", "--alerts", environment=environment)
    assert after.returncode == 0, after.stdout
    for done in (homeless, refused, pushed, after):
        assert "T0PSECRET" not in done.stdout + done.stderr
