"""From log records to events: evaluation results become scores; everything else is left out and counted."""

from typing import Any, Final

from llmtower_processors.otel.convert import AHEAD_NS, OLDEST_NS
from llmtower_processors.otel.dialects import read
from llmtower_processors.otel.ids import content_uuid, span_uuid
from llmtower_processors.otel.model import LogRecord, Rejected

EVALUATION: Final = "gen_ai.evaluation.result"
_NAME: Final = 256


def convert_log(record: LogRecord, project: str, now_ns: int) -> tuple[dict[str, Any] | None, Rejected | None]:
    """Give a score, None for what is none of ours, or why a record cannot be taken."""
    if record.name != EVALUATION:
        return None, None
    if not now_ns - OLDEST_NS <= record.at_ns <= now_ns + AHEAD_NS:
        return None, Rejected("time out of range")
    given = record.attributes
    value = given.get("gen_ai.evaluation.score.value")
    sound = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    name, target = str(given.get("gen_ai.evaluation.name") or ""), _target(record, project)
    if not name or target is None:
        return None, Rejected("evaluation without a name or without what it is of")
    kind, target_id = target
    failed = str(given.get("error.type") or "")
    event = {
        "type": "score",
        "score_id": content_uuid(project, kind, target_id, name, record.at_ns, value, given.get("gen_ai.evaluation.score.label")),
        "project": project,
        "app": str(read(record.resource).get("app") or "unknown")[:_NAME],
        "at_ns": record.at_ns,
        "target_kind": kind,
        "target_id": target_id[:_NAME],
        "name": name[:_NAME],
        "value": float(value) if sound and value is not None else None,
        "label": str(given.get("gen_ai.evaluation.score.label") or "")[:_NAME],
        "scorer": str(given.get("gen_ai.evaluation.evaluator") or record.scope or "otel")[:_NAME],
        "status": "error" if failed else "ok",
        "reason": failed[:_NAME],
        "request_model": str(given.get("gen_ai.request.model") or "")[:_NAME],
    }
    return {name: found for name, found in event.items() if found not in (None, "")}, None


def _target(record: LogRecord, project: str) -> tuple[str, str] | None:
    """What was evaluated: the answer it names, else the span it belongs to, else its trace."""
    if answer := record.attributes.get("gen_ai.response.id"):
        return "response_id", str(answer)
    if record.trace_id and record.span_id:
        return "call_id", span_uuid(project, record.trace_id, record.span_id)
    return ("trace_id", record.trace_id) if record.trace_id else None
