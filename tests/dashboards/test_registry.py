"""What every panel, dashboard and variable must be, so that Grafana, the page and the documentation can be made of it."""

import re
from typing import Final

import pytest

from llmtower_dashboards.grafana.fields import UNITS
from llmtower_dashboards.macros import MACROS, Frame, expand, literal, macros_of, variables_of
from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.registry import ANNOTATIONS, DASHBOARDS, PANELS, VARIABLES
from llmtower_schemas.tables import TABLES, VIEWS
from tests.dashboards.frames import DAY, HOUR

EVERY: Final = {**PANELS, **ANNOTATIONS}
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


@pytest.mark.parametrize("name", EVERY)
def test_a_panel_says_what_it_is(name: str) -> None:
    panel = EVERY[name]
    assert NAME.fullmatch(name)
    assert panel.question.rstrip(")").endswith("?") or "?" in panel.question
    assert panel.no_data.rstrip().endswith((".", ")"))
    assert panel.title
    assert len({column.name for column in panel.columns}) == len(panel.columns)
    assert {panel.unit, *(column.unit for column in panel.columns)} <= set(UNITS)
    assert not panel.thresholds or panel.worse
    assert 1 <= panel.width <= 24


def _values(panel: Panel) -> list[Column]:
    return [column for column in panel.columns if column.unit not in ("text", "time")]


@pytest.mark.parametrize(
    "panel", [panel for panel in PANELS.values() if panel.kind in ("stat", "timeseries", "bars", "heatmap")], ids=lambda p: p.name
)
def test_a_panel_has_the_columns_of_its_kind(panel: Panel) -> None:
    first = panel.columns[0]
    if panel.kind == "stat":
        assert first.unit == panel.unit
        assert all(column.unit != "time" for column in panel.columns)
    elif panel.kind == "timeseries":
        assert (first.name, first.unit) == ("time", "time")
        assert any(column.unit == panel.unit for column in _values(panel))
    elif panel.kind == "bars":
        assert first.unit == "text"
        assert any(column.unit == panel.unit for column in _values(panel))
    else:
        assert [column.name for column in panel.columns] == ["time", "bucket_start", "bucket_end", "calls"]


@pytest.mark.parametrize("name", EVERY)
def test_its_sql_uses_known_macros_and_the_variables_it_declares(name: str) -> None:
    panel = EVERY[name]
    assert set(macros_of(panel.sql)) <= {*MACROS, "conditionalAll"}
    used = set(variables_of(panel.sql))
    assert used <= set(VARIABLES)
    assert name in ANNOTATIONS or used == set(panel.variables)
    inside_quotes = re.findall(r"'[^']*'", panel.sql)
    assert not any("$" in text for text in inside_quotes), "the plugin expands inside quotes too"


@pytest.mark.parametrize("name", EVERY)
def test_the_text_is_the_same_whatever_is_chosen(name: str) -> None:
    """Values are bound, so that the guard looks at each text once; and no value can become SQL."""
    sql = EVERY[name].sql
    hostile = "x') OR 1=1; DROP TABLE calls --"
    chosen = {variable: [hostile] for variable in VARIABLES}
    bound = expand(sql, Frame(HOUR.start, HOUR.end, 60, chosen))
    assert hostile not in bound.sql
    assert bound.sql == expand(sql, Frame(DAY.start, DAY.end, 900, {name: ["other"] for name in chosen})).sql
    assert "$" not in literal(sql, DAY)


def test_trends_lead_to_series_with_the_same_unit_of_their_figure() -> None:
    for panel in PANELS.values():
        if panel.trend:
            assert PANELS[panel.trend].kind == "timeseries", panel.name
            assert panel.kind == "stat"


def test_money_comes_with_its_unpriced_calls() -> None:
    """A sum over calls that hides what has no price would be a lie; single calls say it themselves, a judge without prices asks nothing."""
    for panel in PANELS.values():
        names = {column.name for column in panel.columns}
        if any(column.unit in ("usd", "usd/h") for column in panel.columns) and not panel.name.startswith(("call_", "calls_", "judge_")):
            assert "unpriced" in names, panel.name


def test_a_panel_that_stands_twice_is_one_panel() -> None:
    seen: dict[str, Panel] = {}
    for dashboard in DASHBOARDS.values():
        for row in dashboard.rows:
            for panel in row.panels:
                assert seen.setdefault(panel.name, panel) is panel
    assert list(DASHBOARDS) == ["overview", "cost", "latency", "quality", "drift", "prompts", "models", "explorer", "pipeline"]


def test_only_the_call_explorer_reads_texts() -> None:
    assert [panel.name for panel in PANELS.values() if panel.reader == "content"] == ["call_content"]


RAW: Final = {
    *("calls_recent", "calls_failed", "calls_slowest", "calls_dearest", "cost_by_session", "latency_hung"),
    *("latency_headroom_requests", "latency_headroom_tokens", "experiments", "experiment_scores", "judge_agreement"),
}
"""Panels that look at single calls (`judge_agreement` for the ids of their answers); figures over many calls come from rollups."""


@pytest.mark.parametrize("name", EVERY)
def test_it_reads_rollups_and_joins_no_raw_tables(name: str) -> None:
    sql = EVERY[name].sql
    tables = set(re.findall(r"\b(?:FROM|(?<!ARRAY )JOIN)\s+(\w+)", sql))
    temporary = set(re.findall(r"\b(\w+) AS\s*\(", sql))
    assert tables <= {*TABLES, *VIEWS, *temporary, "system"}, "a table that no migration makes"
    assert "calls" not in tables or name in RAW or name.startswith("call_")
    assert not set(re.findall(r"\bJOIN\s+(\w+)", sql)) & TABLES.keys()
    assert "contents" not in tables or EVERY[name].reader == "content"
