"""The corpus of scored texts: its classes, and how often a scorer is right about each."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from llmtower_processors.quality import quality_scorers
from llmtower_processors.scoring.model import Score, Spoken
from llmtower_processors.scoring.process import score_all
from llmtower_processors.structs import STRUCTS
from llmtower_schemas.events import ResponseEvent
from llmtower_schemas.examples import AT_NS

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


@cache
def classes() -> Mapping[str, Class]:
    """Read the corpus."""
    read = tomllib.loads(Path(__file__).with_name("corpus.toml").read_text("utf-8"))
    return {
        name: Class(name, one["score"], one["precision"], one["recall"], tuple(one["found"]), tuple(one["clear"]))
        for name, one in read.items()
    }


def outcome(of: Class) -> Outcome:
    """Score every text of a class, as question and as answer at once."""
    texts = [*of.found, *of.clear]
    given = [(one[of.score].value or 0.0) >= 0.5 for one in scores([call(text, text) for text in texts])]
    hits, alarms = given[: len(of.found)], given[len(of.found) :]
    wrong, missed = (
        tuple(t for t, a in zip(of.clear, alarms, strict=True) if a),
        tuple(t for t, h in zip(of.found, hits, strict=True) if not h),
    )
    return Outcome(sum(hits) / max(1, sum(hits) + sum(alarms)), sum(hits) / len(hits), missed, wrong)
