"""Retrieval: how well what was found fits, how old it is, and whether anything was found at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from llmtower_processors.scoring.model import Score, Spoken, skipped

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Scores of calls with documents: `retrieval_score` (the best one's, in its retriever's unit), `document_age` (days, the oldest)."""

    label: str = "documents"
    version: str = "1"
    names: tuple[str, ...] = ("retrieval_score", "document_age")

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Look at the documents that calls carry."""
        return [_of(call) if call.documents else [] for call in calls]


def _of(call: Spoken) -> list[Score]:
    scores = [document.score for document in call.documents if document.score is not None and isfinite(document.score)]
    times = [document.updated_at_ms for document in call.documents if document.updated_at_ms is not None]
    found = [Score("retrieval_score", float(max(scores)))] if scores else skipped(("retrieval_score",), "no document score")
    if times:
        oldest = min(range(len(times)), key=times.__getitem__)
        age = max(0.0, (call.event.started_at_ns // 1_000_000 - times[oldest]) / _DAY_MS)
        found.append(Score("document_age", age))
    return found


def of_step(event: Any) -> list[Score]:
    """Score a step: a retrieval that ended well without any document is `retrieval_empty`; other steps get no score."""
    if event.kind != "retrieval":
        return []
    if event.status != "ok":
        return [Score("retrieval_empty", None, status="skipped", reason="failed", scorer="documents", version="1")]
    return [Score("retrieval_empty", float(not event.retrieved), scorer="documents", version="1")]
