"""Who is asked about what: the linear model about every text, the strong one about the suspicious and a random share of the rest."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from llmtower_processors.scoring.model import Score, Spoken, skipped
from llmtower_processors.toxic.linear import LABEL, READ_AS, LinearModel
from llmtower_processors.toxic.pieces import pieces
from llmtower_processors.toxic.seen import Seen
from llmtower_processors.toxic.share import picked
from llmtower_processors.toxic.strong import Scores, Strong

log = logging.getLogger(__name__)

SUSPICIOUS: Final = 0.3
"""From this probability of stage 1 on, stage 2 looks at a text whatever else it has to do."""
LONG: Final = 16_000
"""Characters that stage 2 reads of one text; of a longer one those passages that stage 1 finds worst, and the score says so."""
PASSAGE: Final = 1_600
IN_PART: Final = "long: the worst passages were read"
TOXICITY, SCREEN = "toxicity", "toxicity_screen"
QUESTION: Final = "input_"
"""Before the names of scores of what was asked."""
GIVE_UP: Final = 3
"""Texts on which the strong model fails one after the other before it counts as gone for this range."""


class Text(NamedTuple):
    """One text of one call: an answer (no prefix) or a question."""

    call: int
    prefix: str
    text: str
    call_id: str


Verdict = Scores | str
"""What the strong model says of a text: a score per class, or the name of what was raised."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """Stage 1, and stage 2 where there is one; what was seen before is not computed again."""

    linear: Callable[[], LinearModel]
    strong: Strong | None = None
    _screened: Seen[float] = field(default_factory=Seen, repr=False)
    _judged: Seen[Scores] = field(default_factory=lambda: Seen(10_000), repr=False)

    def score(self, calls: Sequence[Spoken], share: float) -> list[list[Score]]:
        """Give the scores of each call, of its answer first."""
        scores: list[list[Score]] = [[] for _ in calls]
        texts: list[Text] = []
        for number, call in enumerate(calls):
            for prefix, text, missing in (("", call.answer, call.no_answer), (QUESTION, call.question, call.no_question)):
                if missing:
                    scores[number] += skipped([prefix + TOXICITY], missing)
                else:
                    texts.append(Text(number, prefix, text, str(call.event.call_id)))
        screened = self._screened.answers([one.text for one in texts], self._screen)
        named = TOXICITY if self.strong is None else SCREEN
        for one, value in zip(texts, screened, strict=True):
            scores[one.call].append(Score(one.prefix + named, value))
        if self.strong is not None:
            for one, score in self._look_closer(self.strong, texts, screened, share):
                scores[one.call].append(score)
        return [[score if score.scorer else score._replace(scorer=LABEL, version=READ_AS) for score in given] for given in scores]

    def _screen(self, texts: list[str]) -> Sequence[float]:
        return [float(value) for value in self.linear().worst(texts)]

    def _look_closer(self, strong: Strong, texts: Sequence[Text], screened: Sequence[float], share: float) -> Iterator[tuple[Text, Score]]:
        """Give the strong model's scores: weight 1 for the suspicious, 1 / share for those that chance picked."""
        chosen: list[tuple[Text, float]] = []
        for one, value in zip(texts, screened, strict=True):
            if value >= SUSPICIOUS:
                chosen.append((one, 1.0))
            elif picked(one.call_id, one.prefix + TOXICITY, share):
                chosen.append((one, 1.0 / share))
        verdicts = self._verdicts(strong, [one.text for one, _ in chosen])
        for (one, weight), verdict in zip(chosen, verdicts, strict=True):
            yield from ((one, score) for score in _scores(strong, one, weight, verdict))

    def _verdicts(self, strong: Strong, texts: Sequence[str]) -> list[Verdict]:
        """Ask about all at once; where that fails text by text, until it is plain that the model is gone."""
        read = [self._read(text) for text in texts]
        try:
            return list(self._judged.answers(read, lambda fresh: list(strong.score(fresh))))
        except Exception as error:
            log.warning("%s failed on %d texts (%s); asking one by one", strong.label, len(read), type(error).__name__)
        verdicts: list[Verdict] = []
        failures = 0
        for text in read:
            if failures >= GIVE_UP:
                verdicts.append("the model is gone")
                continue
            try:
                verdicts += self._judged.answers([text], lambda fresh: list(strong.score(fresh)))
                failures = 0
            except Exception as error:
                verdicts.append(type(error).__name__)
                failures += 1
        return verdicts

    def _read(self, text: str) -> str:
        """Give what stage 2 reads of a text: all of it, or the passages that stage 1 finds worst, in their order."""
        if len(text) <= LONG:
            return text
        passages = pieces(text, PASSAGE)
        worst = np.argsort(-self.linear().worst(passages), kind="stable")[: LONG // PASSAGE]
        return "\n".join(passages[index] for index in sorted(worst))


def _scores(strong: Strong, one: Text, weight: float, verdict: Verdict) -> Iterator[Score]:
    reason = IN_PART if len(one.text) > LONG else ""
    for number, name in enumerate(strong.classes):
        score = Score(one.prefix + name, None, weight=weight, reason=reason, scorer=strong.label, version=strong.version)
        if isinstance(verdict, str):
            yield score._replace(status="error", reason=verdict)
        elif not np.isfinite(verdict[number]):
            yield score._replace(status="error", reason="not a number")
        else:
            yield score._replace(value=float(min(1.0, max(0.0, verdict[number]))))
