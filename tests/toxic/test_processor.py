"""The processor `toxicity`: who scored what, with which weight; and what it does with texts and models that are not as they should be."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from llmtower_processors.runtime.model import Situation
from llmtower_processors.toxic import cascade
from llmtower_processors.toxic.linear import VERSION
from llmtower_processors.toxic.strong import Scores, Strong
from llmtower_processors.toxicity import toxicity_processor
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import EXAMPLES
from tests.processors.batches import batch, record
from tests.processors.blocks import rows
from tests.toxic.standins import Words

CHAT = orjson.loads(encode_event(EXAMPLES["openai_chat"]))
NICE = "Your order leaves our warehouse today."
RUDE = "You damn fool, you idiot, stop wasting my time."
HIDDEN = "Such a zonk as you should not ask."
"""What only the strong model of these tests finds bad."""


def calls(*answers: Any, question: Any = "Where is my order?", **fields: Any) -> list[bytes]:
    return [
        orjson.dumps(CHAT | {"call_id": str(uuid.UUID(int=(number << 64) + 7)), "input": question, "output": answer} | fields)
        for number, answer in enumerate(answers)
    ]


def scored(lines: Sequence[bytes], strong: Strong | None = None, *, parameter: str = "") -> list[dict[str, dict[str, Any]]]:
    """The scores of each call by name."""
    processor = toxicity_processor(strong)
    made = replace(batch(record(encode(list(lines))), processor="toxicity"), parameter=parameter)
    found = [row for block in processor.function(made) for row in rows(block)]
    columns = {"value": "score_values", "weight": "weights", "scorer": "scorers", "status": "statuses", "reason": "reasons"}
    return [
        {name: {key: row[column][place] for key, column in columns.items()} for place, name in enumerate(row["names"])} for row in found
    ]


def test_without_a_strong_model_the_linear_one_scores_everything_under_its_own_name() -> None:
    nice, rude = scored(calls(NICE, RUDE))
    assert set(nice) == set(rude) == {"toxicity", "input_toxicity"}
    assert (nice["toxicity"]["scorer"], rude["toxicity"]["weight"]) == ("profanity-linear", 1.0)
    assert nice["toxicity"]["value"] < 0.1 < 0.9 < rude["toxicity"]["value"]
    assert toxicity_processor().parameter is None
    assert VERSION in str(rows(toxicity_processor().function(batch(record(encode(calls(NICE)))))[0]))


def test_the_suspicious_go_to_the_strong_model_with_weight_one_and_the_rest_stays_with_the_screen() -> None:
    strong = Words()
    nice, rude = scored(calls(NICE, RUDE), strong, parameter="share=0.001")
    assert set(nice) == {"toxicity_screen", "input_toxicity_screen"}
    assert set(rude) == {"toxicity_screen", "input_toxicity_screen", "toxicity", "insult"}
    assert {key: rude["insult"][key] for key in ("weight", "scorer", "status")} == {"weight": 1.0, "scorer": "words", "status": "ok"}
    assert rude["toxicity"]["value"] == pytest.approx(0.9)
    assert strong.asked == [RUDE]


def test_a_random_share_of_the_unsuspicious_is_looked_at_with_the_inverse_as_weight() -> None:
    strong = Words()
    found = scored(calls(*(f"{HIDDEN} zz{number}" for number in range(2_000))), strong, parameter="share=0.02")
    looked_at = [scores["toxicity"] for scores in found if "toxicity" in scores]
    assert {score["weight"] for score in looked_at} == {50.0}
    assert 20 < len(looked_at) < 65
    assert sum(score["weight"] for score in looked_at) == pytest.approx(2_000, rel=0.5)


def test_a_replay_with_the_same_parameter_makes_the_same_rows() -> None:
    lines = calls(*(f"{NICE} {number}" for number in range(300)), RUDE)
    assert scored(lines, Words(), parameter="share=0.05") == scored(lines, Words(), parameter="share=0.05")


def test_the_share_is_what_the_situation_gives_when_the_range_is_taken() -> None:
    parameter = toxicity_processor(Words()).parameter
    assert parameter is not None
    assert [parameter(Situation(age, 0)) for age in (0, 20_000, 10**7)] == ["share=0.05", "share=0.0125", "share=0.001"]


def test_questions_are_scored_under_names_of_their_own() -> None:
    (found,) = scored(calls(NICE, question=[{"role": "user", "content": RUDE}]), Words(), parameter="share=0.001")
    assert found["input_toxicity"]["value"] == pytest.approx(0.9)
    assert "toxicity" not in found


def test_repeated_texts_are_computed_once() -> None:
    strong = Words()
    found = scored(calls(*[RUDE] * 50), strong)
    assert len(found) == 50
    assert strong.asked == [RUDE]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"capture": "off", "input": None, "output": None}, "no_content"),
        ({"capture": "hash", "input": {"sha256": "0" * 64, "bytes": 3}, "output": {"sha256": "0" * 64, "bytes": 3}}, "hashed"),
    ],
)
@pytest.mark.parametrize("strong", [None, Words()], ids=["alone", "cascade"])
def test_texts_that_are_not_there_are_rows_with_a_reason(fields: dict[str, Any], reason: str, strong: Strong | None) -> None:
    (found,) = scored(calls(None, **fields), strong)
    assert {(score["status"], score["reason"], score["value"]) for score in found.values()} == {("skipped", reason, None)}
    assert set(found) == {"toxicity", "input_toxicity"}


def test_five_megabytes_are_screened_whole_and_read_in_part_and_the_score_says_so() -> None:
    strong = Words()
    long = f"{NICE} " * 70_000 + RUDE + f" {NICE}" * 70_000
    assert len(long) > 5_000_000
    (found,) = scored(calls(long), strong)
    assert found["toxicity_screen"]["value"] > 0.9
    assert (found["toxicity"]["value"], found["toxicity"]["reason"]) == (pytest.approx(0.9), cascade.IN_PART)
    assert len(strong.asked[0]) <= cascade.LONG + 10
    assert RUDE in strong.asked[0]


def test_binary_content_is_scored_like_any_text() -> None:
    noise = bytes(range(256)).decode("latin-1") * 40
    (found,) = scored(calls(noise))
    assert found["toxicity"]["status"] == "ok"


def test_a_text_that_breaks_the_strong_model_is_an_error_and_the_others_are_scored() -> None:
    def trouble(texts: Sequence[str]) -> None:
        if any("poison" in text for text in texts):
            raise ValueError("never tell: poison")

    found = scored(calls(RUDE, f"{RUDE} poison", f"{RUDE} again"), Words(trouble=trouble))
    assert [scores["toxicity"]["status"] for scores in found] == ["ok", "error", "ok"]
    assert found[1]["toxicity"]["reason"] == "ValueError"
    assert all(scores["toxicity_screen"]["status"] == "ok" for scores in found)


def test_a_model_that_goes_missing_mid_run_leaves_rows_that_say_so_and_is_asked_again_later() -> None:
    gone = True
    asked = 0

    def trouble(texts: Sequence[str]) -> None:
        nonlocal asked
        asked += 1
        if gone:
            raise OSError("the file is gone")

    strong = Words(trouble=trouble)
    lines = calls(*(f"{RUDE} {number}" for number in range(40)))
    found = scored(lines, strong)
    assert {scores["toxicity"]["status"] for scores in found} == {"error"}
    assert [scores["toxicity"]["reason"] for scores in found][-1] == "the model is gone"
    assert all(scores["toxicity_screen"]["value"] > 0.9 for scores in found)
    assert asked <= 1 + cascade.GIVE_UP
    gone = False
    assert {scores["toxicity"]["status"] for scores in scored(lines, strong)} == {"ok"}


def test_a_strong_model_that_answers_nonsense_is_kept_out_of_the_sums() -> None:
    class Nonsense(Words):
        def score(self, texts: Sequence[str]) -> Scores:
            return np.array([[np.nan, 1.5]] * len(texts), dtype=np.float32)

    (found,) = scored(calls(RUDE), Nonsense())
    assert (found["toxicity"]["status"], found["toxicity"]["value"]) == ("error", None)
    assert found["insult"]["value"] == 1.0
