"""Dashboards as Grafana's JSON, files for its provisioning, and what a push does; without a network."""

import json
from typing import Any, Final

import pytest
import yaml

from llmtower_dashboards.grafana.dashboards import COMPLETENESS, dashboards, text
from llmtower_dashboards.grafana.files import files
from llmtower_dashboards.grafana.push import MemoryGrafana, plan, push
from llmtower_dashboards.grafana.query import DATASOURCE_UID, PLUGIN
from llmtower_dashboards.grafana.resources import ORDER, Reader, Resource, resources
from llmtower_dashboards.macros import literal, variables_of
from llmtower_dashboards.registry import DASHBOARDS, VARIABLES
from tests.dashboards.frames import DAY

READER: Final = Reader(host="clickhouse", port=8123, database="llmtower", user="dashboards", password="s3cret")
MADE: Final = dashboards()


def _panels(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in made["panels"] if panel["type"] != "row"]


def test_every_dashboard_is_made_the_same_way_every_time() -> None:
    assert list(MADE) == [f"llmtower-{name}" for name in DASHBOARDS]
    assert {name: text(made) for name, made in MADE.items()} == {name: text(made) for name, made in dashboards().items()}


@pytest.mark.parametrize("uid", MADE)
def test_a_dashboard_can_be_drawn(uid: str) -> None:
    made = MADE[uid]
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    assert _panels(made)[0]["title"] == COMPLETENESS.title, "how complete everything is stands above everything"
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        grid = panel["gridPos"]
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert grid["x"] + grid["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells


@pytest.mark.parametrize("uid", MADE)
def test_every_query_asks_by_uid_and_uses_variables_that_exist(uid: str) -> None:
    made = MADE[uid]
    listed = [variable["name"] for variable in made["templating"]["list"]]
    known: set[str] = set()
    for variable in made["templating"]["list"]:
        used = set(variables_of(VARIABLES[variable["name"]].sql))
        assert used <= known, f"{variable['name']} is listed under variables that come later"
        known.add(variable["name"])
    targets = [target for panel in _panels(made) for target in panel.get("targets", [])]
    targets += [mark["target"] for mark in made["annotations"]["list"]]
    assert targets
    for target in targets:
        assert target["datasource"] == {"type": PLUGIN, "uid": DATASOURCE_UID}
        assert set(variables_of(target["rawSql"])) <= set(listed)
        assert "$" not in literal(target["rawSql"], DAY)


def test_a_panel_leads_to_the_calls_behind_it() -> None:
    for dashboard in DASHBOARDS.values():
        drawn = {panel["title"]: panel for panel in _panels(MADE[f"llmtower-{dashboard.name}"])}
        for panel in (panel for row in dashboard.rows for panel in row.panels if panel.calls):
            links = json.dumps(drawn[panel.title].get("links", []))
            assert "/d/llmtower-explorer?${__url_time_range}" in links, panel.name


def test_the_overview_says_what_fires() -> None:
    drawn = {panel["title"]: panel for panel in _panels(MADE["llmtower-overview"])}
    (target,) = drawn["Firing"]["targets"]
    assert "FROM alert_states" in target["rawSql"]
    overrides = drawn["Firing"]["fieldConfig"]["overrides"]
    hidden = {one["matcher"]["options"] for one in overrides for field in one["properties"] if field["id"] == "custom.hidden"}
    assert hidden == {"group_json", "window_start", "window_end", "panel", "corrected"}


def test_texts_of_calls_are_not_asked_for() -> None:
    (hidden,) = [panel for panel in _panels(MADE["llmtower-explorer"]) if panel["type"] == "text"]
    assert not hidden.get("targets")
    assert "contents" not in text(MADE["llmtower-explorer"])


def test_files_are_read_by_grafana_without_a_secret_in_them() -> None:
    made = files(READER)
    assert not [name for name, content in made.items() if "s3cret" in content]
    (source,) = yaml.safe_load(made["datasources/llmtower.yaml"])["datasources"]
    assert (source["type"], source["uid"], source["jsonData"]["host"], source["jsonData"]["protocol"]) == (
        PLUGIN,
        DATASOURCE_UID,
        "clickhouse",
        "http",
    )
    assert source["secureJsonData"] == {"password": "$CLICKHOUSE_DASHBOARDS_PASSWORD"}
    (provider,) = yaml.safe_load(made["dashboards/llmtower.yaml"])["providers"]
    assert provider["options"]["path"] == "/etc/grafana/provisioning/dashboards/llmtower"
    names = [name for name in made if name.endswith(".json")]
    assert [json.loads(made[name])["uid"] for name in names] == list(MADE)
    money = files(Reader(host="a$b", port=1, database="d", user="u"))["datasources/llmtower.yaml"]
    assert yaml.safe_load(money)["datasources"][0]["jsonData"]["host"] == "a$$b"


def test_a_second_push_changes_nothing() -> None:
    grafana = MemoryGrafana()
    wanted = resources(READER)
    assert {change.verdict for change in plan(grafana, wanted)} == {"create"}
    assert not grafana.writes
    push(grafana, wanted)
    assert [kind for kind, _ in grafana.writes] == ["folder", "data source", *["dashboard"] * len(DASHBOARDS)]
    assert grafana.secrets[DATASOURCE_UID] == {"password": "s3cret"}
    grafana.writes.clear()
    assert {change.verdict for change in push(grafana, wanted)} == {"same"}
    assert grafana.writes == [("data source", DATASOURCE_UID)], "a password cannot be compared, so it is set again"


def test_what_somebody_changed_is_named_and_put_back() -> None:
    grafana = MemoryGrafana()
    wanted = resources(READER)
    push(grafana, wanted)
    held = grafana.held["dashboard", "llmtower-cost"]
    held["panels"][3]["title"] = "mine"
    held["schemaVersion"] = 99  # a newer Grafana
    del grafana.held["folder", "llmtower"]
    changes = {change.resource.name: change for change in plan(grafana, wanted) if change.verdict != "same"}
    assert changes["llmtower"].verdict == "create"
    assert set(changes["llmtower-cost"].paths) == {"panels[3].title"}
    push(grafana, wanted)
    assert {change.verdict for change in plan(grafana, wanted)} == {"same"}


def test_what_alerting_adds_comes_in_its_order() -> None:
    rules = Resource("alert rules", "llmtower/default", {"title": "default", "rules": []})
    contact = Resource("contact point", "llmtower-oncall", {"uid": "llmtower-oncall", "name": "on call", "type": "webhook", "settings": {}})
    policy = Resource("notification policy", "on call", {"receiver": "on call", "object_matchers": [["llmtower", "=", "yes"]]})
    kinds = [one.kind for one in resources(READER, [rules, policy, contact])]
    assert kinds == sorted(kinds, key=ORDER.index)
    assert kinds[-3:] == ["contact point", "notification policy", "alert rules"]
    grafana = MemoryGrafana()
    push(grafana, resources(READER, [rules, policy, contact]))
    assert {change.verdict for change in plan(grafana, resources(READER, [rules, policy, contact]))} == {"same"}


def test_a_secret_that_grafana_hides_is_set_again_and_is_no_difference() -> None:
    settings = {"url": "https://hook.example", "authorization_credentials": "t0ken"}
    contact = Resource("contact point", "c", {"uid": "c", "name": "on call", "type": "webhook", "settings": settings})
    grafana = MemoryGrafana()
    push(grafana, [contact])
    grafana.held["contact point", "c"]["settings"]["authorization_credentials"] = "[REDACTED]"
    assert [change.verdict for change in plan(grafana, [contact])] == ["same"]
    push(grafana, [contact])
    assert grafana.held["contact point", "c"]["settings"] == settings


def test_secrets_do_not_show() -> None:
    assert "s3cret" not in repr(READER)
    assert not [one for one in resources(READER) if "s3cret" in repr(one)]
