"""Each panel's "show calls", read as an address, lists the calls its figures are made of, by plain Python over the same rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.dashboards.columns import Row
from tests.integration.dashboards.conftest import Places
from tests.integration.dashboards.evaluated import SCORED as SCORED_LATER
from tests.integration.dashboards.oracle import floor
from tests.integration.dashboards.pipeline import END, us
from tests.integration.dashboards.test_figures import FRAMES

from llmtower_dashboards.ask import Answer, AskError
from llmtower_dashboards.macros import Frame, expand
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.lists import FILTERED
from llmtower_dashboards.panels.narrow import FILTER_OF
from llmtower_dashboards.panels.sql import END as TO
from llmtower_dashboards.panels.sql import START as FROM
from llmtower_dashboards.registry import PANELS, VARIABLES
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.state import View, parse
from llmtower_schemas.metrics import COUNTED, SCORED

pytestmark = pytest.mark.integration
ODD: Final = {
    "three days up to an odd minute": Frame(END - timedelta(days=3, minutes=144), END - timedelta(minutes=144), 7_200),
    "odd hours up to an odd second": Frame(END - timedelta(hours=5, minutes=23, seconds=10), END - timedelta(minutes=7, seconds=20), 600),
}
"""Ranges that neither begin nor end where a bucket does."""
LOOKED_AT: Final = {**FRAMES, **ODD}
Plain = Mapping[str, Sequence[Row]]
"""What was put into the tables, row by row."""
Keep = Callable[[Plain], Callable[[Row], bool]]
LISTED: Final = f"SELECT toString(call_id) FROM calls WHERE started_at >= {FROM} AND started_at < {TO} AND {FILTERED}"


def _plain(keep: Callable[[Row], Any]) -> Keep:
    return lambda _: lambda row: bool(keep(row))


def _scored(keep: Callable[[str, Any], bool]) -> Keep:
    """Calls with such a score, of whatever source."""

    def of(world: Plain) -> Callable[[Row], bool]:
        found = {row["target_id"] for row in world["scores"] if keep(row["name"], row["value"])}
        for row in world["call_scores"]:
            if any(keep(name, value) for name, value in zip(row["names"], row["score_values"], strict=True)):
                found.add(str(row["call_id"]))
        return lambda row: str(row["call_id"]) in found

    return of


def _named(*names: str) -> Keep:
    return _scored(lambda name, value: name in names and value is not None)


def _rated(world: Plain) -> Callable[[Row], bool]:
    found = {row["target_id"] for row in world["feedback"]}
    return lambda row: str(row["call_id"]) in found or row["response_id"] in found


def _registered(world: Plain) -> set[str]:
    return {row["name"] for row in world["registry_events"] if row["kind"] == "model"}


def _both(one: Keep, other: Keep) -> Keep:
    def of(world: Plain) -> Callable[[Row], bool]:
        first, second = one(world), other(world)
        return lambda row: first(row) and second(row)

    return of


def _registered_or_not(*, want: bool) -> Keep:
    def of(world: Plain) -> Callable[[Row], bool]:
        known = _registered(world)
        return lambda row: (row["request_model"] in known) is want and (want or row["environment"] == "production")

    return of


ALL: Final = _plain(lambda row: True)
FAILED: Final = _plain(lambda row: row["status"] != "ok")
UNPRICED: Final = _plain(lambda row: row["cost_nano_usd"] is None and row["cost_status"] != "failed")
STREAMED: Final = _plain(lambda row: row["ttft_us"] is not None)
FLOWING: Final = _plain(lambda row: row["ttft_us"] is not None and row["output_tokens"] + row["reasoning_tokens"] > 1)
PROMPTED: Final = _plain(lambda row: row["prompt_name"])
TRIED: Final = _plain(lambda row: row["environment"] == "experiment")
JUDGED: Final = _scored(lambda name, _: name.startswith("judge_"))
ANY_SCORE: Final = _scored(lambda _, value: value is not None)
RATED: Final[Keep] = _rated

POPULATIONS: Final[Mapping[str, Keep]] = {
    "overview_error_rate": FAILED,
    "errors_rate": FAILED,
    "errors_classes": FAILED,
    "errors_by_class": FAILED,
    "errors_retries": _plain(lambda row: row["retries"]),
    "overview_ttft": STREAMED,
    "latency_ttft": STREAMED,
    "latency_ttft_heat": STREAMED,
    "latency_token_time": FLOWING,
    "latency_speed": FLOWING,
    "latency_headroom_requests": _plain(lambda row: row["rate_limit_remaining_requests"] is not None),
    "latency_headroom_tokens": _plain(lambda row: row["rate_limit_remaining_tokens"] is not None),
    "overview_unpriced": UNPRICED,
    "cost_unpriced": UNPRICED,
    "cost_by_prompt": PROMPTED,
    "cost_cache_savings": _plain(lambda row: row["cache_read_tokens"] + row["cache_write_tokens"] + row["cache_write_1h_tokens"]),
    **{f"quality_{one.score}": _named(one.score) for one in SCORED},
    **{f"quality_{one.score}_series": _named(one.score) for one in SCORED},
    "quality_by_app": _named(*(one.score for one in SCORED)),
    "quality_by_prompt": _named(*(one.score for one in SCORED)),
    "quality_means": _scored(lambda name, value: value is not None and name not in COUNTED),
    "quality_retrieval": _named("retrieval_empty", "retrieval_score", "document_age"),
    **dict.fromkeys(("feedback_negative_now", "feedback_negative", "feedback_share", "feedback_by_app"), RATED),
    "judge_rates": JUDGED,
    "judge_agreement": _both(JUDGED, RATED),
    "prompt_versions": PROMPTED,
    "prompt_traffic": PROMPTED,
    "prompt_duration": PROMPTED,
    "prompt_seen": PROMPTED,
    "prompt_scores": ANY_SCORE,
    "registry_models": _registered_or_not(want=True),
    "registry_strangers": _registered_or_not(want=False),
    "model_snapshots": _plain(lambda row: row["response_model"]),
    "experiments": TRIED,
    "experiment_scores": _both(TRIED, ANY_SCORE),
}
"""Panel → the calls it is made of, where that is not every call of its range and filters."""
EXACT: Final = {
    *("feedback_negative_now", "feedback_negative", "feedback_share", "feedback_by_app", "judge_rates", "judge_agreement"),
    *("experiments", "experiment_scores", "drift_ratio", "drift_mass", "drift_why"),
}
"""Panels of single events: they begin and end to the second."""


def up(moment: datetime, seconds: int) -> datetime:
    """The end of the bucket that lies before a moment."""
    return floor(moment + timedelta(seconds=seconds - 1), seconds)


COMPARED: Final = {
    *("overview_calls", "overview_error_rate", "overview_p95", "overview_ttft", "overview_cost", "overview_unpriced", "overview_changed"),
    "drift_moved",
}
"""Panels that are compared with days before: where a range of whole days begins within an hour, that hour belongs to the days before."""


def _hours(frame: Frame) -> tuple[datetime, datetime]:
    return floor(frame.start, 3_600), up(frame.end, 3_600)


def _last(**most: float) -> Callable[[Frame], tuple[datetime, datetime]]:
    return lambda of: (max(of.start, of.end - timedelta(**most)), of.end)


SPANS: Final[Mapping[str, Callable[[Frame], tuple[datetime, datetime]]]] = {
    "cost_today": lambda of: ((of.end - timedelta(seconds=1)).replace(hour=0, minute=0, second=0), up(of.end, 60)),
    "cost_month": lambda of: ((of.end - timedelta(seconds=1)).replace(day=1, hour=0, minute=0, second=0), up(of.end, 3_600)),
    "prompt_seen": lambda of: (of.end - timedelta(days=399), up(of.end, 3_600)),
    "drift_hours": lambda of: (floor(of.end, 3_600) - timedelta(days=1), floor(of.end, 3_600)),
    "drift_sessions": lambda of: (floor(of.start, max(3_600, of.interval_s)), up(of.end, 3_600)),
    **dict.fromkeys(("cost_by_user", "model_snapshots"), _hours),
    **dict.fromkeys(("cost_by_session", "drift_now", "drift_segments"), _last(hours=1)),
    **dict.fromkeys(("latency_headroom_requests", "latency_headroom_tokens"), _last(hours=6)),
    **{name: lambda of: (of.start, of.end) for name in EXACT},
}
"""Panels that look at something else than the range."""


def address(frame: Frame) -> View:
    """The reader's view of that frame."""
    return View(variables={name: tuple(values) for name, values in frame.variables.items()}).fixed(frame)


def listed(client: Client, link: str) -> set[str]:
    """The calls that the call explorer lists at an address, however many."""
    parts = urlsplit(link)
    assert parts.path == "/calls"
    view = parse(parse_qsl(parts.query), list(VARIABLES), END)
    assert not view.notice, view.notice
    query = expand(LISTED, view.frame(END))
    return {str(row[0]) for row in client.query(query.sql, parameters=dict(query.parameters)).result_rows}


COLUMNS: Final = {"model": "request_model", "prompt": "prompt_name", "user": "user_id", "session": "session_id"}


@pytest.fixture(scope="module")
def world(places: Places) -> Plain:
    """The rows of "many" as plain dicts, made once."""
    tables = ("calls", "scores", "call_scores", "feedback", "registry_events")
    return {name: list(places["many"].world[name]) for name in tables}


TIMES: Final = {"scores": "started_at", "call_scores": "started_at", "feedback": "at"}


def _buckets(panel: Panel, frame: Frame) -> tuple[datetime, datetime]:
    """The whole minutes, or beyond a day hours, that a panel sums up; where it shows points, from the start of the first."""
    seconds = 60 if frame.end - frame.start <= timedelta(days=1) and panel.name != "drift_moved" else 3_600
    if panel.name in COMPARED:
        start = frame.start if (frame.end - frame.start) % timedelta(days=1) == timedelta() else floor(frame.start, seconds)
        return up(start, seconds), up(frame.end, seconds)
    first = max(seconds, frame.interval_s) if panel.kind in ("timeseries", "heatmap") else seconds
    return floor(frame.start, first), up(frame.end, seconds)


def made_of(world: Plain, panel: Panel, frame: Frame) -> set[str]:
    """The calls that a panel's figures are made of."""
    start, end = SPANS[panel.name](frame) if panel.name in SPANS else _buckets(panel, frame)
    followed = {COLUMNS.get(name, name): values for name, values in frame.variables.items() if name in panel.variables}
    said = {table: [row for row in world[table] if us(start) <= row[time] < us(end)] for table, time in TIMES.items()}
    keep = POPULATIONS.get(panel.name, ALL)({**world, **said})
    here = (row for row in world["calls"] if us(start) <= row["started_at"] < us(end))
    chosen = (row for row in here if all(row[column] in values for column, values in followed.items()))
    return {str(row["call_id"]) for row in chosen if keep(row)}


def test_every_panel_that_is_named_leads_to_calls() -> None:
    assert {*POPULATIONS, *SPANS} <= {name for name, panel in PANELS.items() if panel.calls}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_show_calls_shows_the_calls_behind_every_panel(places: Places, world: Plain, name: str) -> None:
    place, frame = places["many"], LOOKED_AT[name]
    look = Look("/", address(frame), frame, END)
    wrong = []
    with place.client() as client:
        for panel in (panel for panel in PANELS.values() if panel.calls):
            found, right = listed(client, look.calls(panel)), made_of(world, panel, frame)
            wrong += [] if found == right else [f"{panel.name}: {len(found)} calls, not {len(right)}: {look.calls(panel)}"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("panel", ["quality_toxicity", "quality_means", "prompt_scores", "overview_unpriced", "latency_by_app"])
def test_the_list_itself_shows_the_newest_of_them(places: Places, world: Plain, panel: str) -> None:
    """It looks only as far back as the rollups say that it must."""
    place, frame = places["many"], FRAMES["three days, by hours"]
    query = dict(parse_qsl(urlsplit(Look("/", address(frame), frame, END).calls(PANELS[panel])).query))
    view = parse([(name, value) for name, value in query.items() if name != "list"], list(VARIABLES), END)
    answer = place.ask(PANELS["calls_recent"], view.frame(END))
    found = [row[[column.name for column in answer.columns].index("call")] for row in answer.rows]
    right = made_of(world, PANELS[panel], frame)
    newest = sorted((row for row in world["calls"] if str(row["call_id"]) in right), key=lambda row: -row["started_at"])[:100]
    assert found == [str(row["call_id"]) for row in newest]
    assert len(found) == 100


FIGURES: Final = ("calls", "errors", "unpriced", "sample", "scored")
"""Columns that count the calls of their row."""
PER_PERSON: Final = {"feedback_by_app", "judge_rates", "judge_agreement", "drift_hours", "drift_segments", "drift_sessions", "drift_moved"}
"""Panels whose rows count something else than calls (words of people, asks of the judge, hours of the day, texts)."""


def _figures(row: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    yield from ((name, int(row[name])) for name in FIGURES if row.get(name) is not None)


def _some(answer: Answer) -> Sequence[Sequence[Any]]:
    """The first rows, and some that have no name."""
    labels = [place for place, column in enumerate(answer.columns) if column.name in FILTER_OF]
    return [*answer.rows[:3], *[row for row in answer.rows[3:] if any(row[place] == "" for place in labels)][:3]]


@pytest.mark.parametrize("name", ["six hours, by minutes", *ODD])
def test_every_figure_of_every_row_counts_the_calls_that_it_leads_to(places: Places, name: str) -> None:
    place, frame = places["many"], LOOKED_AT[name]
    look = Look("/", address(frame), frame, END)
    panels = [panel for panel in PANELS.values() if panel.calls and panel.kind in ("table", "bars") and panel.name not in PER_PERSON]
    wrong, counted = [], 0
    with place.client() as client:
        for panel, answer in zip(panels, place.ask_all(panels, frame), strict=True):
            assert not isinstance(answer, AskError), f"{panel.name}: {answer}"
            names = [column.name for column in answer.columns]
            for row in _some(answer):
                for cell, figure in _figures(dict(zip(names, row, strict=True))):
                    link, counted = look.calls(panel, answer.columns, row, cell), counted + 1
                    found = len(listed(client, link))
                    wrong += [] if found == figure else [f"{panel.name} {cell}: {found} calls, not {figure}: {link}"]
        whole = place.ask(PANELS["overview_calls"], frame).rows[0][0]
        assert len(listed(client, look.calls(PANELS["overview_calls"]))) == whole
    assert not wrong, "\n".join(wrong)
    assert counted > 50


def test_a_link_from_a_live_page_works_for_long() -> None:
    view, later = View(start="now-7d"), END + timedelta(days=9)
    look = Look("/", view, view.frame(END), END)
    for panel in (panel for panel in PANELS.values() if panel.calls):
        link = urlsplit(look.calls(panel)).query
        assert not parse(parse_qsl(link), list(VARIABLES), later).notice, panel.name


def test_a_live_range_stays_live_where_it_can() -> None:
    view = View(start="now-1h")
    look = Look("/", view, view.frame(END + timedelta(seconds=9)), END)
    assert look.calls(PANELS["overview_error_rate"]) == "/calls?only=failed"
    assert "from=2025-11-20T11:00:00Z" in Look("/", view, view.frame(END + timedelta(minutes=9)), END).calls(PANELS["cost_by_user"])


def test_several_values_in_one_with_commas_are_several(places: Places) -> None:
    """A text field of Grafana holds one value."""
    frame = FRAMES["three days, by hours"]
    with places["many"].client() as client:
        for name, values in (
            ("only", ("judged", "rated")),
            ("score", ("toxicity", "judge_helpfulness")),
            ("score", ("retrieval_empty", "toxicity")),
        ):
            many, one = (address(frame).only_having({name: chosen}) for chosen in (values, (",".join(values),)))
            found = listed(client, one.link("/calls"))
            assert found == listed(client, many.link("/calls")) != set(), values
            place = places["many"]
            latest = [place.ask(PANELS["calls_recent"], view.frame(END)) for view in (many, one)]
            assert latest[0].rows == latest[1].rows != []


def test_a_filter_that_a_panel_does_not_follow_is_not_taken_along() -> None:
    frame = Frame(END - timedelta(hours=1), END, 60, {"user": ["user1"], "environment": ["production"], "app": ["chat"]})
    look = Look("/", address(frame), frame, END)
    assert "user=" not in look.calls(PANELS["overview_calls"])
    assert "user=user1" in look.calls(PANELS["cost_by_user"])
    assert "environment=experiment" in look.calls(PANELS["experiments"])
    assert "production" not in look.calls(PANELS["experiments"])


@pytest.mark.parametrize("name", SCORED_LATER)
def test_calls_are_found_by_scores_that_came_later_or_often_or_for_their_trace(places: Places, name: str) -> None:
    place, numbers = places["evaluated"], SCORED_LATER[name]
    right = [str(row["call_id"]) for row in place.world["calls"]]
    look = Look("/", View(variables={"score": (name,)}), frame := Frame(END - timedelta(hours=12), END, 600, {"score": [name]}), END)
    with place.client() as client:
        assert listed(client, look.view.fixed(frame).link("/calls")) == {right[number] for number in numbers}
    answer = place.ask(PANELS["calls_recent"], frame)
    found = [row[[column.name for column in answer.columns].index("call")] for row in answer.rows]
    assert found == [right[number] for number in reversed(numbers)][:100]


def test_a_word_after_only_that_is_not_known_lists_nothing_and_says_so(places: Places) -> None:
    frame = Frame(END - timedelta(hours=6), END, 600, {"only": ["failed", "fialed"]})
    assert places["many"].ask(PANELS["calls_recent"], frame).rows == []
    assert "unpriced" in parse([("only", "failed"), ("only", "fialed")], list(VARIABLES), END).notice
    assert not parse([("only", "failed")], list(VARIABLES), END).notice
