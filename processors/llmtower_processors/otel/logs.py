"""From log records to events: evaluation results become scores, messages the late texts of their call; the rest is left out and counted."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from llmtower_processors.otel.convert import AHEAD_NS, OLDEST_NS
from llmtower_processors.otel.dialects import DETAILS, EVALUATION, MESSAGES
from llmtower_processors.otel.flat import loads
from llmtower_processors.otel.ids import content_uuid, span_uuid
from llmtower_processors.otel.messages import with_system
from llmtower_processors.otel.model import LogRecord, Rejected

_NAME: Final = 256


class LeftOut(NamedTuple):
    """A record that is none of ours, or says nothing, and why."""

    reason: str


Converted = dict[str, Any] | LeftOut | Rejected


def convert_log(record: LogRecord, project: str, now_ns: int) -> Converted:
    """Give an event, or why there is none."""
    convert = _CONVERTERS.get(record.name)
    if convert is None:
        return LeftOut("no GenAI event")
    if not now_ns - OLDEST_NS <= record.at_ns <= now_ns + AHEAD_NS:
        return Rejected("time out of range")
    made = convert(record, project)
    return {name: found for name, found in made.items() if found not in (None, "")} if isinstance(made, dict) else made


def _score(record: LogRecord, project: str) -> Converted:
    given = record.attributes
    value = given.get("gen_ai.evaluation.score.value")
    sound = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    name, target = str(given.get("gen_ai.evaluation.name") or ""), _target(record, project)
    if not name or target is None:
        return Rejected("evaluation without a name or without what it is of")
    kind, target_id = target
    failed = str(given.get("error.type") or "")
    return {
        "type": "score",
        "score_id": content_uuid(project, kind, target_id, name, record.at_ns, value, given.get("gen_ai.evaluation.score.label")),
        **_common(record, project),
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


def _target(record: LogRecord, project: str) -> tuple[str, str] | None:
    """What was evaluated: the answer it names, else the span it belongs to, else its trace."""
    if answer := record.attributes.get("gen_ai.response.id"):
        return "response_id", str(answer)
    if record.trace_id and record.span_id:
        return "call_id", span_uuid(project, record.trace_id, record.span_id)
    return ("trace_id", record.trace_id) if record.trace_id else None


def _message(record: LogRecord, project: str) -> Converted:
    """One message; which side of the call it stands on is in its name."""
    side, role = MESSAGES[record.name]
    body = loads(record.body)
    body = body if isinstance(body, Mapping) else {"content": body}
    said = body.get("message", body)
    if not isinstance(said, Mapping) or not (said.get("content") or said.get("tool_calls")):
        return LeftOut("message without its text")
    return _texts(record, project, {side: {**({"role": role} if role else {}), **body}})


def _details(record: LogRecord, project: str) -> Converted:
    """All that was asked and answered in one event."""
    given = record.attributes
    body = loads(record.body)
    given = {**body, **given} if isinstance(body, Mapping) else given
    asked = with_system(loads(given.get("gen_ai.input.messages")), loads(given.get("gen_ai.system_instructions")))
    answered = loads(given.get("gen_ai.output.messages"))
    if not asked and not answered:
        return LeftOut("message without its text")
    return _texts(record, project, {"input": asked or None, "output": answered or None})


def _texts(record: LogRecord, project: str, sides: Mapping[str, Any]) -> Converted:
    if not record.trace_id or not record.span_id:
        return Rejected("message without the span it belongs to")
    return {
        "type": "content",
        "content_id": content_uuid(project, record.trace_id, record.span_id, record.name, record.at_ns, sides),
        "call_id": span_uuid(project, record.trace_id, record.span_id),
        **_common(record, project),
        "name": record.name,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "instrumentation": record.scope[:_NAME],
        "request_model": str(record.attributes.get("gen_ai.request.model") or "")[:_NAME],
        **sides,
    }


def _common(record: LogRecord, project: str) -> dict[str, Any]:
    fields = {name: str(record.resource.get(name) or "")[:_NAME] for name in ("app", "release", "environment")}
    return {"project": project, **fields, "app": fields["app"] or "unknown", "at_ns": record.at_ns}


_CONVERTERS: Final[Mapping[str, Callable[[LogRecord, str], Converted]]] = {
    EVALUATION: _score,
    DETAILS: _details,
    **dict.fromkeys(MESSAGES, _message),
}
