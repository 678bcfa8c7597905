"""The corpora of scored texts: their classes, and how often a scorer is right about each.

`corpus.toml` is what detectors are tuned on; `heldout.toml` was written apart from them, and nothing is changed because of it.
`innocent.toml` holds ordinary texts, by a stranger to the detectors, on which each of them raises few false alarms.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from llmtower_processors.quality import quality_scorers
from llmtower_processors.scoring.model import Score, Spoken
from llmtower_processors.scoring.process import score_all
from llmtower_processors.structs import STRUCTS
from llmtower_processors.toxic.cascade import Cascade
from llmtower_processors.toxic.linear import load_linear
from llmtower_schemas.events import ResponseEvent
from llmtower_schemas.examples import AT_NS

TUNED: Final = "corpus"
HELD_OUT: Final = "heldout"
INNOCENT: Final = "innocent"
LANGUAGE: Final = "language"

_EVENT: Any = STRUCTS[ResponseEvent]


def call(question: str = "", answer: str = "", *, documents: Sequence[Any] = (), **fields: Any) -> Spoken:
    """A call in which this was said."""
    known = {"call_id": "019e70a2-0001-7000-8000-000000000001", "app": "a", "started_at_ns": AT_NS, "duration_us": 1}
    missing = ("" if question else "no_content", "" if answer else "no_content")
    return Spoken(question, answer, *missing, documents, _EVENT(**(known | fields)))


def scores(calls: Sequence[Spoken]) -> list[dict[str, Score]]:
    """All scores of each call by name."""
    return [{score.name: score for score in given} for given in score_all(calls, quality_scorers())]


@dataclass(frozen=True)
class Class:
    """Texts that are of a class and texts that are not, and what is asked of its scorer at least."""

    name: str
    score: str
    label: str
    """What the score's label must name for a text to be found; '' = whatever it names."""
    precision: float
    recall: float
    found: tuple[str, ...]
    clear: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a scorer did, and which texts it got wrong."""

    precision: float
    recall: float
    missed: tuple[str, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Innocent:
    """Texts that a scorer should leave alone, and how many of them it may hit."""

    name: str
    score: str
    most: int
    texts: tuple[str, ...]


@cache
def _read(corpus: str) -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name(f"{corpus}.toml").read_text("utf-8"))


def classes(corpus: str = TUNED) -> Mapping[str, Class]:
    """Read a corpus, the languages aside."""
    return {
        name: Class(name, one["score"], one.get("label", ""), one["precision"], one["recall"], tuple(one["found"]), tuple(one["clear"]))
        for name, one in _read(corpus).items()
        if "found" in one
    }


def innocents() -> Mapping[str, Innocent]:
    """Read the ordinary texts, of all languages together."""
    return {
        name: Innocent(name, one["score"], one["most"], tuple(text for texts in one["texts"].values() for text in texts))
        for name, one in _read(INNOCENT).items()
    }


def false_alarms(of: Innocent) -> tuple[str, ...]:
    """Give the ordinary texts that are hit."""
    return tuple(text for text, score in zip(of.texts, _scored(of.score, of.texts), strict=True) if (score.value or 0.0) >= 0.5)


def outcome(of: Class) -> Outcome:
    """Score every text of a class, as question and as answer at once."""
    texts = [*of.found, *of.clear]
    given = [_is_hit(of, score) for score in _scored(of.score, texts)]
    hits, alarms = given[: len(of.found)], given[len(of.found) :]
    wrong, missed = (
        tuple(t for t, a in zip(of.clear, alarms, strict=True) if a),
        tuple(t for t, h in zip(of.found, hits, strict=True) if not h),
    )
    return Outcome(sum(hits) / max(1, sum(hits) + sum(alarms)), sum(hits) / len(hits), missed, wrong)


def _is_hit(of: Class, score: Score) -> bool:
    return (score.value or 0.0) >= 0.5 and (not of.label or of.label in score.label.split(","))


def _scored(name: str, texts: Sequence[str]) -> list[Score]:
    calls = [call(text, text) for text in texts]
    if name == "toxicity":
        return [next(one for one in given if one.name == name) for given in Cascade(load_linear).score(calls, 0.0)]
    return [given[name] for given in scores(calls)]


def languages() -> tuple[Mapping[str, Sequence[str]], Outcome]:
    """The held-out texts by language, and how often the language is named rightly (of all: recall; of those that get a name: precision)."""
    texts = {name: given for name, given in _read(HELD_OUT)[LANGUAGE].items() if isinstance(given, list)}
    asked = [(name, text) for name, given in texts.items() for text in given]
    named = [score.label for score in _scored(LANGUAGE, [text for _, text in asked])]
    missed = tuple(text for (name, text), said in zip(asked, named, strict=True) if said != name)
    right, known = len(asked) - len(missed), sum(map(bool, named))
    return texts, Outcome(right / max(1, known), right / len(asked), missed, ())
