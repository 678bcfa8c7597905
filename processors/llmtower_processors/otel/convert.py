"""From a span to an event of ours: an LLM call, a step around calls, or nothing."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal, NamedTuple

from llmtower_processors.otel import messages
from llmtower_processors.otel.dialects import (
    FIRST_TOKEN,
    INVOCATION,
    KINDS,
    OPERATIONS,
    RESOURCE,
    STEPS,
    TEXTS,
    Said,
    read,
)
from llmtower_processors.otel.flat import loads
from llmtower_processors.otel.hear import Heard, hear
from llmtower_processors.otel.ids import content_uuid, span_uuid
from llmtower_processors.otel.model import Rejected, Span
from llmtower_processors.otel.usage import count
from llmtower_schemas.error_classes import by_code, by_names, by_status
from llmtower_schemas.late import WITHIN

OLDEST_NS: Final = 400 * 86_400 * 10**9
AHEAD_NS: Final = 3_600 * 10**9
"""As in the worker: a span older, or further ahead of the clock here, is refused to its sender instead of becoming a dead letter."""
_LONGEST_NS: Final = 10**15
"""Eleven days: no first token takes as long."""
_NAME: Final = 256
_TRUE: Final = (True, "true", "True", 1)
_CALL_SIGNS: Final = ("gen_ai.request.model", "llm.model_name")
Event = dict[str, Any]


Says = tuple[Literal["response", "step", "out"], str]
"""What a span says it is: a call of an operation, a step of a kind, or none of ours."""


class Converted(NamedTuple):
    """What became of a span; `event` is None when it is none of ours."""

    kind: Literal["response", "step", "out"]
    event: Event | None


def convert(span: Span, project: str, now_ns: int, says: Says | None = None) -> Converted | Rejected:
    """Convert one span; `says` spares a second look. The same span gives the same event whenever it arrives."""
    latest_ns = now_ns + AHEAD_NS
    if not now_ns - OLDEST_NS <= span.start_ns <= latest_ns or span.end_ns > latest_ns:
        return Rejected("time out of range")
    kind, value = says or kind_of(span)
    if kind == "out":
        return Converted("out", None)
    heard = hear(span.attributes)
    event = _common(span, project, heard)
    event.update(_call(span, project, value, heard) if kind == "response" else _step(span, project, value, heard))
    return Converted(kind, {name: found for name, found in event.items() if found or type(found) is int})


def convert_around(span: Span, project: str, now_ns: int) -> Converted | Rejected:
    """Convert the span of a call as a step around the one that is stored: its names become the step's attributes."""
    made = convert(span, project, now_ns)
    if isinstance(made, Rejected) or made.event is None:
        return made
    heard = hear(span.attributes)
    event = _common(span, project, heard) | _step(span, project, "workflow", heard)
    event["attributes"] = {name: made.event[name] for name in sorted(_OF_CALLS) if name in made.event}
    return Converted("step", {name: found for name, found in event.items() if found or type(found) is int})


def link_within(span: Span, project: str, now_ns: int, standing: str) -> Event | None:
    """Tie the texts that a left-out span may have sent apart, before or after it, to the call that stands; None where it has its own."""
    made = convert(span, project, now_ns)
    if isinstance(made, Rejected) or made.event is None or "input" in made.event or "output" in made.event:
        return None
    return {
        "type": "content",
        "content_id": content_uuid(project, span.trace_id, span.span_id, WITHIN),
        "call_id": span_uuid(project, span.trace_id, standing),
        "at_ns": span.start_ns,
        "name": WITHIN,
        **{name: made.event[name] for name in _OF_LINKS if name in made.event},
    }


_OF_LINKS: Final = ("project", "app", "environment", "release", "trace_id", "span_id", "instrumentation", "request_model")


def kind_of(span: Span) -> Says:
    """Say what a span says it is."""
    for name in KINDS.attributes:
        value = span.attributes.get(name)
        if value is None:
            continue
        said = str(value).lower()
        if operation := OPERATIONS.get(said):
            return "response", operation
        if step := STEPS.get(said):
            return "step", step
    if any(name in span.attributes for name in _CALL_SIGNS):
        return "response", "chat"
    return "out", ""


def _common(span: Span, project: str, heard: Heard) -> Event:
    said, of_resource = heard.said, span.resource
    event: Event = {"project": project, "trace_id": span.trace_id, "span_id": span.span_id, "instrumentation": _text(span.scope)}
    for name in _OF_RESOURCE:
        event[name] = _text(of_resource.get(name) or said.get(name))
    event["app"] = event["app"] or "unknown"
    if span.parent_id:
        event["parent_id"] = span_uuid(project, span.trace_id, span.parent_id)
    event["started_at_ns"], event["duration_us"] = span.start_ns, max(0, span.end_ns - span.start_ns) // 1_000
    event["tags"] = dict(_tags(heard, span.attributes.get("tag.tags")))
    if span.failed or "error.type" in span.attributes:
        event.update(_error(span, said))
    return event


def _call(span: Span, project: str, operation: str, heard: Heard) -> Event:
    said, lists = heard.said, heard.lists
    event: Event = {"type": "response", "call_id": span_uuid(project, span.trace_id, span.span_id), "operation": operation}
    for name in _TEXTS:
        if name in said:
            event[name] = _text(said[name])
    event["provider"] = event.get("provider", "").lower()
    parameters = _parameters(span.attributes, heard)
    if asked := _text(parameters.pop("model", "")):  # OpenInference: its `llm.model_name` may be the one that answered
        event["response_model"] = event.get("response_model") or event.get("request_model")
        event["request_model"] = asked
    output = messages.answered(span, lists)
    reasons = loads(said.get("finish_reasons"))
    reasons = reasons if isinstance(reasons, list) else [reasons] if reasons else messages.finish_reasons(output)
    ttft_us = _ttft_us(span, said)
    usage = count(said, heard.usage)
    event.update(
        {
            "finish_reasons": [_text(reason) for reason in reasons[:32]],
            "stream": said.get("stream") in _TRUE or ttft_us is not None,
            "ttft_us": ttft_us,
            "usage": usage.buckets,
            "usage_source": "provider" if usage.buckets is not None else "missing",
            "usage_convention": usage.convention,
            "usage_raw": usage.raw,
            "http_status": _status(said),
            "parameters": parameters,
            "input": messages.asked(span, lists),
            "output": output,
            "error_message": span.message if span.failed else "",
            "retrieved": messages.documents(span, lists),
            "embedding": messages.vector(lists),
        }
    )
    return event


def _step(span: Span, project: str, kind: str, heard: Heard) -> Event:
    said, lists = heard.said, heard.lists
    return {
        "type": "step",
        "step_id": span_uuid(project, span.trace_id, span.span_id),
        "kind": kind,
        "name": _text(said.get("step_name") or span.name) or kind,
        **{name: _text(said[name]) for name in _TEXTS if name in said and name not in _OF_CALLS},
        "input": messages.asked(span, lists),
        "output": messages.answered(span, lists),
        "retrieved": messages.documents(span, lists),
    }


_TEXTS: Final = tuple(field.name for field in TEXTS)
_OF_RESOURCE: Final = tuple(field.name for field in RESOURCE)
_OF_CALLS: Final = frozenset({"provider", "request_model", "response_model", "response_id", "service_tier"})


def _error(span: Span, said: Said) -> Event:
    raised = next((read(event.attributes).get("error_type") for event in span.events if event.name == "exception"), None)
    name = _text(said.get("error_type") or raised)
    status = _status(said)
    found = by_code(name) or (by_status(status) if status and status >= 400 else "") or by_names([name]) or _by_text(name)
    return {"status": "error", "error_class": found, "error_type": name or "error"}


def _by_text(name: str) -> str:
    """`error.type` may be an HTTP status itself."""
    return by_status(int(name)) if name.isdecimal() and len(name) == 3 else "other"


def _status(said: Said) -> int | None:
    found = said.get("http_status")
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= 999 else None


def _ttft_us(span: Span, said: Said) -> int | None:
    seconds = said.get("ttft_us")
    if isinstance(seconds, (int, float)) and said.get("stream") in (*_TRUE, None) and 0 < seconds < _LONGEST_NS / 1e9:
        return int(seconds * 1_000_000)
    tokens = [event.at_ns for event in span.events if event.name in FIRST_TOKEN and event.at_ns < span.start_ns + _LONGEST_NS]
    return max(0, min(tokens) - span.start_ns) // 1_000 if tokens else None


def _parameters(given: Mapping[str, Any], heard: Heard) -> dict[str, Any]:
    found = heard.parameters
    for name in INVOCATION:
        if name in given:
            said = loads(given[name])
            found |= said if isinstance(said, dict) else {}
    return found


def _tags(heard: Heard, labels: Any) -> Iterator[tuple[str, str]]:
    for tag, value in heard.tags.items():
        yield tag, _text(value)
    for tag, value in islice(heard.associated.items(), 32):
        yield tag[:_NAME], _text(value)
    listed = loads(labels)
    for tag in listed[:32] if isinstance(listed, list) else ():
        yield _text(tag), "true"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) <= _NAME else value[:_NAME]
    return "" if value is None else str(value)[:_NAME]
