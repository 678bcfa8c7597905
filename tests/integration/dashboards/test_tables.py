"""Panels whose answers are checked by hand: one call, hung calls, books, alarms, what changed and moved."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import numpy as np
import pytest
from tests.integration.dashboards.columns import Table
from tests.integration.dashboards.conftest import Place, Places
from tests.integration.dashboards.expected_scores import both_homes
from tests.integration.dashboards.oracle import Look, moment
from tests.integration.dashboards.pipeline import END, us
from tests.integration.dashboards.test_figures import APPS, plain
from tests.integration.dashboards.world import insert

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panels.alerts import FIRING
from llmtower_dashboards.registry import PANELS
from llmtower_schemas.late import WITHIN

pytestmark = pytest.mark.integration

SIX_HOURS: Final = Frame(END - timedelta(hours=6), END, 600)


def rows(place: Place, panel: str, frame: Frame = SIX_HOURS) -> list[dict[str, Any]]:
    answer = place.ask(PANELS[panel], frame)
    return [dict(zip((column.name for column in answer.columns), map(plain, row), strict=True)) for row in answer.rows]


def test_one_call(places: Places) -> None:
    place = places["many"]
    first = list(place.world["calls"].take(slice(0, 11)))
    one = first[0]
    call, moment = str(one["call_id"]), one["started_at"]
    shared = {name: one[name] for name in ("project", "app", "started_at")}
    with place.client() as client:
        step = {"step_id": one["call_id"], "name": "search", "kind": "retrieval", "duration_us": 5_000, "status": "ok", "trace_id": ""}
        near = shared | step | {"request_id": one["request_id"], "retrieved_ids": ["doc-1", "doc-2"]}
        insert(client, "steps", Table.of([near, near | {"request_id": "another", "name": "other"}]))
        insert(client, "contents", Table.of([shared | {"call_id": one["call_id"], "kind": "call", "input": "what?", "output": "that."}]))
    frame = Frame(SIX_HOURS.start, SIX_HOURS.end, 60, {"call": [call]})
    (facts,) = rows(place, "call_facts", frame)
    assert (facts["call"], facts["app"], facts["model"]) == (call, one["app"], one["request_model"])
    assert facts["time"] == datetime.fromtimestamp(moment / 1e6, UTC)
    assert facts["duration"] == pytest.approx(one["duration_us"] / 1e6)
    lines = {row["line"]: row["cost"] for row in rows(place, "call_cost", frame)}
    right = {name: one[f"cost_{name}_nano_usd"] for name in ("input", "cache", "output", "fees")}
    assert lines == {name: None if value is None else pytest.approx(value / 1e9) for name, value in right.items()}
    (retrieval,) = rows(place, "call_steps", frame)
    assert (retrieval["name"], retrieval["documents"], retrieval["retrieved"]) == ("search", 2, "doc-1, doc-2")
    scored = [(row["at"], row["name"]) for row in place.world["scores"] if row["target_id"] == call]
    assert [row["name"] for row in rows(place, "call_scores", frame)] == [name for _, name in sorted(scored)]
    four = first[4]
    (of_four,) = place.world["call_scores"].where(place.world["call_scores"]["call_id"] == four["call_id"])
    computed = rows(place, "call_scores", Frame(frame.start, frame.end, 60, {"call": [str(four["call_id"])]}))
    assert {row["name"]: row["places"] for row in computed if row["places"]} == {"groundedness": "2, 5"}
    assert [row["name"] for row in computed] == sorted(of_four["names"])
    said = [row for row in place.world["feedback"] if row["target_id"] == call]
    assert len(rows(place, "call_feedback", frame)) == len(said) > 0
    ten = first[10]
    by_answer = Frame(frame.start, frame.end, 60, {"call": [ten["response_id"]]})
    assert [row["call"] for row in rows(place, "call_facts", by_answer)] == [str(ten["call_id"])], "a link from feedback on an answer"
    about_ten = [row for row in place.world["feedback"] if row["target_id"] == ten["response_id"]]
    by_id = Frame(frame.start, frame.end, 60, {"call": [str(ten["call_id"])]})
    assert len(rows(place, "call_feedback", by_id)) == len(rows(place, "call_feedback", by_answer)) == len(about_ten) > 0
    (texts,) = rows(place, "call_content", frame)
    assert (texts["input"], texts["output"]) == ("what?", "that.")
    with place.client() as client:
        late = {name: shared[name] for name in ("project", "app")} | {"call_id": one["call_id"], "at": moment}
        asked = enumerate(("[]", '{"role":"user"}', "[ ]", '[{"role":"tool"}]'))
        said = [late | {"event_index": number, "input": text, "output": ""} for number, text in asked]
        insert(client, "late_contents", Table.of([late | {"event_index": 4, "input": "", "output": '{"index":0}'}, *reversed(said)]))
        left_out = {name: shared[name] for name in ("project", "app")} | {"at": moment + 1, "trace_id": "t", "span_id": "left-out"}
        insert(client, "late_contents", Table.of([left_out | {"call_id": one["call_id"], "name": WITHIN}]))
        insert(client, "late_contents", Table.of([left_out | {"call_id": UUID(int=999), "input": "", "output": '{"index":1}'}]))
    (texts,) = rows(place, "call_content", frame)
    assert (texts["kind"], texts["input"], texts["output"]) == ("call", "what?", "that."), "what the call itself carries comes first"
    with place.client() as client:
        client.command("DELETE FROM contents WHERE call_id = {call:UUID}", parameters={"call": call})
    (texts,) = rows(place, "call_content", frame)
    assert (texts["kind"], texts["input"], texts["output"]) == (
        "messages",
        '[{"role":"user"},{"role":"tool"}]',
        '[{"index":0},{"index":1}]',
    )
    for nonsense in ("", "no id at all", "00000000-0000-0000-0000-00000000dead"):
        nothing = Frame(frame.start, frame.end, 60, {"call": [nonsense]})
        of_one = [panel for panel in PANELS.values() if panel.name.startswith("call_")]
        assert [list(answer.rows) for answer in place.ask_all(of_one, nothing) if isinstance(answer, Answer)] == [[]] * len(of_one)


@pytest.mark.parametrize("number", [0, 10, 990_060, 999_991])
def test_one_call_of_a_million(places: Places, number: int) -> None:
    """The first; one that came late; one that was scored, judged and spoken of by its answer's id; one of which nothing was said."""
    place = places["million"]
    (one,) = place.world["calls"].take(slice(number, number + 1))
    call = str(one["call_id"])
    scores = Look(place.world, Frame(END - timedelta(days=9), END, 60))
    said = {name: scores.rows("feedback", time="at")[name] for name in ("target_id", "user_id")}
    frame = Frame(SIX_HOURS.start, SIX_HOURS.end, 60, {"call": [call]})
    (facts,) = rows(place, "call_facts", frame)
    told = {"model": "request_model", "user": "user_id", "session": "session_id", "request": "request_id", "retries": "retries"}
    assert {name: facts[name] for name in told} == {name: one[column] for name, column in told.items()}
    assert facts["time"] == moment(one["started_at"])
    assert facts["cost"] == (None if one["cost_nano_usd"] is None else pytest.approx(one["cost_nano_usd"] / 1e9, rel=1e-12))
    words = both_homes(scores, scores.frame.start)
    assert sorted(row["name"] for row in rows(place, "call_scores", frame)) == sorted(
        words.where(words["target_id"] == call)["name"].plain()
    )
    about = said["target_id"].isin((call, one["response_id"]))
    assert [row["user"] for row in rows(place, "call_feedback", frame)] == said["user_id"][about].plain()


def test_calls_of_a_user_and_of_a_session(places: Places) -> None:
    place = places["many"]
    for variable, column, value in (("user", "user_id", "user1"), ("session", "session_id", "s2")):
        frame = Frame(SIX_HOURS.start, SIX_HOURS.end, 60, {variable: [value]})
        right = Look(place.world, frame).rows("calls")
        assert set(right[column].plain()) == {value}
        right = right.take(np.argsort(-right["started_at"], kind="stable")[:100])
        assert [row["call"] for row in rows(place, "calls_recent", frame)] == [str(call) for call in right["call_id"].plain()]


def test_hung_calls(places: Places) -> None:
    """One waits longer than five minutes, one longer than its own minute; one may still wait; all others ended."""
    found = {row["call"][-1]: (row["waiting"], row["timeout"]) for row in rows(places["many"], "latency_hung")}
    assert found == {"1": (1_200, None), "2": (1_200, 60)}


def test_what_changed(places: Places) -> None:
    found = rows(places["many"], "overview_changed")
    assert [(row["app"], row["what"]) for row in found if row["kind"] == "deploy"] == [("chat", "version 1.1"), ("shop", "version 7")]
    assert sorted((row["app"], row["what"]) for row in found if row["kind"] == "prompt") == [(app, "greet 2") for app in APPS]
    moved = {(row["app"], row["what"]): row for row in found if row["kind"] == "figure"}
    assert ("chat", "calls per hour") in moved  # the last six hours have many times the traffic
    assert moved["chat", "calls per hour"]["coincided"] == "deploy version 1.1, promote greet production 1 → 2, prompt greet 2"


def test_what_fires(places: Places) -> None:
    """The last transition of each alert counts; what is over is not shown; an alert of the whole belongs to every app."""
    place = places["many"]
    same = {"rule": "error_rate", "title": "Many calls fail", "severity": "critical", "value": 0.4, "threshold": 0.3, "unit": "ratio"}
    moments = {"window_start": us(END), "window_end": us(END), "since": us(END)}
    steps = (("chat", "pending"), ("chat", "firing"), ("search", "firing"), ("search", "resolved"), ("", "firing"))
    told = [
        same
        | moments
        | {"at": us(END) + number, "group_text": f"app={app}", "group_values": {"app": app} if app else {}, "to_state": state}
        | {"kafka_offset": number}
        for number, (app, state) in enumerate(steps)
    ]
    with place.client() as client:
        insert(client, "alert_events", Table.of(told))

    def firing(frame: Frame) -> list[tuple[Any, ...]]:
        names = [column.name for column in FIRING.columns]
        found = [dict(zip(names, map(plain, row), strict=True)) for row in place.ask(FIRING, frame).rows]
        return [(row["group_text"], row["state"], row["since"], row["value"], row["threshold"]) for row in found]

    both = [("app=", "firing", END, 0.4, 0.3), ("app=chat", "firing", END, 0.4, 0.3)]
    assert firing(SIX_HOURS) == both
    assert firing(Frame(SIX_HOURS.start, SIX_HOURS.end, 60, {"app": ["search"]})) == both[:1]


def test_drift_alarms(places: Places) -> None:
    row, _ = sorted(rows(places["many"], "drift_alarms"), key=lambda row: str(row["app"]))
    assert (row["app"], row["metric"], row["last"]) == ("chat", "embedding output", END - timedelta(minutes=1))
    assert "deploy version 1.1" in row["coincided"].split(", ")


def test_what_moved(places: Places) -> None:
    """Answers are twice as long as in the same hours of the days before; nothing else moved."""
    row, _ = rows(places["many"], "drift_moved")
    assert (row["app"], row["what"]) == ("chat", "tokens per answer")
    assert 1.8 < row["now"] / row["usual"] < 2.1


def test_the_books(places: Places) -> None:
    """p-live emitted 6,000 of which 10 were dropped and 20 spooled, and of the 5,970 delivered 5,870 are stored."""
    hour = Frame(END - timedelta(hours=1), END, 60)
    found = {row.pop("app"): row for row in rows(places["many"], "pipeline_complete", hour)}
    assert found["chat"] == {
        "emitted": 6_000, "dropped": 10, "spooled": 20, "waiting": 100, "producers": 1, "share": pytest.approx(1 - 130 / 6_000),
    }  # fmt: skip
    assert (found["search"]["emitted"], found["search"]["waiting"], found["search"]["share"]) == (50, 0, 1)
    producers = {row["producer"]: row for row in rows(places["many"], "pipeline_producers", hour)}
    assert (producers["p-live"]["state"], producers["p-live"]["held"]) == ("live", 0)
    assert (producers["p-silent"]["state"], producers["p-silent"]["held"]) == ("silent", 10)
    completeness = places["many"].completeness(hour)
    assert completeness is not None
    assert (completeness.emitted, completeness.dropped, completeness.spooled, completeness.waiting) == (6_120, 10, 20, 100)
    assert completeness.sentence() == "97.87 % complete · 2.0 s behind · 3 silent producers"
    nothing = places["empty"].completeness(hour)
    assert nothing is not None
    assert (nothing.share, nothing.sentence()) == (None, "completeness unknown")


def test_what_judge_and_people_agree_on_is_answered_as_often_as_it_is_asked(places: Places) -> None:
    """The engine learns the sizes of joined tables from its first answers, and joins them in another order then."""
    found = [[(row["rubric"], row["sample"]) for row in rows(places["million"], "judge_agreement")] for _ in range(4)]
    assert found[0]
    assert found == found[:1] * 4


def test_audits_and_room(places: Places) -> None:
    found = {row["check"]: (row["found"], row["repaired"]) for row in rows(places["many"], "pipeline_audits")}
    assert found == {"missing_events": (3, 3), "doubled_rows": (0, 0)}
    for world in ("many", "million"):
        room = {row["table"]: row for row in rows(places[world], "pipeline_room")}
        assert room["calls"]["rows"] == len(places[world].world["calls"])
        assert 1 <= room["calls"]["parts"] < 1_000
    assert room["calls"]["row_bytes"] == pytest.approx(room["calls"]["bytes"] / room["calls"]["rows"])
