"""What the page writes: figures, states, alerts, changes; text of applications never becomes markup; every colour can be read."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.completeness import Completeness
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.alerts import FIRING, SILENCES
from llmtower_dashboards.panels.changes import CHANGED
from llmtower_dashboards.registry import DASHBOARDS, PANELS
from llmtower_dashboards.web import alerts, cards, changes, charts, chrome, tables
from llmtower_dashboards.web.axes import value_axis
from llmtower_dashboards.web.colours import Palette
from llmtower_dashboards.web.format import THIN, change, figure
from llmtower_dashboards.web.hub import Alerts
from llmtower_dashboards.web.layout import widths
from llmtower_dashboards.web.lines import lines
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.setting import Mark, Setting
from llmtower_dashboards.web.silencing import silence
from llmtower_dashboards.web.state import View, parse
from llmtower_dashboards.web.tags import Html
from llmtower_dashboards.web.theme import DARK, LIGHT, SERIES_DARK, SERIES_LIGHT, contrast

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOOK = Look("/", View(), Frame(NOW - timedelta(hours=1), NOW), NOW)
EVIL = "<img src=x onerror=alert(1)>\"'"


def answer(panel: Panel, *rows: dict[str, Any]) -> Answer:
    return Answer(panel.columns, [[row.get(column.name) for column in panel.columns] for row in rows], 1.0, "SELECT 1")


def firing(**more: Any) -> dict[str, Any]:
    row = {
        "rule": "latency_p95",
        "title": "p95 duration",
        "group_text": "app=chat",
        "group_json": json.dumps({"app": "chat", "project": "default"}),
        "state": "firing",
        "severity": "critical",
        "value": 2.3,
        "threshold": 1.5,
        "unit": "seconds",
        "sample": 12_400,
        "completeness": 0.97,
        "since": NOW - timedelta(minutes=6),
        "changed_at": NOW,
        "window_start": NOW - timedelta(minutes=11),
        "window_end": NOW - timedelta(minutes=6),
        "reason": "",
        "coincident": "deploy 1.8",
        "panel": "latency_duration",
        "runbook": "",
        "corrected": False,
    }
    return row | more


def silences(*found: Any) -> Answer:
    rows = [
        {
            "silence_id": one.silence_id,
            "kind": one.kind,
            "rule": one.rule,
            "group_json": json.dumps(one.group),
            "by": one.by,
            "comment": "",
            "starts_at": datetime.fromtimestamp(one.starts_at_us / 1e6, UTC),
            "ends_at": datetime.fromtimestamp(one.ends_at_us / 1e6, UTC),
        }
        for one in found
    ]
    return answer(SILENCES, *rows)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (128_400, "calls", f"128{THIN}k"),
        (0.0042, "ratio", f"0.42{THIN}%"),
        (0.99995, "ratio", f"99.99{THIN}%"),
        (2.314, "seconds", f"2.31{THIN}s"),
        (0.314, "seconds", f"314{THIN}ms"),
        (184.2, "usd", f"${THIN}184.20"),
        (None, "usd", "unknown"),
        (float("nan"), "ratio", "unknown"),
    ],
)
def test_figures_have_three_digits_and_their_unit(value: Any, unit: Any, shown: str) -> None:
    assert str(figure(value, unit)) == shown


def test_changes_are_points_seconds_or_percent() -> None:
    assert str(change(0.034, 0.004, "ratio")) == f"+3{THIN}pp"
    assert str(change(2.4, 1.5, "seconds")) == f"+0.9{THIN}s"
    assert str(change(103, 100, "calls")) == f"+3{THIN}%"
    assert change(1, None, "calls") is None


def test_a_tile_says_figure_mark_and_change_and_what_is_missing() -> None:
    panel = PANELS["overview_cost"]
    html = cards.tile(panel, answer(panel, {"value": 12.5, "baseline": 10.0, "unpriced": 214, "sample": 900}), None, LOOK)
    assert 'data-value="12.5"' in html
    assert "+ 214 unpriced calls" in html
    assert f"▲ +25{THIN}%" in html, "worse is a mark, not only a colour"
    unknown = cards.tile(panel, answer(panel, {"value": None}), None, LOOK)
    assert "unknown" in unknown
    assert "$" not in unknown


def test_a_budget_is_a_bar_and_both_sums() -> None:
    panel = PANELS["judge_budget"]
    html = cards.tile(panel, answer(panel, {"value": 0.75, "spent": 1.5, "budget": 2.0}), None, LOOK)
    assert 'max="2"' in html
    assert 'value="1.5"' in html
    assert f"{figure(1.5, 'usd')} of {figure(2, 'usd')}" in html
    over = cards.tile(panel, answer(panel, {"value": 1.5, "spent": 3.0, "budget": 2.0}), None, LOOK)
    assert 'value="2"' in over, "a full bar, not an impossible one"
    assert f"{figure(3, 'usd')} of" in over


def test_an_alert_says_figure_group_since_and_what_can_be_done() -> None:
    (found,) = alerts.alerts(answer(FIRING, firing()), silences(), NOW)
    html = alerts.listed([found], LOOK)
    for said in (
        "critical",
        "p95 duration",
        "chat",
        f"2.3{THIN}s &gt; 1.5{THIN}s",
        f"6{THIN}min",
        "12.4",
        "97",
        "deploy 1.8",
        "silence 1",
        "acknowledge",
    ):
        assert said in html, said
    assert "/calls?from=2026-11-20T11%3A19%3A00Z" in html or "/calls?from=2026-11-20T11:19:00Z" in html
    assert "#latency_duration" in html
    assert alerts.count([found]) == 1


def test_a_rule_that_fires_in_several_groups_is_one_line_of_the_overview() -> None:
    """Worst first, each group leads to its own calls; what is alone keeps its buttons; what is left out is counted in alerts."""
    apps = {"chat": 2.3, "search": 9.9, "batch": 1.6}
    same = [firing(value=value, group_text=f"app={app}", group_json=json.dumps({"app": app})) for app, value in apps.items()]
    alone = [firing(rule=f"rule{number}", group_text="app=chat") for number in range(5)]
    found = alerts.alerts(answer(FIRING, *same, *alone), silences(), NOW)
    html = str(alerts.by_rule(found, LOOK, limit=4))
    assert html.count("<li") == 4
    assert "3 groups" in html
    assert f"9.9{THIN}s &gt; 1.5{THIN}s" in html
    assert html.index("search 9.9") < html.index("chat 2.3") < html.index("batch 1.6")
    assert all(f"app={app}" in html for app in apps), "each leads to its calls"
    assert html.count("acknowledge</button>") == 3
    assert "/alerts?rule=latency_p95" in html
    assert "and 2 more" in html
    low = alerts.alerts(answer(FIRING, *(row | {"value": 1.5 - row["value"], "threshold": 1.5} for row in same)), silences(), NOW)
    html = str(alerts.by_rule(low, LOOK, limit=4))
    assert html.index("search") < html.index("chat") < html.index("batch"), "below the threshold the lowest is the worst"
    mending = [firing(value=value, group_text=app, group_json=json.dumps({"app": app})) for app, value in (("chat", 1.7), ("search", 0.1))]
    html = str(alerts.by_rule(alerts.alerts(answer(FIRING, *mending), silences(), NOW), LOOK, limit=4))
    assert html.index("chat") < html.index("search"), "what recovers is not the worst"


@pytest.mark.parametrize(("name", "written"), [("cost_by_user", tables.table), ("cost_by_app", tables.bars)])
def test_a_list_that_its_question_cuts_says_so(name: str, written: Callable[[Panel, Answer, Look], Html]) -> None:
    panel = PANELS[name]
    assert panel.most == 20
    rows = [{panel.columns[0].name: f"one {number}", "cost": 100 - number, "calls": 1, "unpriced": 0} for number in range(20)]
    assert "the first 20: there may be more" in str(written(panel, answer(panel, *rows), LOOK))
    assert "may be more" not in str(written(panel, answer(panel, *rows[:19]), LOOK))


def test_a_list_that_is_longer_than_a_page_says_how_much_longer() -> None:
    panel = PANELS["experiments"]
    rows = [{"run": f"run {number}", "calls": 1} for number in range(200)]
    assert "and 100 more, at least" in str(tables.table(panel, answer(panel, *rows), LOOK))
    assert "and 99 more<" in str(tables.table(panel, answer(panel, *rows[:199]), LOOK))


def test_alerts_beyond_those_that_were_asked_for_are_never_passed_over_in_silence() -> None:
    """Of one rule in many groups, of many rules, and of a chosen rule of which none was among the first."""
    rows = [firing(group_text=str(number), group_json=json.dumps({"app": str(number)})) for number in range(100)]
    rules = [row | {"rule": f"rule{number}"} for number, row in enumerate(rows)]
    one, many = (alerts.alerts(answer(FIRING, *found), silences(), NOW) for found in (rows, rules))
    assert Alerts(one, answer(FIRING, *rows), silences()).cut
    assert not Alerts(one[:99], answer(FIRING, *rows[:99]), silences()).cut
    assert "at least 100 groups" in str(alerts.by_rule(one, LOOK, limit=5, cut=True))
    assert "and 95 more, at least" in str(alerts.by_rule(many, LOOK, limit=5, cut=True))
    assert "Only the first 100 alerts were asked for: there may be more." in str(alerts.listed(one, LOOK, cut=True))
    none = str(alerts.listed([], LOOK, cut=True))
    assert "there may be more" in none
    assert "Nothing is firing" not in none
    assert "more" not in str(alerts.listed(one[:99], LOOK))


def test_a_silence_covers_its_alert_alone_and_takes_the_buttons_away() -> None:
    made = silence("silence", "latency_p95", {"app": "chat"}, NOW)
    other = firing(rule="latency_p95_slow", group_text="x")
    covered, open_ = sorted(alerts.alerts(answer(FIRING, firing(), other), silences(made), NOW), key=lambda one: str(one.row["rule"]))
    assert covered.silence is not None
    assert open_.silence is None
    html = alerts.listed([covered], LOOK)
    assert "silenced until 13:00" in html
    assert 'data-do="silence"' not in html
    assert 'data-do="unsilence"' in html


def test_letters_that_are_patterns_mean_themselves_in_a_silence() -> None:
    made = silence("acknowledge", "a*[b]?", {}, NOW)
    at = round(NOW.timestamp() * 1e6)
    assert made.covers("a*[b]?", {}, at)
    assert not made.covers("aXb?", {}, at)


def test_names_of_applications_never_become_markup() -> None:
    panel = PANELS["cost_by_app"]
    html: str = tables.bars(panel, answer(panel, {"app": EVIL, "cost": 1.0, "calls": 1}), LOOK)
    html += alerts.listed(
        alerts.alerts(answer(FIRING, firing(title=EVIL, coincident=EVIL, runbook="javascript:alert(1)")), silences(), NOW), LOOK
    )
    html += changes.changes(
        answer(CHANGED, {"time": NOW, "kind": "deploy", "app": EVIL, "what": EVIL, "detail": EVIL, "coincided": ""}), LOOK
    )
    html += chrome.controls(Look("/", View(variables={"app": (EVIL,)}), LOOK.frame, NOW), {"app": [EVIL], "model": [EVIL]})
    assert "<img" not in html
    assert "javascript:" not in html


def test_redactions_are_visible() -> None:
    panel = PANELS["call_content"]
    html = changes.texts(answer(panel, {"kind": "call", "input": "card [redacted:card] <b>", "output": '[{"a": 1}]'}))
    assert "<mark>[redacted:card]" in html
    assert "&lt;b&gt;" in html
    assert html.count("<details") == 2


def test_every_table_of_every_dashboard_can_be_written_empty_and_with_nothing_known() -> None:
    for board in DASHBOARDS.values():
        for panel in (panel for row in board.rows for panel in row.panels if panel.kind in ("table", "bars")):
            assert tables.table(panel, answer(panel, {}), LOOK)
    assert chrome.navigation(LOOK, 3).count("<a ") == len(DASHBOARDS) + 1 + len(chrome.OTHERS)


def test_marks_that_are_too_close_share_a_label() -> None:
    marks = [
        Mark(NOW - timedelta(minutes=minute), title)
        for minute, title in ((50, "deploy 1"), (10, "model m"), (9, "prompt p 7"), (8, "deploy 2"))
    ]
    panel = PANELS["latency_duration"]
    rows = [[NOW - timedelta(minutes=5), 1.0, 2.0, 3.0]]
    options = charts.timeseries(panel, panel.columns, rows, Setting(LOOK.frame.start, LOOK.frame.end, 60, marks=marks))
    assert [mark["name"] for mark in options["series"][0]["markLine"]["data"]] == ["deploy 1", "deploy 2 +2", "", ""]


def test_an_address_holds_every_state_and_nothing_else() -> None:
    view = parse([("from", "now-6h"), ("app", "a"), ("app", "b"), ("tz", "UTC"), ("list", "failed"), ("evil", "x")], ["app"], NOW)
    assert view.link("/calls") == "/calls?from=now-6h&app=a&app=b&tz=UTC&list=failed"
    assert view.choosing(list="").link("/calls") == "/calls?from=now-6h&app=a&app=b&tz=UTC"
    assert parse([("from", "2026-11-20"), ("to", "2026-11-19")], [], NOW).notice
    fixed = view.fixed(view.frame(NOW))
    assert not fixed.live
    assert fixed.frame(NOW + timedelta(days=1)).end == NOW


@pytest.mark.parametrize(("tokens", "hues"), [(LIGHT, SERIES_LIGHT), (DARK, SERIES_DARK)])
def test_every_colour_can_be_read(tokens: dict[str, str], hues: tuple[str, ...]) -> None:
    for name in ("text", "muted", "accent", "ok", "warn", "bad"):
        for ground in ("card", "bg"):
            assert contrast(tokens[name], tokens[ground]) >= 4.5, (name, ground)
    assert all(contrast(hue, tokens["card"]) >= 4.5 for hue in hues)
    assert contrast(tokens["bad"], tokens["card"]) >= 4.5, "the badge"


def test_what_a_sum_of_money_misses_stands_beside_it_and_nothing_known_is_unknown() -> None:
    panel = PANELS["cost_by_app"]
    rows = [{"app": "a", "cost": 1.5, "calls": 30, "unpriced": 12}, {"app": "b", "cost": 0.0, "calls": 30, "unpriced": 28}]
    html = tables.bars(panel, answer(panel, *rows), LOOK)
    assert "+ 12 unpriced" in html
    assert "unknown" in html.partition(">b<")[2]
    assert f"${THIN}0.00" not in html
    assert "Unpriced calls" not in html, "no column of its own that a narrow table would hide"


def test_an_interval_has_the_unit_of_its_figure() -> None:
    panel = PANELS["prompt_versions"]
    figures = {"cost_per_call": 0.0009, "cost_per_call_low": 0.0008, "cost_per_call_high": 0.001}
    html = tables.table(panel, answer(panel, {"prompt": "p", "version": "1", "calls": 9, **figures}), LOOK)
    assert f"${THIN}0.90" in html
    assert f"${THIN}0.80 to ${THIN}1.00" in html


def test_times_of_single_calls_are_written_to_the_second() -> None:
    panel = PANELS["calls_recent"]
    html = tables.table(panel, answer(panel, {"time": NOW.replace(second=7), "call": "c"}, {"time": NOW, "call": "d"}), LOOK)
    assert ">12:00:07<" in html
    assert ">12:00:00<" in html
    assert ">12:00<" in tables.table(panel, answer(panel, {"time": NOW, "call": "d"}), LOOK)


def test_versions_of_one_prompt_have_colours_of_their_own_and_apps_keep_theirs() -> None:
    setting = Setting(LOOK.frame.start, LOOK.frame.end, 60, palette=Palette({"prompt": ("p",), "app": ("b", "a")}))
    panel = PANELS["prompt_duration"]
    found = lines(panel, panel.columns, [[NOW, "p", "1", 1.0], [NOW, "p", "2", 2.0]])
    assert {charts.colour_of(line, at, setting) for at, line in enumerate(found.drawn)} == {"var(--s1)", "var(--s2)"}
    panel = PANELS["overview_p95_series"]
    found = lines(panel, panel.columns, [[NOW, "a", 9.0], [NOW, "b", 1.0]])
    assert [(line.name, charts.colour_of(line, at, setting)) for at, line in enumerate(found.drawn)] == [
        ("a", "var(--s2)"),
        ("b", "var(--s1)"),
    ]
    html = cards.legend(found, ["var(--s2)", "var(--s1)"], LOOK)
    assert 'href="/?app=a"' in html


def test_shares_end_at_one_and_what_is_counted_has_no_fractions() -> None:
    assert value_axis("ratio", "", [0.9])["max"] == 1
    assert "max" not in value_axis("ratio", "", [0.2])
    assert value_axis("", "", [0.0, 2.0])["minInterval"] == 1
    assert value_axis("", "", [0.5])["minInterval"] == 0


def test_a_figure_without_a_baseline_says_nothing_of_one_and_no_dead_letters_are_none() -> None:
    speed, letters = PANELS["latency_speed"], PANELS["pipeline_dead_letters"]
    assert "baseline" not in cards.tile(speed, answer(speed, {"value": 120.0}), None, LOOK)
    assert "none" in cards.tile(letters, answer(letters), None, LOOK)
    assert "unknown" in cards.tile(speed, answer(speed), None, LOOK)


def test_a_chart_that_would_stand_alone_takes_the_whole_line() -> None:
    three = [PANELS[name] for name in ("latency_duration", "latency_ttft", "latency_token_time")]
    assert widths(three) == ["half", "half", ""]
    assert widths([*three, PANELS["latency_hung"], PANELS["errors_rate"]]) == ["half", "half", "half", "", "half"]


def test_what_is_late_is_said_with_a_mark() -> None:
    def said(behind_s: float) -> str:
        return chrome.status(LOOK, Completeness(100, 0, 0, 0, NOW - timedelta(seconds=behind_s), behind_s, 0, 0))

    assert "▲" not in said(2.0)
    assert "2.0 s behind" in said(2.0)
    assert "▲ " in said(900)
    assert "15 min behind" in said(900)
