"""The values of scoring: what was said in a call, the scores it gets, and who gives them."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

Status = Literal["ok", "skipped", "error"]


class Spoken(NamedTuple):
    """What a scorer may look at of one call; where a text is '', its reason says why."""

    question: str
    """What the user said last, without the documents that were written into it."""
    answer: str
    no_question: str
    """'' | no_content | hashed | not_text | empty."""
    no_answer: str
    """'' | no_content | hashed | not_text | empty | failed | tool_call."""
    documents: Sequence[Any]
    """Those that were retrieved for the answer: `id`, `score`, `text` (None where not captured)."""
    event: Any
    """The whole `response` event, as a struct."""


class Score(NamedTuple):
    """One score of one call. Names are of the answer; `input_…` (and `injection`) are of the question.

    A value lies between 0 and 1 (`length` apart) and is None unless the status is `ok`.
    """

    name: str
    value: float | None
    label: str = ""
    status: Status = "ok"
    reason: str = ""
    weight: float = 1.0
    """The inverse of the probability with which the call was picked for this score."""
    positions: tuple[int, ...] = ()
    """Numbers of the sentences (or messages, or documents) that the score points at; never their text."""
    scorer: str = ""
    """'' = the scorer's own label, and its version."""
    version: str = ""


class Scorer(Protocol):
    """Gives scores of some names to many calls at a time; the same call gets the same scores, for ever, under one version."""

    @property
    def label(self) -> str:
        """Name for the column `scorer`."""

    @property
    def version(self) -> str:
        """Version for the column `scorer_version`; a change of what it answers is a new one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The scores it may give."""

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Give the scores of each call: none where there is nothing to ask, `skipped` where the text is missing."""


def skipped(names: Iterable[str], reason: str) -> list[Score]:
    """Give scores without a value, for a text that is not there."""
    return [Score(name, None, status="skipped", reason=reason) for name in names]
