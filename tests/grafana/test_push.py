"""`llmtower dashboards diff` and `push` by the real grafana-client, against a stand-in that speaks Grafana's API."""

import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from llmtower_dashboards.grafana.client import HttpGrafana
from llmtower_dashboards.grafana.errors import GrafanaError
from llmtower_dashboards.grafana.push import plan, push
from llmtower_dashboards.grafana.query import DATASOURCE_UID
from llmtower_dashboards.grafana.resources import Reader, Resource, resources
from llmtower_dashboards.registry import DASHBOARDS
from tests.standins.grafana import TOKEN, Standin

READER = Reader(host="127.0.0.1", port=8123, database="llmtower", user="dashboards", password="s3cret")
COST = {
    "uid": "llmtower-cost",
    "title": "Cost",
    "ruleGroup": "default",
    "folderUID": "llmtower",
    "condition": "A",
    "data": [
        {
            "refId": "A",
            "datasourceUid": DATASOURCE_UID,
            "relativeTimeRange": {"from": 60, "to": 0},
            "model": {"refId": "A", "rawSql": "SELECT 1"},
        }
    ],
    "noDataState": "OK",
    "execErrState": "Error",
    "for": "5m",
}
ALERTING = (
    Resource(
        "alert rules",
        "llmtower/default",
        {"title": "default", "folderUid": "llmtower", "interval": 60, "rules": [COST]},
    ),
    Resource(
        "contact point",
        "llmtower-oncall",
        {"uid": "llmtower-oncall", "name": "on call", "type": "webhook", "settings": {"url": "http://x"}},
    ),
    Resource("notification policy", "on call", {"receiver": "on call", "object_matchers": [["llmtower", "=", "yes"]]}),
)


def run(
    grafana: Standin, *words: str, token: str = TOKEN, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "", "HOME": "/nonexistent", "PYTHONPATH": ":".join(sys.path), "LLMTOWER_GRAFANA__URL": grafana.address}
    env |= {"LLMTOWER_GRAFANA__TOKEN": token, "LLMTOWER_GRAFANA__CLICKHOUSE_HOST": "clickhouse", "LLMTOWER_CLICKHOUSE__HOST": "127.0.0.1"}
    env |= {"LLMTOWER_CLICKHOUSE__USER": "dashboards", "LLMTOWER_CLICKHOUSE__PASSWORD": "s3cret"}
    command = [sys.executable, "-m", "llmtower_processors.cli", "dashboards", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env | dict(environment), check=False, timeout=60)


def test_diff_push_diff_on_the_command_line(grafana: Standin) -> None:
    before = run(grafana, "diff")
    assert (before.returncode, grafana.written) == (1, []), before.stderr
    assert before.stdout.count("new ") == 2 + len(DASHBOARDS)
    pushed = run(grafana, "push")
    assert pushed.returncode == 0, pushed.stderr
    assert grafana.written.count("POST /api/dashboards/db") == len(DASHBOARDS)
    assert grafana.sources[DATASOURCE_UID]["jsonData"]["host"] == "clickhouse"
    assert grafana.secrets[DATASOURCE_UID] == {"password": "s3cret"}
    assert set(grafana.places.values()) == {"llmtower"}
    after = run(grafana, "diff")
    assert after.returncode == 0, after.stdout
    grafana.written.clear()
    assert run(grafana, "push").returncode == 0
    assert grafana.written == [f"PUT /api/datasources/uid/{DATASOURCE_UID}"]
    grafana.dashboards["llmtower-cost"]["panels"][2]["title"] = "changed by hand"
    changed = run(grafana, "diff")
    assert (changed.returncode, [line for line in changed.stdout.splitlines() if not line.startswith("same")]) == (
        1,
        ["changed  dashboard llmtower-cost: panels[2].title"],
    )
    for done in (before, pushed, after, changed):
        assert "s3cret" not in done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr


def test_a_wrong_token_and_a_grafana_that_is_away_are_sentences(grafana: Standin) -> None:
    refused = run(grafana, "push", token="wrong")
    assert (refused.returncode, grafana.written) == (1, [])
    assert "HTTP 401. Grafana does not know the token, or it has expired: see LLMTOWER_GRAFANA__TOKEN." in refused.stderr
    assert run(grafana, "push", token="").returncode == 2
    gone = HttpGrafana("http://127.0.0.1:9", TOKEN)
    with pytest.raises(GrafanaError, match=r"127.0.0.1:9 \(LLMTOWER_GRAFANA__URL\) cannot be reached: nobody listens there"):
        plan(gone, resources(READER))
    with pytest.raises(GrafanaError, match=r"is no address of a Grafana"):
        HttpGrafana("grafana.example", TOKEN)


def test_rules_contact_points_and_policies(grafana: Standin) -> None:
    """What alerting adds; routes of other people's policies stay."""
    theirs = {"receiver": "somebody else", "object_matchers": [["team", "=", "web"]]}
    grafana.policy["routes"].append(theirs)
    edge = HttpGrafana(grafana.address, TOKEN)
    wanted = resources(READER, ALERTING)
    push(edge, wanted)
    assert {change.verdict for change in plan(edge, wanted)} == {"same"}
    assert grafana.groups["llmtower", "default"]["rules"][0]["title"] == "Cost"
    assert grafana.policy["routes"] == [theirs, dict(ALERTING[2].body)]
    assert grafana.policy["receiver"] == "grafana-default-email"
    grafana.contacts["llmtower-oncall"]["settings"]["url"] = "elsewhere"
    grafana.groups["llmtower", "default"]["interval"] = 10
    assert [change.resource.kind for change in push(edge, wanted) if change.verdict == "update"] == ["contact point", "alert rules"]
    assert {change.verdict for change in plan(edge, wanted)} == {"same"}
