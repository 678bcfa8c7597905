"""Export requests in protobuf (OTLP 1.x): what the official generated classes parse, as plain records."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmtower_processors.otel.dialects import read
from llmtower_processors.otel.model import MAX_ATTRIBUTES, LogRecord, Rejected, Resource, Span, SpanEvent, UnreadableError

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_ERROR = 2
_DEPTH = 16
_SCALARS = frozenset({"string_value", "int_value", "double_value", "bool_value"})


def read_spans(body: bytes) -> Iterator[Span | Rejected]:
    """Give every span. Raises UnreadableError when the body is no request; lazily, a span at a time."""
    request = _parse(ExportTraceServiceRequest, body)
    for of_resource in request.resource_spans:
        resource = read(_attributes(of_resource.resource.attributes))
        for of_scope in of_resource.scope_spans:
            scope = of_scope.scope.name
            for span in of_scope.spans:
                yield _span(span, resource, scope)


def read_logs(body: bytes) -> Iterator[LogRecord | Rejected]:
    """Give every log record. Raises UnreadableError."""
    request = _parse(ExportLogsServiceRequest, body)
    for of_resource in request.resource_logs:
        resource = read(_attributes(of_resource.resource.attributes))
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                attributes = _attributes(record.attributes)
                name = getattr(record, "event_name", "") or str(attributes.get("event.name", ""))
                at_ns = record.time_unix_nano or record.observed_time_unix_nano
                ids = record.trace_id.hex(), record.span_id.hex()
                yield LogRecord(*ids, name, at_ns, _value(record.body), attributes, resource, of_scope.scope.name)


def _parse(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise UnreadableError("the body is no protobuf message of this kind") from error


def _span(span: Any, resource: Resource, scope: str) -> Span | Rejected:
    trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
    if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return Rejected("invalid trace or span id")
    return Span(
        trace_id.hex(),
        span_id.hex(),
        parent_id.hex() if len(parent_id) == 8 and parent_id != _NO_SPAN else "",
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == _ERROR,
        span.status.message,
        _attributes(span.attributes),
        tuple(SpanEvent(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events),
        resource,
        scope,
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: value.string_value or _value(value) for pair in islice(pairs, MAX_ATTRIBUTES) for value in (pair.value,)}


def _value(value: Any, depth: int = 0) -> Any:
    kind = value.WhichOneof("value")
    if kind in _SCALARS:
        return getattr(value, kind)
    if kind is None or depth > _DEPTH:
        return None
    if kind == "array_value":
        return [_value(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return b64encode(value.bytes_value).decode() if kind == "bytes_value" else None
