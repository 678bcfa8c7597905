"""Refusals: answers that begin by declining."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmtower_processors.drift.said import refuses
from llmtower_processors.scoring.model import Score, Spoken, skipped


@dataclass(frozen=True, slots=True)
class Refusals:
    """Scores `refusal`: 1 where the answer declines."""

    label: str = "patterns"
    version: str = "1"
    names: tuple[str, ...] = ("refusal",)

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Look at how answers begin."""
        return [
            skipped(self.names, call.no_answer) if call.no_answer else [Score("refusal", float(refuses(call.answer)))] for call in calls
        ]
