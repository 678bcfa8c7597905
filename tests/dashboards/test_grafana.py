"""Dashboards as Grafana's JSON, files for its provisioning, and what a push does; without a network."""

import json
import re
from typing import Any, Final

import pytest
import yaml

from llmtower_dashboards.grafana.dashboards import COMPLETENESS, dashboards, panel_places, text
from llmtower_dashboards.grafana.files import files
from llmtower_dashboards.grafana.panels import panel_id
from llmtower_dashboards.grafana.push import MemoryGrafana, plan, push
from llmtower_dashboards.grafana.query import DATASOURCE_UID, PLUGIN
from llmtower_dashboards.grafana.resources import ORDER, Reader, Resource, resources
from llmtower_dashboards.macros import literal, variables_of
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.narrow import ALL_OF_ROW, FILTER_OF
from llmtower_dashboards.registry import DASHBOARDS, HOMES, PANELS, VARIABLES
from llmtower_dashboards.web.behind import calls_behind
from llmtower_dashboards.web.chrome import PANEL_PATHS, PATHS
from llmtower_dashboards.web.state import View
from llmtower_processors.alerts.load import load_rules
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


def _urls(made: Any) -> list[str]:
    """Every address of links into the call explorer, wherever it stands."""
    if isinstance(made, dict):
        here = [made["url"]] if str(made.get("url", "")).startswith("/d/llmtower-explorer?") else []
        return here + [url for value in made.values() for url in _urls(value)]
    return [url for value in made for url in _urls(value)] if isinstance(made, list) else []


def _drawn(panel: str) -> dict[str, Any]:
    """A panel as Grafana draws it where it is at home."""
    (found,) = (one for one in _panels(MADE[f"llmtower-{HOMES[panel]}"]) if one["id"] == panel_id(panel))
    return dict(found)


def _fixed(url: str) -> dict[str, tuple[str, ...]]:
    """What an address sets by itself."""
    parts = (part.removeprefix("var-").split("=", 1) for part in url.split("?")[1].split("&") if part.startswith("var-"))
    return {name: tuple(value.split(",")) for name, value in parts if not value.startswith("${")}


def test_no_link_sets_a_variable_twice_or_one_that_the_explorer_has_not() -> None:
    known = {variable["name"] for variable in MADE["llmtower-explorer"]["templating"]["list"]}
    urls = _urls(list(MADE.values()))
    assert len(urls) > 200
    for url in urls:
        parts = url.split("?")[1].split("&")
        named = [part.removeprefix("var-").partition("=")[0] for part in parts if part.startswith("var-")]
        named += [part[2:].partition(":")[0] for part in parts if part.endswith(":queryparam}")]
        assert len(set(named)) == len(named), f"a text field takes the first value alone: {url}"
        assert set(named) <= known, url


@pytest.mark.parametrize("panel", [panel for panel in PANELS.values() if panel.calls], ids=lambda panel: panel.name)
def test_a_panel_leads_to_the_calls_that_the_page_leads_to(panel: Panel) -> None:
    (url,) = _urls(_drawn(panel.name)["links"])
    assert _fixed(url) == calls_behind(View(), DAY, panel).variables
    listed = [name for name in VARIABLES if name in panel.variables and name not in _fixed(url)]
    assert sorted(part for part in url.split("&") if part.endswith(":queryparam}")) == sorted(f"${{{name}:queryparam}}" for name in listed)


FILTERS: Final = "&".join(f"${{{name}:queryparam}}" for name in ("project", "environment", "app", "model", "provider", "prompt"))
ADDRESSES: Final = {
    "overview_calls": "${__url_time_range}&" + FILTERS,
    "judge_agreement": "${__url_time_range}&${project:queryparam}&${environment:queryparam}&${app:queryparam}&${model:queryparam}"
    "&${prompt:queryparam}&var-only=judged,rated",
    "cost_today": "from=now/d&to=now&timezone=utc&" + FILTERS,
    "cost_month": "from=now/M&to=now&timezone=utc&" + FILTERS,
    "latency_headroom_tokens": "from=now-6h&to=now&" + FILTERS + "&${user:queryparam}&var-only=token_limits",
    "cost_by_session": "from=now-1h&to=now&" + FILTERS + "&${user:queryparam}&var-only=sessions",
    "prompt_seen": "from=now-400d&to=${__to}&" + FILTERS + "&var-only=prompted",
    "drift_hours": "from=now-1d/h&to=now-1h/h&timezone=utc&" + FILTERS,
    "cost_by_user": "${__url_time_range}&${project:queryparam}&${environment:queryparam}&${app:queryparam}&${model:queryparam}"
    "&${user:queryparam}&var-only=users",
}


@pytest.mark.parametrize("panel", ADDRESSES)
def test_links_look_at_what_the_panel_looks_at(panel: str) -> None:
    assert _urls(_drawn(panel)["links"]) == [f"/d/llmtower-explorer?{ADDRESSES[panel]}"]


def test_what_a_link_cannot_say_stands_in_the_description() -> None:
    for panel in PANELS.values():
        span = panel.calls.span if panel.calls else "range"
        said = re.search(r"\b[Ii]ts links show ", _drawn(panel.name)["description"])
        assert bool(said) is (span not in ("range", "rows")), panel.name


def test_a_session_is_looked_for_by_itself_whatever_else_its_row_says() -> None:
    session = "&var-session=${__data.fields.session:percentencode}"
    for panel in ("cost_by_session", "calls_recent", "calls_failed"):
        overrides = {one["matcher"]["options"]: one["properties"] for one in _drawn(panel)["fieldConfig"]["overrides"]}
        (url,) = _urls(overrides["session"])
        assert url.endswith(session)
        assert url.count("${__data.fields.") == 1, url


def test_a_column_that_counts_every_call_of_its_row_leads_to_all_of_them() -> None:
    every = 0
    for panel in (panel for panel in PANELS.values() if panel.calls and panel.kind in ("table", "bars")):
        overrides = {one["matcher"]["options"]: one["properties"] for one in _drawn(panel.name)["fieldConfig"]["overrides"]}
        columns = [column.name for column in panel.columns if column.link == "calls" and column.name != "session"]
        row = [f"some {column.name}" for column in panel.columns]
        keys = {FILTER_OF.get(column.name) for column in panel.columns}
        for column in columns:
            (url,) = _urls(overrides[column])
            every += bool(panel.calls and panel.calls.only and column in ALL_OF_ROW)
            page = calls_behind(View(), DAY, panel, panel.columns, row, column).variables
            assert _fixed(url) == {name: values for name, values in page.items() if name not in keys}, (panel.name, column)
    assert every, "no panel is about some of the calls and counts all of a row beside them"


def test_alerts_lead_to_the_same_dashboard_on_the_page_and_in_grafana() -> None:
    paths = {f"llmtower-{name}": path for name, path in PATHS.items()}
    assert {panel: paths[uid] for panel, (uid, _) in panel_places().items()} == PANEL_PATHS
    drifting = {rule.panel for rule in load_rules().rules if "drift" in rule.name} & set(PANELS)
    assert {panel_places()[panel][0] for panel in drifting} == {"llmtower-drift"}


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
