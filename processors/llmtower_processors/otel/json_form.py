"""Export requests in JSON (OTLP/JSON): ids are hex and 64-bit numbers may be text, which protobuf's own JSON reader takes otherwise.

One bad record is rejected by itself; only a body that is no request at all is unreadable.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import orjson

from llmtower_processors.otel.dialects import read
from llmtower_processors.otel.model import (
    MALFORMED,
    MALFORMED_RESOURCE,
    MAX_ATTRIBUTES,
    LogRecord,
    Rejected,
    Resource,
    Span,
    SpanEvent,
    UnreadableError,
)

R = TypeVar("R")
_TRACE_ID, _SPAN_ID = re.compile(r"[0-9a-f]{32}").fullmatch, re.compile(r"[0-9a-f]{16}").fullmatch
_ERRORS = (2, "STATUS_CODE_ERROR")
_DEPTH = 16
_WHOLE = range(-(1 << 63), 1 << 64)
_BAD = (ValueError, TypeError, AttributeError, KeyError, OverflowError)
"""What reading a record raises that has not the form of one."""


def read_spans(body: bytes) -> Iterator[Span | Rejected]:
    """Give every span. Raises UnreadableError when the body is no request."""
    for resource, scope, span in _records(body, "resourceSpans", "scopeSpans", "spans"):
        yield _each(_span, span, resource, scope)


def read_logs(body: bytes) -> Iterator[LogRecord | Rejected]:
    """Give every log record. Raises UnreadableError."""
    for resource, scope, record in _records(body, "resourceLogs", "scopeLogs", "logRecords"):
        yield _each(_log, record, resource, scope)


def _each(read_one: Callable[[Any, Resource, str], R], record: Any, resource: Resource | Rejected, scope: str) -> R | Rejected:
    if isinstance(resource, Rejected):
        return resource
    try:
        return read_one(record, resource, scope)
    except _BAD:
        return MALFORMED


def _records(body: bytes, *levels: str) -> Iterator[tuple[Resource | Rejected, str, Any]]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableError("the body is no JSON") from error
    of_resources, of_scopes, records = levels
    if not isinstance(request, dict) or not isinstance(request.get(of_resources, []), list):
        raise UnreadableError(f"the body has no list {of_resources}")
    for of_resource in request.get(of_resources, []):
        for of_scope in _list(of_resource, of_scopes):
            resource = _resource(of_resource.get("resource"))
            scope = of_scope.get("scope") if isinstance(of_scope, dict) else None
            name = scope.get("name") if isinstance(scope, dict) else ""
            for record in _list(of_scope, records):
                yield resource, str(name or ""), record


def _resource(given: Any) -> Resource | Rejected:
    try:
        return read(_attributes(_list(given or {}, "attributes")))
    except _BAD:
        return MALFORMED_RESOURCE


def _list(place: Any, name: str) -> list[Any]:
    found = place.get(name) if isinstance(place, dict) else None
    return found if isinstance(found, list) else []


def _span(span: Any, resource: Resource, scope: str) -> Span | Rejected:
    trace_id, span_id, parent_id = (str(span.get(name) or "").lower() for name in ("traceId", "spanId", "parentSpanId"))
    if not _TRACE_ID(trace_id) or not _SPAN_ID(span_id) or not trace_id.strip("0") or not span_id.strip("0"):
        return Rejected("invalid trace or span id")
    status = span.get("status") or {}
    return Span(
        trace_id,
        span_id,
        parent_id if _SPAN_ID(parent_id) and parent_id.strip("0") else "",
        str(span.get("name") or ""),
        _whole(span.get("startTimeUnixNano") or 0),
        _whole(span.get("endTimeUnixNano") or 0),
        status.get("code") in _ERRORS,
        str(status.get("message") or ""),
        _attributes(_list(span, "attributes")),
        tuple(_event(event) for event in _list(span, "events")),
        resource,
        scope,
    )


def _event(event: Mapping[str, Any]) -> SpanEvent:
    return SpanEvent(str(event.get("name") or ""), _whole(event.get("timeUnixNano") or 0), _attributes(_list(event, "attributes")))


def _log(record: Any, resource: Resource, scope: str) -> LogRecord:
    attributes = _attributes(_list(record, "attributes"))
    trace_id, span_id = (str(record.get(name) or "").lower() for name in ("traceId", "spanId"))
    return LogRecord(
        trace_id if _TRACE_ID(trace_id) else "",
        span_id if _SPAN_ID(span_id) else "",
        str(record.get("eventName") or attributes.get("event.name") or ""),
        _whole(record.get("timeUnixNano") or record.get("observedTimeUnixNano") or 0),
        _value(record.get("body")),
        attributes,
        resource,
        scope,
    )


def _attributes(pairs: list[Any]) -> dict[str, Any]:
    return {str(pair["key"]): _value(pair.get("value")) for pair in islice(pairs, MAX_ATTRIBUTES)}


def _whole(given: Any) -> int:
    """Give a whole number. Raises ValueError also for one that 64 bits do not hold: no number of OTLP, nor of JSON as we write it."""
    number = int(given)
    if number not in _WHOLE:
        raise ValueError
    return number


def _value(value: Any, depth: int = 0) -> Any:
    if not isinstance(value, dict) or depth > _DEPTH:
        return None
    for kind, found in value.items():
        if kind in ("stringValue", "boolValue", "bytesValue"):
            return found
        if kind == "intValue":
            return _whole(found)
        if kind == "doubleValue":
            return float(found)
        if kind == "arrayValue":
            return [_value(item, depth + 1) for item in _list(found, "values")]
        if kind == "kvlistValue":
            return {str(pair["key"]): _value(pair.get("value"), depth + 1) for pair in _list(found, "values")}
    return None
