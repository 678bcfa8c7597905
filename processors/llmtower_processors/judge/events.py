"""From a verdict to the score event: its id follows from call, rubric, version and model, so that the same score is the same event."""

from typing import Any

import orjson

from llmtower_processors.gateway.packing import Line
from llmtower_processors.judge.model import APP, Verdict
from llmtower_processors.judge.rubric import Rubric
from llmtower_processors.judge.tables import version
from llmtower_processors.otel.ids import content_uuid
from llmtower_schemas.topics import SIGNALS


def score_line(rubric: Rubric, model: str, verdict: Verdict, at_ns: int) -> Line:
    """Give the line for Kafka. A failure is an event of its own kind: a later score of the same call stands beside it."""
    pick = verdict.pick
    status = "ok" if verdict.value is not None else "skipped" if verdict.skipped else "error"
    event: dict[str, Any] = {
        "type": "score",
        "score_id": content_uuid(pick.project, pick.call_id, rubric.score, version(rubric, model), status),
        "at_ns": at_ns,
        "project": pick.project,
        "app": pick.app,
        "environment": pick.environment,
        "target_kind": "call_id",
        "target_id": pick.call_id,
        "name": rubric.score,
        "value": verdict.value,
        "label": "" if verdict.value is None else "bad" if verdict.value < rubric.threshold else "good",
        "scorer": APP,
        "scorer_version": version(rubric, model),
        "status": status,
        "reason": verdict.reason,
        "weight": pick.weight,
        "request_model": pick.request_model,
        "prompt_name": pick.prompt_name,
        "prompt_version": pick.prompt_version,
        "started_at_ns": pick.started_at_us * 1_000,
    }
    return Line(SIGNALS, pick.project, pick.app, "score", event["score_id"], orjson.dumps(event))
