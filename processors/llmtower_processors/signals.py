"""The `signals` processor: late facts about calls (feedback, scores), deploys, and the producers' own books."""

from collections.abc import Callable, Sequence
from typing import Any

from llmtower_processors.arrivals import Arrivals, arrivals
from llmtower_processors.columns import Column, Columns, content, contents_block, extras, fields, identity, ticks
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_schemas import topics
from llmtower_schemas.events import DeployEvent, FeedbackEvent, HeartbeatEvent, ScoreEvent

NAME = "signals"
NIL = "00000000-0000-0000-0000-000000000000"
"""Stands for an event that has no id of its own."""

TABLES = ("feedback", "scores", "deploys", "heartbeats", "contents", "dead_letters", "dead_letter_bytes")

_WHO = ("project", "app", "environment", "release")
_FEEDBACK = ("feedback_id", *_WHO, "target_kind", "target_id", "name", "score", "label", "user_id")
_SCORE = (
    *("score_id", *_WHO, "target_kind", "target_id", "name", "value", "label", "scorer", "scorer_version", "status", "reason", "weight"),
    *("request_model", "prompt_name", "prompt_version"),
)
_DEPLOY = ("deploy_id", *_WHO, "version", "note")
_HEARTBEAT = ("producer", *_WHO, "emitted", "delivered", "spooled", "dropped", "dropped_by_reason", "closing", "sdk")


def signals_processor() -> Processor:
    """Build the processor."""
    return Processor(NAME, (topics.SIGNALS,), TABLES, process_signals)


def process_signals(batch: Batch) -> Sequence[Block]:
    """Turn one batch of `llmtower.signals` into blocks; empty ones are left out."""
    found, dead = arrivals(batch, {FeedbackEvent: _at, ScoreEvent: _scored, DeployEvent: _at, HeartbeatEvent: _at})
    made = [make(batch, found[kind]) for kind, make in _MAKERS.items() if found[kind].events]
    blocks = [block for block, _ in made]
    return [block for block in (*blocks, contents_block([columns for _, columns in made]), *dead.blocks(batch)) if block.rows]


def _at(event: Any) -> int:
    return int(event.at_ns)


def _scored(event: Any) -> int:
    """A score is kept beside its call, so the call's start must be in range too."""
    started = event.started_at_ns
    return int(event.at_ns if started is None else started)


def _feedback(batch: Batch, found: Arrivals) -> tuple[Block, Columns]:
    columns = fields(found.events, _FEEDBACK) | {"at": ticks(found.events, "at_ns")}
    texts = fields(found.events, ("comment", "correction")) | {"extra": extras(found.events)}
    carried = {"call_id": columns["feedback_id"], "project": columns["project"], "app": columns["app"], "started_at": columns["at"]}
    return Block("feedback", columns | identity(batch, found)), content(batch, found, "feedback", carried, texts=texts)


def _scores(batch: Batch, found: Arrivals) -> tuple[Block, Columns]:
    columns = fields(found.events, _SCORE) | {"at": ticks(found.events, "at_ns")}
    columns["started_at"] = [_scored(event) // 1_000 for event in found.events]
    return Block("scores", columns | identity(batch, found)), _unknown_fields(batch, found, "score", columns["score_id"])


def _deploys(batch: Batch, found: Arrivals) -> tuple[Block, Columns]:
    columns = fields(found.events, _DEPLOY) | {"at": ticks(found.events, "at_ns")}
    return Block("deploys", columns | identity(batch, found)), _unknown_fields(batch, found, "deploy", columns["deploy_id"])


def _heartbeats(batch: Batch, found: Arrivals) -> tuple[Block, Columns]:
    columns = fields(found.events, _HEARTBEAT) | {"at": ticks(found.events, "at_ns")}
    oldest = [event.oldest_unsent_ns for event in found.events]
    columns["oldest_unsent_at"] = [None if at is None else at // 1_000 for at in oldest]
    nameless = [NIL] * len(found.events)
    return Block("heartbeats", {**identity(batch, found), **columns}), _unknown_fields(batch, found, "heartbeat", nameless)


def _unknown_fields(batch: Batch, found: Arrivals, kind: str, ids: Column) -> Columns:
    """Keep what a newer producer sent and this version does not know."""
    carried = fields(found.events, ("project", "app")) | {"call_id": ids, "started_at": ticks(found.events, "at_ns")}
    return content(batch, found, kind, carried, texts={"extra": extras(found.events)})


_MAKERS: dict[type, Callable[[Batch, Arrivals], tuple[Block, Columns]]] = {
    FeedbackEvent: _feedback,
    ScoreEvent: _scores,
    DeployEvent: _deploys,
    HeartbeatEvent: _heartbeats,
}
