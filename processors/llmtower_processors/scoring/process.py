"""A scoring processor: `response` events of `llmtower.calls` through scorers into rows of `call_scores`, one per call and processor."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import compress
from math import isfinite
from operator import attrgetter
from typing import Any, Final

from llmtower_processors.arrivals import Arrivals, portions, position, sort_events
from llmtower_processors.columns import Columns, blocks, fields, ticks
from llmtower_processors.native import Constant
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_processors.scoring.late import late_calls, scored
from llmtower_processors.scoring.model import Score, Scorer, Spoken
from llmtower_processors.scoring.spoken import SILENT, spoken
from llmtower_processors.structs import STRUCTS
from llmtower_schemas import topics
from llmtower_schemas.events import RequestEvent, ResponseEvent, StepEvent
from llmtower_schemas.metrics import COUNTED

TOPICS: Final = (topics.CALLS, topics.SIGNALS)
"""Calls with their texts, and texts that travel apart from their calls."""
TABLES: Final = ("call_scores",)
RANGE_S: Final = 5.0
"""Seconds of work in a range at most."""

_RESPONSE, _STEP = STRUCTS[ResponseEvent], STRUCTS[StepEvent]
_TYPES = {STRUCTS[model]: attrgetter("started_at_ns") for model in (ResponseEvent, RequestEvent, StepEvent)}
_CARRIED: Final = ("call_id", "project", "app", "environment", "release", "request_model", "prompt_name", "prompt_version")


OfStep = Callable[[Any], Sequence[Score]]
"""Gives the scores of a `step` event."""


def scoring_processor(name: str, scorers: Sequence[Scorer], of_step: OfStep | None = None) -> Processor:
    """Build a processor that gives the scores of all these scorers, and those of steps."""
    return Processor(name, TOPICS, TABLES, partial(process_scores, scorers=tuple(scorers), of_step=of_step), range_s=RANGE_S)


def process_scores(batch: Batch, *, scorers: Sequence[Scorer], of_step: OfStep | None = None) -> Sequence[Block]:
    """Turn one batch into at most one block; what cannot be read is in the dead letters of the processors `calls` and `signals`."""
    if batch.topic == topics.SIGNALS:
        late = late_calls(batch)
        return blocks(
            [("call_scores", score_columns(batch, late, scored(score_all(list(map(spoken, late.events)), scorers))))] if late else []
        )
    return blocks(("call_scores", columns) for portion in portions(batch) for columns in _parts(portion, scorers, of_step))


def _parts(batch: Batch, scorers: Sequence[Scorer], of_step: OfStep | None) -> Iterator[Columns]:
    arrivals = sort_events(batch, _TYPES).arrivals
    found = _answered(arrivals.get(_RESPONSE))
    if found is not None:
        calls = list(map(spoken, found.events))
        yield score_columns(batch, found, score_all(calls, scorers))
    steps = arrivals.get(_STEP)
    if of_step is not None and steps is not None:
        yield score_columns(batch, steps, list(map(of_step, steps.events)))


def responses(batch: Batch) -> Arrivals | None:
    """Give the ended calls of a batch that have an answer to be scored; None if there are none."""
    return _answered(sort_events(batch, _TYPES).arrivals.get(_RESPONSE))


def _answered(found: Arrivals | None) -> Arrivals | None:
    if found is None:
        return None
    keep = [event.operation not in SILENT for event in found.events]
    kept = found if all(keep) else Arrivals(*(list(compress(column, keep)) for column in found))
    return kept if kept.events else None


def score_all(calls: Sequence[Spoken], scorers: Sequence[Scorer]) -> list[list[Score]]:
    """Ask every scorer about every call; a text on which one fails is a score with status `error`, and the others go on."""
    scores: list[list[Score]] = [[] for _ in calls]
    for scorer in scorers:
        for into, given in zip(scores, _ask(scorer, calls), strict=True):
            into += [_checked(one, scorer) for one in given]
    return scores


def _ask(scorer: Scorer, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
    """Ask about all calls at once, and one by one where that fails."""
    try:
        given = scorer.score(calls)
        if len(given) == len(calls):
            return given
        return [_failed(scorer, "wrong number of scores")] * len(calls)
    except Exception as error:
        if len(calls) == 1:
            return [_failed(scorer, type(error).__name__)]
        return [scores for call in calls for scores in _ask(scorer, [call])]


def _failed(scorer: Scorer, reason: str) -> list[Score]:
    return [Score(name, None, status="error", reason=reason) for name in scorer.names]


def _checked(score: Score, scorer: Scorer) -> Score:
    """Name the scorer, and keep what is no score out of the sums."""
    value = score.value
    if value is not None and not (isfinite(value) and (0 <= value <= 1 or score.name in COUNTED)):
        score = score._replace(value=None, status="error", reason="out of range" if isfinite(value) else "not a number")
    return score if score.scorer else score._replace(scorer=scorer.label, version=scorer.version)


def score_columns(batch: Batch, found: Arrivals, scores: Sequence[Sequence[Score]]) -> Columns:
    """Give the columns of `call_scores` for calls and their scores; calls without any get no row."""
    if not all(scores):
        keep = list(map(bool, scores))
        found, scores = Arrivals(*(list(compress(column, keep)) for column in found)), [one for one in scores if one]
    if not scores:
        return {}
    columns = _carried(found.events)
    columns["started_at"] = ticks(columns.pop("started_at_ns"))
    columns["processor"] = Constant(batch.processor, len(found.events))
    turned = [tuple(map(list, zip(*one, strict=True))) for one in scores]
    arrays = dict(zip(Score._fields, map(list, zip(*turned, strict=True)), strict=True))
    columns |= {column: arrays[name] for column, name in _ARRAYS.items()}
    return columns | position(batch, found)


def _carried(events: Sequence[Any]) -> Columns:
    """A step stands under its own id, and has no model."""
    if isinstance(events[0], _STEP):
        columns = fields(events, (*(name for name in _CARRIED if name not in ("call_id", "request_model")), "step_id", "started_at_ns"))
        return columns | {"call_id": columns.pop("step_id"), "request_model": Constant("", len(events))}
    return fields(events, (*_CARRIED, "started_at_ns"))


_ARRAYS: Final = {
    "names": "name",
    "score_values": "value",
    "labels": "label",
    "scorers": "scorer",
    "scorer_versions": "version",
    "statuses": "status",
    "reasons": "reason",
    "weights": "weight",
    "positions": "positions",
}
"""Columns of `call_scores` and the fields of a score they hold."""
