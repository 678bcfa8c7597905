"""What is said again word for word is looked up; anything else that a scorer reads makes it another call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from llmtower_processors.drift.embedders import HashedNgrams
from llmtower_processors.quality import text_scorers
from llmtower_processors.scoring.model import Score, Spoken
from llmtower_processors.scoring.process import score_all
from llmtower_processors.scoring.repeats import Repeats
from tests.scoring.corpus import call, classes


@dataclass(frozen=True)
class Counting:
    """Counts what it is asked; fails on answers that end in 'bad', once."""

    asked: list[Spoken] = field(default_factory=list)
    label: str = "counting"
    version: str = "1"
    names: tuple[str, ...] = ("counted",)

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        if any(one.answer == "bad" and one not in self.asked for one in calls):
            self.asked.extend(one for one in calls if one.answer == "bad")
            raise ZeroDivisionError
        self.asked.extend(calls)
        return [[Score("counted", 0.5)] for _ in calls]


def document(text: str | None) -> Any:
    return SimpleNamespace(id="d", score=0.5, text=text, updated_at_ms=None)


def test_a_call_that_says_the_same_is_asked_about_once_also_within_a_batch() -> None:
    scorer = Counting()
    repeats = Repeats((scorer,))
    calls = [call("hi", "hello"), call("hi", "hello", user_id="another"), call("hi", "goodbye")]
    for _ in range(3):
        assert [[one.name for one in given] for given in repeats.score(calls)] == [["counted"]] * 3
    assert [(one.question, one.answer) for one in scorer.asked] == [("hi", "hello"), ("hi", "goodbye")]


def test_whatever_a_scorer_of_texts_reads_makes_another_call() -> None:
    scorer = Counting()
    different = [
        call("q", "a"),
        call("q", "a", finish_reasons=["length"]),
        call("q", "a", finish_reasons=["length", ""]),
        call("q", "a", documents=[document("d")]),
        call("q", "a", documents=[document("d"), document("")]),
        call("q", "a", documents=[document(None)]),
        call("qa", ""),
        call("", "qa"),
    ]
    Repeats((scorer,)).score(different)
    assert len(scorer.asked) == len(different)


def test_what_failed_is_asked_again_and_a_very_long_call_every_time() -> None:
    scorer = Counting()
    repeats = Repeats((scorer,))
    assert [one.status for given in repeats.score([call("q", "bad")]) for one in given] == ["error"]
    assert [one.status for given in repeats.score([call("q", "bad")]) for one in given] == ["ok"]
    scorer.asked.clear()
    long = call("q", "x" * 100_000)
    for _ in range(2):
        assert len(repeats.score([long])[0]) == 1
    assert scorer.asked == [long, long]


def test_the_scores_are_those_of_the_scorers_themselves() -> None:
    texts = [text for one in classes().values() for text in (*one.found, *one.clear)]
    calls = [call(text, text, documents=[document(text)] * (number % 3)) for number, text in enumerate(texts)] * 2
    scorers = text_scorers(HashedNgrams())
    assert [list(one) for one in Repeats(scorers).score(calls)] == score_all(calls, scorers)
