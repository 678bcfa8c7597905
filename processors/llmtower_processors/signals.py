"""The `signals` processor: late facts about calls (feedback, scores, texts), deploys, and the producers' own books."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

from llmtower_processors.arrivals import Arrivals, dead_letter_columns, portions, sort_events
from llmtower_processors.columns import Columns, blocks, content, fields, origin, ticks
from llmtower_processors.jsontext import content_bytes
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_processors.structs import STRUCTS
from llmtower_schemas import topics
from llmtower_schemas.events import ContentEvent, DeployEvent, FeedbackEvent, HeartbeatEvent, ScoreEvent
from llmtower_schemas.metrics import SCORED

NAME = "signals"
TABLES = ("feedback", "scores", "late_contents", "deploys", "heartbeats", "contents", "dead_letters", "dead_letter_bytes")
MOST: Final = 1e9
"""A value or weight beyond this is no score: the rollups leave it out."""
OUT_OF_RANGE: Final = "out of range"
_RATES: Final = frozenset(one.score for one in SCORED)
"""Scores whose values below and from 0.5 on are counted apart: they lie between 0 and 1, whoever gives them."""
NIL = "00000000-0000-0000-0000-000000000000"
"""Stands in `contents` for an event that has no id of its own."""

_FEEDBACK, _SCORE, _CONTENT, _DEPLOY, _HEARTBEAT = (
    STRUCTS[model] for model in (FeedbackEvent, ScoreEvent, ContentEvent, DeployEvent, HeartbeatEvent)
)
_WHO = ("project", "app", "environment", "release")
_FEEDBACK_FIELDS = ("feedback_id", *_WHO, "target_kind", "target_id", "name", "score", "label", "user_id")
_SCORE_FIELDS = (
    *("score_id", *_WHO, "target_kind", "target_id", "name", "value", "label", "scorer", "scorer_version", "status", "reason", "weight"),
    *("request_model", "prompt_name", "prompt_version"),
)
_CONTENT_FIELDS = ("content_id", "call_id", *_WHO, "name", "trace_id", "span_id", "capture", "instrumentation")
_DEPLOY_FIELDS = ("deploy_id", *_WHO, "version", "note")
_HEARTBEAT_FIELDS = ("producer", *_WHO, "emitted", "delivered", "spooled", "dropped", "dropped_by_reason", "closing", "sdk")


def signals_processor() -> Processor:
    """Build the processor."""
    return Processor(NAME, (topics.SIGNALS,), TABLES, process_signals)


def process_signals(batch: Batch) -> Sequence[Block]:
    """Turn one batch of `llmtower.signals` into blocks, at most one per table, none of them empty."""
    return blocks(part for portion in portions(batch) for part in _parts(portion))


def _parts(batch: Batch) -> Iterator[tuple[str, Columns]]:
    arrivals, dead = sort_events(batch, _TYPES)
    for kind, found in arrivals.items():
        columns, texts = _MAKERS[kind](batch, found)
        yield _TABLE_OF[kind], columns
        yield "contents", texts
    yield from dead_letter_columns(batch, dead)


def _scored(event: Any) -> int:
    """A score is kept beside its call, so by the call's start where that is known."""
    started = event.started_at_ns
    return int(event.at_ns if started is None else started)


def _feedback(batch: Batch, found: Arrivals) -> tuple[Columns, Columns]:
    columns = fields(found.events, _FEEDBACK_FIELDS) | _at(found)
    carried = {"call_id": columns["feedback_id"], "project": columns["project"], "app": columns["app"], "started_at": columns["at"]}
    texts = fields(found.events, ("comment", "correction"))
    return columns | origin(batch, found), content(batch, found, "feedback", carried, texts)


def _scores(batch: Batch, found: Arrivals) -> tuple[Columns, Columns]:
    columns = _judged(fields(found.events, _SCORE_FIELDS)) | _at(found) | {"started_at": ticks(map(_scored, found.events))}
    carried = {"call_id": columns["score_id"], "project": columns["project"], "app": columns["app"], "started_at": columns["started_at"]}
    return columns | origin(batch, found), content(batch, found, "score", carried, {})


def _judged(columns: Columns) -> Columns:
    """Take the value from a score that is none: what the sums leave out says so in its row, and is not `ok`."""
    rows = list(zip(columns["name"], columns["value"], columns["weight"], strict=True))
    bad = [index for index, (name, value, weight) in enumerate(rows) if not _is_score(name, value, weight)]
    if not bad:
        return columns
    changed = {name: list(columns[name]) for name in ("value", "status", "reason")}
    for index in bad:
        changed["value"][index], changed["status"][index], changed["reason"][index] = None, "error", OUT_OF_RANGE
    return columns | changed


def _is_score(name: str, value: float | None, weight: float) -> bool:
    if value is None:
        return True
    return weight <= MOST and (0.0 <= value <= 1.0 if name in _RATES else -MOST <= value <= MOST)


def _late_contents(batch: Batch, found: Arrivals) -> tuple[Columns, Columns]:
    source = fields(found.events, (*_CONTENT_FIELDS, "input", "output"))
    columns = source | {name: content_bytes(source[name]) for name in ("input", "output")} | _at(found)
    carried = {"call_id": columns["content_id"], "project": columns["project"], "app": columns["app"], "started_at": columns["at"]}
    return columns | origin(batch, found), content(batch, found, "content", carried, {})


def _deploys(batch: Batch, found: Arrivals) -> tuple[Columns, Columns]:
    columns = fields(found.events, _DEPLOY_FIELDS) | _at(found)
    carried = {"call_id": columns["deploy_id"], "project": columns["project"], "app": columns["app"], "started_at": columns["at"]}
    return columns | origin(batch, found), content(batch, found, "deploy", carried, {})


def _heartbeats(batch: Batch, found: Arrivals) -> tuple[Columns, Columns]:
    columns = fields(found.events, _HEARTBEAT_FIELDS) | _at(found)
    unsent = [event.oldest_unsent_ns for event in found.events]
    columns["oldest_unsent_at"] = [None if at is None else at // 1_000 for at in unsent]
    nobody = [NIL] * len(unsent)
    carried = {"call_id": nobody, "project": columns["project"], "app": columns["app"], "started_at": columns["at"]}
    return origin(batch, found) | columns, content(batch, found, "heartbeat", carried, {})


def _at(found: Arrivals) -> Columns:
    return {"at": ticks(event.at_ns for event in found.events)}


_TYPES = {kind: attrgetter("at_ns") for kind in (_FEEDBACK, _CONTENT, _DEPLOY, _HEARTBEAT)} | {_SCORE: _scored}
_TABLE_OF = {_FEEDBACK: "feedback", _SCORE: "scores", _CONTENT: "late_contents", _DEPLOY: "deploys", _HEARTBEAT: "heartbeats"}
_MAKERS: dict[type, Callable[[Batch, Arrivals], tuple[Columns, Columns]]] = {
    _FEEDBACK: _feedback,
    _SCORE: _scores,
    _CONTENT: _late_contents,
    _DEPLOY: _deploys,
    _HEARTBEAT: _heartbeats,
}
