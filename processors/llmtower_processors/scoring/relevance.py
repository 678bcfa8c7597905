"""Relevance: whether an answer is about what was asked, by the similarity of their embeddings.

Hashed words see shared words only: an answer in other words counts as irrelevant, so the level says little and its movement a lot. Models
see meaning. Each embedder's level is where a small corpus of pairs and mixed-up pairs comes apart (tests/scoring/answers.toml).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from llmtower_processors.drift.embedders import Embedder, HashedNgrams
from llmtower_processors.drift.said import LONGEST
from llmtower_processors.scoring.model import Score, Spoken, skipped

LEVELS: Final = {"hashed-words": 0.055, "hashed-characters": 0.14, "63dad648:384": 0.35}
"""Cosine at which an answer begins to be about the question, by what tells an embedder: its name where it is ours, else version and
dimension (all-MiniLM-L6-v2)."""
OF_OTHERS: Final = 0.35
"""For all others, whose scores say `uncalibrated`."""
UNCALIBRATED: Final = "uncalibrated"
DIGITS: Final = 6
"""Of a cosine that count: the last bits of a model's vectors depend on what else is in the batch, and a replay must not."""
DIMENSION: Final = 1024
"""Of hashed words here: chance hits of single words weigh half of what they do among the 256 that drift uses."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """Scores `relevance`: 0.5 at the embedder's level, 1 from twice that on."""

    embedder: Embedder
    level: float
    reason: str = ""
    """Of each score: `uncalibrated` where nobody has looked where this embedder's level is."""
    version: str = "2"
    names: tuple[str, ...] = ("relevance",)

    @property
    def label(self) -> str:
        """The embedder's."""
        return self.embedder.label

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Embed all questions and answers at once."""
        rows = self.embedder.embed([text[:LONGEST] for call in calls for text in (call.question, call.answer)])
        alike = (rows[0::2] * rows[1::2]).sum(axis=1).astype(np.float64).round(DIGITS).tolist()
        known: list[bool] = (np.abs(rows).max(axis=1, initial=0.0) > 0).tolist()
        return [[self._of(call, one, said)] for call, one, *said in zip(calls, alike, known[0::2], known[1::2], strict=True)]

    def _of(self, call: Spoken, alike: float, said: Sequence[bool]) -> Score:
        if call.no_answer or call.no_question:
            return skipped(self.names, call.no_answer or call.no_question)[0]
        if not all(said):
            return skipped(self.names, "no words")[0]
        longest = max(len(call.question), len(call.answer))
        value = min(1.0, max(0.0, alike / (2 * self.level)))
        return Score("relevance", value, reason=reasons(self.reason, "cut" if longest > LONGEST else ""))


def reasons(*given: str) -> str:
    """Join what there is to say of a score."""
    return ", ".join(filter(None, given))


def calibration(embedder: Embedder) -> str:
    """Give `uncalibrated` where the levels of an embedder are those of another one; else nothing."""
    return UNCALIBRATED if _known_as(embedder) is None else ""


def _known_as(embedder: Embedder) -> str | None:
    name, _, version = embedder.label.partition("@")
    known = name if isinstance(embedder, HashedNgrams) else version
    return known if known in LEVELS else None


def relevance(embedder: Embedder) -> Relevance:
    """Score with this embedder at its level."""
    wide = HashedNgrams(characters=embedder.characters, dimension=DIMENSION) if isinstance(embedder, HashedNgrams) else embedder
    return Relevance(wide, LEVELS.get(_known_as(embedder) or "", OF_OTHERS), calibration(embedder))
