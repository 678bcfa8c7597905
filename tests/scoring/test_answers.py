"""Relevance and groundedness: apart on pairs and mixed-up pairs, sentences that nothing supports named by their number, never a crash."""

import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.drift.embedders import Embedder, HashedNgrams, ModelEmbedder
from llmtower_processors.scoring.model import Spoken
from llmtower_processors.scoring.relevance import relevance
from llmtower_processors.scoring.retrieval import of_step
from llmtower_processors.scoring.support import MOST_CHARACTERS, _of_any, _of_short, _words, by_words, claims, groundedness
from tests.scoring.corpus import call, scores


@cache
def answers() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(Path(__file__).with_name("answers.toml").read_text("utf-8"))


def documents(*texts: str | None, **fields: Any) -> list[Any]:
    return [SimpleNamespace(**({"id": "d", "score": None, "text": text, "updated_at_ms": None} | fields)) for text in texts]


def grounded(answer: str, *texts: str | None) -> Any:
    return scores([call("q", answer, documents=documents(*texts))])[0]["groundedness"]


def pairs(shift: int) -> list[Spoken]:
    given = answers()["pair"]
    return [call(one["question"], given[(number + shift) % len(given)]["answer"]) for number, one in enumerate(given)]


@pytest.mark.parametrize(("embedder", "right", "mixed"), [(HashedNgrams(), 0.9, 0.1), (HashedNgrams(characters=True), 0.85, 0.08)])
def test_answers_are_told_from_those_of_other_questions(embedder: HashedNgrams, right: float, mixed: float) -> None:
    scorer = relevance(embedder)
    hits = [one.value >= 0.5 for (one,) in scorer.score(pairs(0)) if one.value is not None]
    alarms = [one.value >= 0.5 for shift in range(1, len(hits)) for (one,) in scorer.score(pairs(shift)) if one.value is not None]
    assert sum(hits) / len(hits) >= right
    assert sum(alarms) / len(alarms) <= mixed
    assert scorer.label == scorer.embedder.label


@pytest.mark.parametrize("number", range(8))
def test_sentences_that_no_document_supports_are_named_by_their_number(number: int) -> None:
    one = answers()["grounded"][number]
    score = grounded(one["answer"], *one["documents"])
    assert list(score.positions) == one["unsupported"]
    assert score.value == pytest.approx(1 - len(one["unsupported"]) / len(claims(one["answer"])))


def test_what_is_no_claim_is_not_held_against_an_answer() -> None:
    score = grounded("Sure!\nYour lamp ships on Monday morning.\nAnything else that I can help with?", "The lamp ships on Monday morning.")
    assert (score.value, score.positions) == (1.0, ())
    assert grounded("Sure!", "The lamp ships on Monday.").reason == "no claims"


@pytest.mark.parametrize(
    ("texts", "reason"), [([None, None], "no document text"), ([""], "no document text"), (["x" * (MOST_CHARACTERS + 1)], "cut")]
)
def test_documents_without_text_are_a_reason_and_huge_ones_say_so(texts: list[str | None], reason: str) -> None:
    score = grounded("The lamp ships on Monday morning.", *texts)
    assert score.reason == reason
    assert score.status == ("ok" if reason == "cut" else "skipped")


def test_a_model_compares_meanings_and_still_minds_numbers() -> None:
    """A stand-in for a model: one direction a topic."""
    topics = ("lamp", "train", "money")

    class Topics:
        def encode(self, texts: list[str]) -> Any:
            return np.array([[float(topic in text.lower()) for topic in topics] for text in texts])

    scorer = groundedness(ModelEmbedder("topics", "1", 3, Topics()))
    assert scorer.label == "topics@1:3"
    asked = call(
        "q", "A lamp, surely. The train costs 15 euros. We like money very much.", documents=documents("Lamp news.", "Train: 12 euros")
    )
    ((score,),) = scorer.score([asked])
    assert score.positions == (1, 2)
    assert score.reason == "uncalibrated"


class Same:
    """A stand-in for a model to which all texts are the same."""

    def encode(self, texts: list[str]) -> Any:
        return np.ones((len(texts), 384))


@pytest.mark.parametrize(
    ("embedder", "reason"),
    [
        (HashedNgrams(), ""),
        (HashedNgrams(characters=True), ""),
        (ModelEmbedder("any-folder", "63dad648", 384, Same()), ""),
        (ModelEmbedder("all-MiniLM-L6-v2", "0badcafe", 384, Same()), "uncalibrated"),
        (ModelEmbedder("hashed-words", "1", 384, Same()), "uncalibrated"),
    ],
    ids=["words", "characters", "MiniLM", "a model of its name", "a model of our name"],
)
def test_scores_at_levels_that_are_those_of_another_embedder_say_so(embedder: Embedder, reason: str) -> None:
    long = "The lamp ships on Monday morning. " * 1_000
    for answer, said in (("The lamp ships on Monday morning.", reason), (long, f"{reason}, cut" if reason else "cut")):
        ((about,),) = relevance(embedder).score([call("When does the lamp ship?", answer)])
        assert about.reason == said
    ((rests,),) = groundedness(embedder).score([call("q", "The lamp ships on Monday.", documents=documents("The lamp ships on Monday."))])
    assert (rests.reason, rests.value) == (reason, 1.0)


class Jittering:
    """A stand-in for a model whose last bits depend on how many texts are asked about at once: two directions, a cosine of 0.6 apart."""

    def encode(self, texts: list[str]) -> Any:
        jitter = 1e-7 * (len(texts) % 4)
        return np.array([[1.0, 0.0] if "?" in text or "lamp" in text else [0.6 - jitter, 0.8] for text in texts])


def test_last_bits_that_depend_on_the_batch_change_no_score() -> None:
    embedder = ModelEmbedder("jittering", "1", 2, Jittering())
    near = replace(relevance(embedder), level=0.5)
    one = call("What is it?", "That one, there.")
    assert {near.score([one] * count)[0][0].value for count in range(1, 5)} == {0.6}
    scorer = groundedness(embedder)
    answers = [call("q", "The lamp ships today.", documents=documents(*["Other things are said."] * count)) for count in range(1, 7)]
    assert {scorer.score([asked])[0][0].value for asked in answers} == {1.0}


def test_vectors_that_are_nothing_are_skipped() -> None:
    class Broken:
        def encode(self, texts: list[str]) -> Any:
            return np.array([[np.nan, np.inf, 0.0] for _ in texts])

    ((score,),) = relevance(ModelEmbedder("broken", "1", 3, Broken())).score([call("What?", "That one.")])
    assert (score.status, score.reason) == ("skipped", "no words")
    ((score,),) = relevance(HashedNgrams()).score([call("???", "!!!")])
    assert score.reason == "no words"


def test_a_model_that_gives_vectors_of_another_dimension_is_an_error_of_each_call_and_nothing_else() -> None:
    class Wrong:
        def encode(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 5))

    from llmtower_processors.scoring.process import score_all

    found = score_all(pairs(0)[:2], [relevance(ModelEmbedder("wrong", "1", 3, Wrong()))])
    assert [(one.status, one.value) for (one,) in found] == [("error", None)] * 2


def test_retrieval_tells_the_best_score_and_the_oldest_document() -> None:
    asked = call(
        "q", "The lamp ships.", documents=documents("a lamp", "ships", score=0.4, updated_at_ms=1_780_000_000_000 - 3 * 86_400_000)
    )
    (found,) = scores([asked])
    assert (found["retrieval_score"].value, found["document_age"].value) == (0.4, 3.0)
    (without,) = scores([call("q", "The lamp ships.", documents=documents("a lamp"))])
    assert (without["retrieval_score"].reason, "document_age" in without) == ("no document score", False)
    assert not {"retrieval_score", "groundedness"} & scores([call("q", "The lamp ships.")])[0].keys()


@pytest.mark.parametrize(
    ("step", "value"),
    [
        ({"kind": "retrieval", "status": "ok", "retrieved": []}, [1.0]),
        ({"kind": "retrieval", "status": "ok", "retrieved": documents("x")}, [0.0]),
        ({"kind": "retrieval", "status": "error", "retrieved": []}, [None]),
        ({"kind": "tool", "status": "ok", "retrieved": []}, []),
    ],
)
def test_a_retrieval_without_documents_is_empty(step: dict[str, Any], value: list[float | None]) -> None:
    assert [one.value for one in of_step(SimpleNamespace(**step))] == value


def test_words_of_long_documents_are_not_kept() -> None:
    """A thousand of them would take a gigabyte for as long as the process lives."""
    _of_short.cache_clear()
    long, short = "Parcels take three days. " * 400, "Parcels take four days, by train."
    assert by_words(["Parcels take three days."], [long, short]) == [True]
    assert _of_short.cache_info().currsize == 1


@given(st.text(alphabet=st.sampled_from([*"abcXYZ019 .,:;-_'\"\n\t()&/\x1c\x0b\x7f$%^*<>|"]), max_size=80))
def test_english_is_cut_into_the_words_that_any_text_is_cut_into(text: str) -> None:
    assert _words(text) == _of_any(text)
