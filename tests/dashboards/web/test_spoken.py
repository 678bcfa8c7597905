"""What a chart says to readers that cannot see it: newest figure, direction and size of its change, since when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.registry import PANELS
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.setting import Mark
from llmtower_dashboards.web.spoken import words
from llmtower_dashboards.web.state import View

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOOK = Look("/", View(), Frame(NOW - timedelta(hours=1), NOW, 60), NOW)
EVENT = Mark(NOW - timedelta(minutes=3, seconds=50), "prompt 7", app="bot")


def said(panel: str, rows: list[dict[str, Any]], *marks: Mark) -> str:
    found = PANELS[panel]
    table = [[row.get(column.name) for column in found.columns] for row in rows]
    return words(found, Answer(found.columns, table, 1.0, ""), LOOK, marks).removeprefix(f"{found.title}: ")


def minutes(name: str, *values: float | None, **more: Any) -> list[dict[str, Any]]:
    """One value a minute, the last one at 11:59."""
    return [{"time": NOW - timedelta(minutes=len(values) - at), name: value, **more} for at, value in enumerate(values)]


@pytest.mark.parametrize(
    ("panel", "rows", "sentence"),
    [
        ("overview_p95_series", minutes("p95", 1.4, 1.5, 2.31, app="bot"), "bot 2.31 s, up 0.91 s since 11:57."),
        ("overview_p95_series", minutes("p95", 2.0, 3.0, 0.5, app="bot"), "bot 0.5 s, down 1.5 s since 11:57."),
        ("overview_p95_series", minutes("p95", 0.5, 0.4, app="bot"), "bot 400 ms, down 100 ms since 11:58."),
        ("overview_p95_series", minutes("p95", 2.0, 9.0, 2.001, app="bot"), "bot 2 s, unchanged since 11:57."),
        ("overview_p95_series", minutes("p95", 2.0, app="bot"), "bot 2 s, the only value."),
        ("overview_p95_series", minutes("p95", None, None, app="bot"), "no data."),
        ("overview_p95_series", [], "no data."),
        ("overview_p95_series", minutes("p95", None, 2.0, None, 3.0, app="bot"), "bot 3 s, up 1 s since 11:57."),
        ("errors_rate", minutes("rate", 0.004, 0.034), "Error rate 3.4 %, up 3 percentage points since 11:58."),
        ("errors_rate", minutes("rate", 0.034, 0.0), "Error rate 0 %, down 3.4 percentage points since 11:58."),
        ("cost_per_success", minutes("cost", 0.05, 0.12, app="bot"), "bot $ 0.12, up $ 0.07 since 11:58."),
    ],
)
def test_newest_figure_direction_size_and_since(panel: str, rows: list[dict[str, Any]], sentence: str) -> None:
    assert said(panel, rows) == sentence


def test_since_the_last_event_within_the_range_from_the_last_whole_bucket_before_it() -> None:
    rows = minutes("p95", 1.0, 1.4, 1.9, 2.2, 2.3, 2.3, app="bot")
    assert said("overview_p95_series", rows, EVENT) == "bot 2.3 s, up 0.9 s since 11:56 (prompt 7)."
    earlier, later = Mark(NOW - timedelta(minutes=40), "deploy 1.7", app="bot"), Mark(NOW - timedelta(seconds=5), "deploy 1.9", app="bot")
    assert said("overview_p95_series", rows, later, earlier, EVENT).endswith("since 11:59 (deploy 1.9).")
    assert said("overview_p95_series", rows, earlier) == "bot 2.3 s, up 1.3 s since 11:54.", "nothing is known from before that event"


def test_only_what_happened_to_its_own_app_is_held_against_a_line() -> None:
    rows = [*minutes("p95", 1.0, 1.4, 1.9, 2.2, 2.3, 2.3, app="bot"), *minutes("p95", 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, app="search")]
    deploy = Mark(NOW - timedelta(minutes=1), "deploy 1.8", app="chat")
    sentence = said("overview_p95_series", rows, deploy, EVENT)
    assert sentence == "bot 2.3 s, up 0.9 s since 11:56 (prompt 7); search 3 s, up 2 s since 11:54."
    assert said("errors_rate", minutes("rate", 0.01, 0.01, 0.05), deploy).endswith("since 11:59 (chat: deploy 1.8).")


def test_several_lines_each_on_its_own_and_how_many_more() -> None:
    rows = [row for at in range(6) for row in minutes("p95", 9.0 - at, 1.0 - at / 100, app=f"app{at}")]
    sentence = said("overview_p95_series", rows)
    assert sentence.count(" since ") == 4
    assert sentence.startswith("app0 1 s, down 8 s since 11:58; app1 ")
    assert sentence.endswith("; and 2 more.")


def test_a_line_that_ended_says_when_it_was_last_known() -> None:
    rows = [*minutes("p95", 1.0, 1.0, app="a"), *minutes("p95", 2.0, 3.0, None, app="b")]
    assert said("overview_p95_series", rows) == "b 3 s (last known at 11:58), up 1 s since 11:57; a 1 s, unchanged since 11:58."


def test_a_heat_map_says_where_most_calls_lie() -> None:
    panel = PANELS["latency_duration_heat"]
    rows = [[NOW, 0.5, 1.0, 30], [NOW, 1.0, 2.0, 60], [NOW, 0.5, 1.0, 10]]
    sentence = words(panel, Answer(panel.columns, rows, 1.0, ""), LOOK)
    assert sentence == f"{panel.title}: most calls, 60 %, lie between 1 s and 2 s."
    assert words(panel, Answer(panel.columns, [], 1.0, ""), LOOK) == f"{panel.title}: no data."
