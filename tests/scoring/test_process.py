"""One row per call and processor; a text that is missing is `skipped`, one that fails a scorer is `error`, and the others go on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from llmtower_processors.quality import quality_processor
from llmtower_processors.scoring.model import Score, Scorer, Spoken, skipped
from llmtower_processors.scoring.process import process_scores
from llmtower_processors.scoring.refusals import Refusals
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import EXAMPLES
from tests.processors.batches import batch, record
from tests.processors.blocks import encode as encode_block
from tests.processors.blocks import rows

CHAT = orjson.loads(encode_event(EXAMPLES["openai_chat"]))
SAID = [{"role": "assistant", "content": "In Paris."}]


@dataclass(frozen=True)
class Strange:
    """Says of each answer what it was made to say; fails on 'bad'."""

    value: float | None = 0.25
    label: str = "strange"
    version: str = "3"
    names: tuple[str, ...] = ("strange",)

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        if any(call.answer == "bad" for call in calls):
            raise ZeroDivisionError("never tell: bad")
        return [skipped(self.names, call.no_answer) if call.no_answer else [Score("strange", self.value)] for call in calls]


def scored(*lines: dict[str, Any], scorers: Sequence[Scorer] = (Refusals(),)) -> list[dict[str, Any]]:
    made = batch(record(encode([orjson.dumps(CHAT | line) for line in lines]), offset=7), processor="quality")
    blocks = process_scores(made, scorers=scorers)
    for block in blocks:
        assert encode_block(block)
    return [row for block in blocks for row in rows(block)]


def test_a_row_carries_what_the_rollup_groups_by_and_where_it_stands() -> None:
    (row,) = scored({"output": "I'm sorry, but I can't help with that."})
    assert {name: row[name] for name in ("project", "app", "request_model", "prompt_name", "prompt_version")} == {
        "project": "default",
        "app": "support-chat",
        "request_model": "gpt-4o",
        "prompt_name": "support",
        "prompt_version": "4",
    }
    assert (row["call_id"], row["started_at"] * 1_000) == (CHAT["call_id"], CHAT["started_at_ns"])
    assert (row["processor"], row["kafka_offset"], row["event_index"]) == ("quality", 7, 0)
    assert (row["names"], row["score_values"], row["weights"]) == (["refusal"], [1.0], [1.0])
    assert (row["scorers"], row["scorer_versions"], row["statuses"]) == (["patterns"], ["3"], ["ok"])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"capture": "off", "output": None}, "no_content"),
        ({"capture": "hash", "output": {"sha256": "0" * 64, "bytes": 3}}, "hashed"),
        ({"output": None}, "no_content"),
        ({"output": ""}, "empty"),
        ({"output": [{"role": "assistant", "content": " \n"}]}, "empty"),
        ({"output": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]}, "tool_call"),
        ({"output": None, "status": "error", "error_class": "timeout"}, "failed"),
        ({"output": {"image": "AAAA"}}, "not_text"),
        ({"output": 17}, "not_text"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_text_that_is_not_there_is_skipped_with_its_reason(fields: dict[str, Any], reason: str) -> None:
    (row,) = scored(fields)
    assert (row["score_values"], row["statuses"], row["reasons"]) == ([None], ["skipped"], [reason])


def test_a_text_on_which_a_scorer_fails_is_an_error_and_its_neighbours_are_scored() -> None:
    found = scored({"output": "a"}, {"output": "bad"}, {"output": "c"}, scorers=(Strange(), Refusals()))
    assert [row["names"] for row in found] == [["strange", "refusal"]] * 3
    assert [row["score_values"] for row in found] == [[0.25, 0.0], [None, 0.0], [0.25, 0.0]]
    assert (found[1]["statuses"], found[1]["reasons"]) == (["error", "ok"], ["ZeroDivisionError", ""])


@pytest.mark.parametrize(
    ("value", "reason"), [(math.nan, "not a number"), (math.inf, "not a number"), (1.5, "out of range"), (-0.1, "out of range")]
)
def test_a_score_that_is_none_never_reaches_the_sums(value: float, reason: str) -> None:
    (row,) = scored({}, scorers=(Strange(value),))
    assert (row["score_values"], row["statuses"], row["reasons"]) == ([None], ["error"], [reason])


@pytest.mark.parametrize(
    "text", ["\x00\x01\xff\ufffd" * 400, "\U0010ffff\ud7ff" * 50, "A" * 5_200_000, "\n" * 3 + "\u202e" * 999], ids=range(4)
)
def test_binary_and_huge_texts_are_scored_by_every_scorer_without_an_error(text: str) -> None:
    said = orjson.dumps(CHAT | {"input": text, "output": text, "retrieved": [{"id": "1", "text": text[:10_000]}]})
    made = batch(record(encode([said])), processor="quality")
    (row,) = [row for block in quality_processor().function(made) for row in rows(block)]
    assert set(row["statuses"]) <= {"ok", "skipped"}
    assert len(row["names"]) >= 10


def test_calls_whose_answer_is_no_text_and_events_that_are_no_calls_make_no_rows() -> None:
    assert scored({"operation": "embeddings"}) == []
    others = [encode_event(event) for event in EXAMPLES.values() if event.type in ("request", "step")]
    assert process_scores(batch(record(encode([*others, b"{"]))), scorers=(Refusals(),)) == []
