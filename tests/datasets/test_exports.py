"""Rows become lines of each form, as its readers demand, or say why not."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from llmtower_processors.datasets.exports.examples import Item, Unusable
from llmtower_processors.datasets.exports.formats import FORMS, line

SYSTEM, ASKED = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is it?"}


def item(given: Any = "Where is it?", output: Any = "At noon.", correction: str = "", rejected: Any = "") -> Item:
    texts = [text if isinstance(text, str) else orjson.dumps(text).decode() for text in (given, output, rejected)]
    return Item(0, "id", "app", "model", "", "", datetime(2026, 11, 20, tzinfo=UTC), None, texts[0], texts[1], correction, texts[2])


def made(form: str, one: Item) -> Any:
    return line(FORMS[form], one)


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ([SYSTEM, ASKED], [{"role": "assistant", "content": "At noon."}]),
        ([{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, ASKED], {"text": "At noon.", "citations": []}),
        ({"messages": [SYSTEM, ASKED]}, {"index": 0, "message": {"role": "assistant", "content": "At noon."}}),
        ([SYSTEM, {"role": "user", "parts": [{"text": "Where is it?"}]}], [{"role": "model", "parts": [{"text": "At noon."}]}]),
    ],
)
def test_what_each_client_records_becomes_the_same_example(given: Any, output: Any) -> None:
    one = item(given, output)
    said = {"role": "assistant", "content": "At noon."}
    assert made("openai-chat", one) == {"messages": [SYSTEM, ASKED, said]}
    assert made("gemini", one) == {
        "systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Where is it?"}]}, {"role": "model", "parts": [{"text": "At noon."}]}],
    }
    assert made("alpaca", one) == {"instruction": "Where is it?", "input": "", "output": "At noon.", "system": "Be brief."}


def test_a_conversation_keeps_its_turns() -> None:
    one = item([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, ASKED])
    assert [turn["role"] for turn in made("openai-chat", one)["messages"]] == ["user", "assistant", "user", "assistant"]
    assert made("alpaca", one)["history"] == [["Hi", "Hello"]]
    assert [turn["role"] for turn in made("gemini", one)["contents"]] == ["user", "model", "user", "model"]


def test_a_case_asks_the_last_question_again_and_expects_what_people_said_is_right() -> None:
    said = [SYSTEM, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, ASKED]
    assert made("cases", item(said)) == {"variables": {"question": "Where is it?"}}
    assert made("cases", item(said, output="Wrong.", correction="Right."))["expected"] == "Right."


def test_a_correction_is_the_better_answer_and_a_bad_one_the_worse() -> None:
    corrected = made("preference", item(output="Wrong.", correction="Right."))
    assert corrected["preferred_output"] == [{"role": "assistant", "content": "Right."}]
    assert corrected["non_preferred_output"] == [{"role": "assistant", "content": "Wrong."}]
    assert corrected["input"] == {"messages": [ASKED], "tools": [], "parallel_tool_calls": True}
    rated = made("preference", item(output="Good.", rejected=[{"role": "assistant", "content": "Bad."}]))
    assert (rated["preferred_output"][0]["content"], rated["non_preferred_output"][0]["content"]) == ("Good.", "Bad.")
    assert made("openai-chat", item(output="Wrong.", correction="Right."))["messages"][-1]["content"] == "Right."


@pytest.mark.parametrize(
    ("form", "one", "reason"),
    [
        ("openai-chat", item(output=[{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]), "its answer has no text"),
        ("openai-chat", item([SYSTEM]), "nothing is asked"),
        ("openai-chat", item(""), "nothing is asked"),
        ("openai-chat", item([ASKED, {"role": "assistant", "content": "x"}]), "ends with an answer"),
        ("openai-chat", item([ASKED, {"role": "tool", "content": "x"}]), "it calls tools"),
        ("openai-chat", item([ASKED, {"role": "narrator", "content": "x"}]), "unknown role"),
        ("openai-chat", item([ASKED, "x"]), "is no object"),
        ("openai-chat", item([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]), "has no text"),
        ("preference", item(), "nobody corrected it"),
        ("preference", item(output="Same.", correction="Same."), "are the same"),
        ("gemini", item([ASKED, ASKED]), "do not alternate"),
        ("alpaca", item([ASKED, ASKED]), "do not alternate"),
    ],
)
def test_what_a_form_cannot_hold_is_left_out_with_its_reason(form: str, one: Item, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        made(form, one)


def test_text_that_only_looks_like_json_is_text() -> None:
    assert made("alpaca", item("[sic", "{right"))["instruction"] == "[sic"
