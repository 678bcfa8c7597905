"""Prompt injection and jailbreaks: texts that try to take the model over, in the question and in what was retrieved.

Patterns in fourteen languages, read through what hides them (zero-width characters, look-alikes, leetspeak, spelling letter by letter).
They find what is known and loud; a model finds more. So the rate is a lower bound, and its movement is the news.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from llmtower_processors.scoring.model import Score, Spoken, skipped
from llmtower_processors.scoring.patterns import read
from llmtower_processors.scoring.plain import LONGEST, folded, unmasked, visible
from llmtower_processors.toxic.seen import Seen

_PATTERNS: Final = read("attacks.toml")


def attacks(text: str) -> dict[str, float]:
    """Give the families of attack in a text, each with the weight of its clearest pattern."""
    plain = folded(visible(text))
    found = _PATTERNS.families(plain)
    masked = unmasked(plain)
    if masked != plain:
        found |= {family: weight for family, weight in _PATTERNS.families(masked).items() if weight > found.get(family, 0.0)}
    return found


def likelihood(found: dict[str, float]) -> float:
    """Join the weights of families as if they were independent signs."""
    doubt = 1.0
    for weight in found.values():
        doubt *= 1.0 - weight
    return 1.0 - doubt


@dataclass(frozen=True, slots=True)
class Attacks:
    """Scores `injection` (question) and, where documents were retrieved, `document_injection`, whose positions are those documents'."""

    label: str = "patterns"
    version: str = "4"
    names: tuple[str, ...] = ("injection", "document_injection")
    _seen: Seen[dict[str, float]] = field(default_factory=Seen, repr=False, compare=False)

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Look at the questions and the documents."""
        texts = [document.text[:LONGEST] for call in calls for document in call.documents if document.text]
        known = dict(zip(texts, self._seen.answers(texts, lambda fresh: list(map(attacks, fresh))), strict=True))
        return [[_of_question(call), *_of_documents(call, known)] for call in calls]


def _of_question(call: Spoken) -> Score:
    if call.no_question:
        return skipped(("injection",), call.no_question)[0]
    return _scored("injection", attacks(call.question[:LONGEST]), len(call.question))


def _scored(name: str, found: dict[str, float], length: int) -> Score:
    return Score(name, likelihood(found), ",".join(sorted(found)), reason="cut" if length > LONGEST else "")


def _of_documents(call: Spoken, known: Mapping[str, dict[str, float]]) -> list[Score]:
    """Documents come again and again: what was found in each is looked up."""
    texts = [document.text or "" for document in call.documents]
    if not any(texts):
        return []
    found = [known.get(text[:LONGEST], {}) for text in texts]
    whole: dict[str, float] = {}
    for one in found:
        whole |= {family: weight for family, weight in one.items() if weight > whole.get(family, 0.0)}
    score = _scored("document_injection", whole, max(map(len, texts)))
    return [score._replace(positions=tuple(number for number, one in enumerate(found) if one))]
