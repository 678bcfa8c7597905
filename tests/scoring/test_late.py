"""Texts that travel apart from their call are scored when they come: a row per call and range, without what is missing."""

from typing import Any

import orjson
import pytest

from llmtower_processors.pricing import PriceBook
from llmtower_processors.quality import quality_scorers
from llmtower_processors.registry import build_processors
from llmtower_processors.scoring.process import score_all
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import AT_NS, EXAMPLES
from llmtower_schemas.topics import SIGNALS
from tests.processors.batches import batch, record, run
from tests.scoring.corpus import call

PROCESSORS = build_processors(PriceBook())
QUESTION, ANSWER = (orjson.loads(encode_event(EXAMPLES[name])) for name in ("late_question", "late_answer"))
INSULT = "you stupid idiot, shut up you worthless piece of garbage"


def said(event: dict[str, Any], text: str, **changes: Any) -> dict[str, Any]:
    side = "input" if "input" in event else "output"
    inner = {"role": changes.pop("role", "user" if side == "input" else "assistant"), "content": text}
    return event | changes | {side: inner if side == "input" else {"index": 0, "finish_reason": "stop", "message": inner}}


def rows(processor: str, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    made = batch(record(encode(list(map(orjson.dumps, lines))), offset=7, topic=SIGNALS), processor=processor)
    return run(PROCESSORS[processor].function, made).get("call_scores", [])


def values(row: dict[str, Any]) -> dict[str, Any]:
    assert set(row["statuses"]) == {"ok"}, "what is missing is not said a second time"
    return dict(zip(row["names"], row["score_values"], strict=True))


def test_what_is_said_of_a_call_in_one_range_is_one_row_at_the_place_of_its_first_text() -> None:
    heartbeat = orjson.loads(encode_event(EXAMPLES["heartbeat"]))
    (row,) = rows("quality", heartbeat, ANSWER | {"request_model": ""}, QUESTION)
    assert (row["call_id"], row["started_at"] * 1_000) == (QUESTION["call_id"], AT_NS - 900_000_000)
    assert (row["kafka_topic"], row["kafka_offset"], row["event_index"], row["processor"]) == (SIGNALS, 7, 1, "quality")
    assert (row["project"], row["app"]) == ("default", "support-chat")
    found = values(row)
    assert {"injection", "input_pii", "refusal", "length", "relevance"} <= set(found)
    assert found["length"] == len("At the depot.")


def test_one_side_alone_is_scored_alone() -> None:
    (asked,) = rows("quality", QUESTION)
    assert "injection" in values(asked)
    assert not {"refusal", "length", "relevance"} & set(values(asked))
    (answered,) = rows("quality", said(ANSWER, "I'm sorry, but I can't help with that.", request_model="gpt-4o"))
    assert (values(answered)["refusal"], answered["request_model"]) == (1.0, "gpt-4o")
    assert "injection" not in values(answered)


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", ""])
def test_what_finish_reasons_alone_decide_is_said_by_the_call_and_not_again(reason: str) -> None:
    late = said(ANSWER, "First open the lid.")
    late["output"] |= {"finish_reason": reason}
    (row,) = rows("quality", QUESTION, late)
    assert not set(values(row)) & of_a_call_without_texts(reason)
    assert ("refusal" in values(row)) is (reason != "content_filter")


def of_a_call_without_texts(reason: str) -> set[str]:
    (given,) = score_all([call(finish_reasons=[reason] if reason else [])], quality_scorers())
    return {score.name for score in given if score.status == "ok"}


def test_a_late_answer_that_leaves_code_open_is_not_held_against_its_call_that_said_why_it_ended() -> None:
    (row,) = rows("quality", said(ANSWER, "```py\nprint(1)"))
    assert "truncated" not in values(row)


def test_toxicity_of_late_texts() -> None:
    (row,) = rows("toxicity", said(QUESTION, "Where is my parcel?"), said(ANSWER, INSULT))
    found = values(row)
    assert found["toxicity"] > 0.5 > found["input_toxicity"]


def test_only_what_the_user_said_last_is_the_question() -> None:
    history = [
        said(QUESTION, INSULT, role="system", at_ns=AT_NS - 4),
        said(QUESTION, INSULT, at_ns=AT_NS - 3),
        said(QUESTION, INSULT, role="assistant", at_ns=AT_NS - 2),
    ]
    last = said(QUESTION, "Where is my parcel?", at_ns=AT_NS - 1)
    (row,) = rows("toxicity", last, *history)
    assert values(row)["input_toxicity"] < 0.5
    assert rows("toxicity", history[0], history[2]) == [], "neither a system prompt nor an earlier answer is a question"


def test_two_calls_are_two_rows() -> None:
    other = QUESTION | {"call_id": "01890a5d-ac96-774b-bcce-b302099a8057"}
    assert [row["call_id"] for row in rows("toxicity", QUESTION, other)] == [QUESTION["call_id"], other["call_id"]]


@pytest.mark.parametrize(
    "event",
    [
        QUESTION | {"capture": "hash", "input": {"sha256": "0" * 64, "bytes": 3}},
        QUESTION | {"capture": "off", "input": None},
        QUESTION | {"input": 17},
    ],
    ids=["hashed", "off", "no text"],
)
def test_what_is_no_text_makes_no_row(event: dict[str, Any]) -> None:
    assert rows("toxicity", event) == []
    assert rows("quality", event) == []


def test_other_signals_make_no_rows() -> None:
    lines = [orjson.loads(encode_event(EXAMPLES[name])) for name in ("heartbeat", "feedback", "score", "deploy")]
    assert rows("quality", *lines) == rows("toxicity", *lines) == []
