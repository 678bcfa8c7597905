"""What the `signals` processor makes of feedback, scores, deploys and heartbeats."""

from typing import Any

import orjson
import pytest

from llmtower_processors.arrivals import OLDEST_MS
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.signals import NIL
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import AT_NS, EXAMPLES
from tests.processors.batches import NOW_MS, Rows, batch, record, run

SIGNALS = build_processors(PriceBook())["signals"]


def process(*lines: bytes) -> Rows:
    return run(SIGNALS.function, batch(record(encode(lines), topic="llmtower.signals"), processor="signals"))


def line(name: str, **changes: Any) -> bytes:
    return orjson.dumps({**orjson.loads(encode_event(EXAMPLES[name])), **changes})


def test_feedback_is_stored_without_its_words() -> None:
    rows = process(line("feedback"), line("thumb"))
    assert [row["score"] for row in rows["feedback"]] == [-1.0, 1.0]
    assert "parcel" not in str(rows["feedback"])
    (words,) = rows["contents"]
    assert (words["kind"], words["call_id"]) == ("feedback", rows["feedback"][0]["feedback_id"])
    assert (words["comment"], words["correction"]) == ("That is not my parcel.", "It is at the depot.")


def test_a_score_is_kept_beside_its_call() -> None:
    rows = process(line("score"), line("skipped_score"))
    first, second = rows["scores"]
    assert (first["started_at"], first["at"], first["weight"]) == (AT_NS // 1_000 - 10**6, AT_NS // 1_000, 20.0)
    assert (second["started_at"], second["value"], second["status"]) == (AT_NS // 1_000, None, "skipped")


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"name": "toxicity", "value": 1.5}, False),
        ({"name": "toxicity", "value": -0.01}, False),
        ({"name": "toxicity", "value": 1.0}, True),
        ({"name": "csat", "value": 4.5}, True),
        ({"name": "csat", "value": 1.1e9}, False),
        ({"name": "csat", "value": -1.1e9}, False),
        ({"name": "csat", "value": 1e9}, True),
        ({"name": "csat", "value": 1.0, "weight": 2e9}, False),
        ({"name": "csat", "value": None, "weight": 2e9}, True),
    ],
)
def test_a_score_out_of_range_is_a_row_that_says_so_and_its_neighbours_are_as_they_were(changes: dict[str, Any], kept: bool) -> None:
    before, row = process(line("score"), orjson.dumps(orjson.loads(line("score")) | changes))["scores"]
    assert (before["status"], before["value"]) == ("ok", orjson.loads(line("score"))["value"])
    expected = (changes["value"], "ok", "") if kept else (None, "error", "out of range")
    assert (row["value"], row["status"], row["reason"]) == expected


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"1e999", b'"high"'])
def test_a_score_that_is_no_number_is_a_dead_letter(value: bytes) -> None:
    raw = line("score", value=0.125).replace(b"0.125", value)
    rows = process(raw, line("score"))
    assert (len(rows["dead_letters"]), len(rows["scores"])) == (1, 1)


def test_late_texts_are_kept_apart_from_what_their_call_carries() -> None:
    rows = process(line("late_question"), line("late_answer"), line("late_question", input=None))
    question, answer, nothing = rows["late_contents"]
    assert question["call_id"] == answer["call_id"] != question["content_id"]
    assert (question["name"], orjson.loads(question["input"])["role"], question["output"]) == ("gen_ai.user.message", "user", "")
    assert (orjson.loads(answer["output"])["finish_reason"], answer["input"], answer["capture"]) == ("stop", "", "full")
    assert (nothing["input"], "contents" in rows) == ("", False)


def test_deploys_and_heartbeats() -> None:
    rows = process(line("deploy"), line("heartbeat"), line("heartbeat", oldest_unsent_ns=None))
    assert rows["deploys"][0]["version"] == "2026.5.1"
    assert rows["heartbeats"][0]["producer"] == "host-1:42:0f3c"
    assert rows["heartbeats"][0]["dropped_by_reason"] == {"queue_full": 6}
    assert [row["oldest_unsent_at"] for row in rows["heartbeats"]] == [AT_NS // 1_000 - 200_000, None]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("feedback", "feedback"), ("score", "score"), ("deploy", "deploy"), ("heartbeat", "heartbeat"), ("late_answer", "content")],
)
def test_unknown_fields_are_kept(name: str, kind: str) -> None:
    (row,) = process(line(name, colour="blue"))["contents"]
    assert (row["kind"], row["extra"]) == (kind, '{"colour":"blue"}')
    assert (row["call_id"] == NIL) is (name == "heartbeat")


@pytest.mark.parametrize(
    ("name", "field"), [("feedback", "at_ns"), ("score", "started_at_ns"), ("deploy", "at_ns"), ("heartbeat", "at_ns")]
)
def test_times_out_of_range_are_dead_letters(name: str, field: str) -> None:
    rows = process(line(name, **{field: (NOW_MS - OLDEST_MS) * 10**6 - 1}), line("thumb"))
    assert [row["reason"] for row in rows["dead_letters"]] == ["time out of range"]
    assert len(rows["feedback"]) == 1


def test_calls_do_not_belong_here() -> None:
    rows = process(line("openai_chat"), line("deploy"))
    assert [row["reason"] for row in rows["dead_letters"]] == ["event does not belong on this topic"]
    assert rows["dead_letters"][0]["processor"] == "signals"


@pytest.mark.parametrize("count", [-1, 1 << 63, 1 << 70])
def test_counts_that_no_column_holds_are_dead_letters(count: int) -> None:
    wrong = encode_event(EXAMPLES["heartbeat"]).replace(b'"emitted":1000', b'"emitted":%d' % count)
    rows = process(line("heartbeat", emitted=5), wrong)
    (letter,) = rows["dead_letters"]
    assert letter["reason"].endswith(" at emitted")
    assert len(rows["heartbeats"]) == 1
