"""What got worse, what to do about it, and how it is written."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmtower_processors.report.charts import charts
from llmtower_processors.report.judge import actions, apps, worse
from llmtower_processors.report.model import Change, Facts, Fired, Point, Stranger, Value
from llmtower_processors.report.write import report, summary

START = datetime(2026, 11, 20, tzinfo=UTC)


def figures(calls: int = 10_000, **changed: Value) -> dict[str, Value]:
    usual = {
        "calls": Value(calls, calls),
        "errors": Value(calls * 0.01, calls),
        "error_rate": Value(0.01, calls),
        "cost": Value(100.0, calls),
        "cost_per_call": Value(0.01, calls),
        "unpriced_calls": Value(0, calls),
        "duration_p95": Value(2.0, calls),
        "negative_feedback": Value(0.1, 50),
    }
    return usual | changed


def facts(now: dict[str, dict[str, Value]], before: dict[str, dict[str, Value]], **more: Any) -> Facts:
    return Facts("default", START, START + timedelta(days=7), now, before, **more)


def test_a_share_is_worse_where_intervals_are_apart_and_a_level_from_a_fifth_on() -> None:
    now = {"a": figures(error_rate=Value(0.03, 10_000), duration_p95=Value(2.3, 10_000), negative_feedback=Value(0.2, 50))}
    (one,) = worse(facts(now, {"a": figures()}))
    assert (one.app, one.metric, one.before, one.now, one.sample) == ("a", "error_rate", 0.01, 0.03, 10_000)
    slower = {"a": figures(duration_p95=Value(2.4, 10_000))}
    assert [found.metric for found in worse(facts(slower, {"a": figures()}))] == ["duration_p95"]
    assert worse(facts(slower, {"a": figures(duration_p95=Value(2.0, 99))})) == [], "99 calls say nothing"
    assert worse(facts(slower, {})) == [], "new: nothing to hold it against"
    assert worse(facts({"a": figures(error_rate=Value(None, 0))}, {"a": figures()})) == []
    assert worse(facts({"a": figures()}, {"a": figures(error_rate=Value(0.03, 10_000))})) == [], "better is not worse"


def test_the_three_most_useful_actions_come_with_their_evidence() -> None:
    now = {
        "big": figures(error_rate=Value(0.08, 10_000), unpriced_calls=Value(500, 10_000)),
        "small": figures(calls=100, duration_p95=Value(4.0, 100), negative_feedback=Value(0.6, 50)),
    }
    before = {"big": figures(), "small": figures(calls=100)}
    change = Change(START, "deploy", "big", "version 2", "")
    more: dict[str, Any] = {
        "errors": {"big": ("rate_limit", 700)},
        "changes": [change],
        "fired": [Fired("error_rate", "big", 3, firing=True)],
        "strangers": [Stranger("mystery", START, 40)],
        "models": [("m", 1.0, 1.0, 500.0)],
    }
    found = actions(facts(now, before, **more))
    assert [one.title for one in found] == [
        "Find out what made big worse (error rate)",
        "Look at what is firing now",
        "Make a dataset of what people disliked in small",
    ]
    assert "1.00% → 8.00% over 10,000" in found[0].evidence
    assert "commonest: rate_limit, 700 calls" in found[0].evidence
    assert "changed meanwhile: deploy version 2 at 2026-11-20 00:00" in found[0].evidence
    assert found[2].command == "llmtower datasets build small-failures --feedback negative --app small --last 7d"
    assert [one.title for one in actions(facts({"a": figures(unpriced_calls=Value(500, 10_000))}, {}))] == [
        "Give prices to models that have none"
    ]
    assert actions(facts({"a": figures()}, {"a": figures()})) == []


def test_names_from_traffic_are_text_in_every_form() -> None:
    hostile = "<script>alert(1)</script>|*x*\n# y"
    points = [Point(START + timedelta(days=day), hostile, 1.0, 10, day) for day in range(3)]
    written = facts({hostile: figures(error_rate=Value(0.5, 10_000))}, {hostile: figures()}, points=points)
    page, text = report(written, "html"), report(written, "md")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "\n# y" not in text
    assert "\\|\\*x\\*" in text
    assert "<script>" not in text


def test_plots_are_svg_and_add_up() -> None:
    points = [Point(START + timedelta(days=day), f"app-{app}", 2.0 + app, 100, app) for day in range(7) for app in range(10)]
    written = facts({f"app-{app}": figures() for app in range(10)}, {}, points=points)
    drawn = charts(written, apps(written))
    assert [name for name, _ in drawn] == ["Cost per day, USD", "Errors per day, %"]
    bars = ET.fromstring(drawn[0][1])
    names = [title.text for title in bars.iter("{http://www.w3.org/2000/svg}title")]
    assert sum(str(name).startswith("other, ") for name in names) == 7, "the ninth and tenth application are one"
    assert "app-3, 2026-11-20 00:00 UTC: 5" in names
    assert charts(facts({}, {}), []) == []


@pytest.mark.parametrize("form", ["md", "html"])
def test_a_span_without_anything_says_so(form: Any) -> None:
    text = report(facts({}, {}), form)
    for sentence in ("No call in this span.", "Nothing got worse", "No alert fired.", "Nothing that the figures ask for."):
        assert sentence in text


def test_a_chat_gets_the_sum_what_got_worse_and_what_to_do() -> None:
    now = {"a": figures(error_rate=Value(0.03, 10_000), cost=Value(150.0, 10_000), unpriced_calls=Value(7, 10_000))}
    lines = summary(facts(now, {"a": figures()})).splitlines()
    assert lines[0] == "10,000 calls, $ 150.00 + 7 unpriced calls (+50% against the span before)."
    assert lines[2] == "• a: Error rate 1.00% → 3.00%"
    assert lines[4].startswith("1. ")
