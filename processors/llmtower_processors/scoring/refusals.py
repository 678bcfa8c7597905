"""Refusals: answers that decline what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llmtower_processors.scoring.model import Score, Spoken, skipped
from llmtower_processors.scoring.patterns import read
from llmtower_processors.scoring.plain import folded, visible

LOOKED_AT: Final = 320
"""Characters of an answer's beginning: who refuses says so first."""
_SAID: Final = frozenset({"refusal", "content_filter", "safety", "prohibited_content", "blocklist", "recitation", "guardrail_intervened"})
"""Finish reasons by which providers say that nothing was answered."""

_PATTERNS: Final = read("refusals.toml")


def refuses(text: str) -> bool:
    """Say whether an answer begins by declining. What a business cannot do ("your order cannot be changed") is no refusal of a model."""
    return bool(_PATTERNS.families(folded(visible(text[:LOOKED_AT]))))


@dataclass(frozen=True, slots=True)
class Refusals:
    """Scores `refusal`: 1 where the answer declines, or the provider says that it was withheld (label `provider`)."""

    label: str = "patterns"
    version: str = "3"
    names: tuple[str, ...] = ("refusal",)

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Look at how answers begin, and at why they ended."""
        return [[_of(call)] for call in calls]


def _of(call: Spoken) -> Score:
    if any(reason.lower() in _SAID for reason in call.event.finish_reasons):
        return Score("refusal", 1.0, "provider")
    if call.no_answer:
        return skipped(("refusal",), call.no_answer)[0]
    return Score("refusal", float(refuses(call.answer)))
