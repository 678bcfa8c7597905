"""Export requests in protobuf (OTLP 1.x), as plain records.

The official descriptors parse them, but leave each attribute as bytes: most attributes of a request say the same in every span and are then
read once. What is not plain text or a number is read by the official class.
"""

import struct
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from llmtower_processors.otel.dialects import read
from llmtower_processors.otel.model import MAX_ATTRIBUTES, LogRecord, Rejected, Resource, Span, SpanEvent, UnreadableError

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_ERROR = 2
_DEPTH = 16
_SCALARS = frozenset({"string_value", "int_value", "double_value", "bool_value"})
_FILES: Final = (common_pb2, resource_pb2, trace_pb2, logs_pb2, trace_service_pb2, logs_service_pb2)
_SHORT: Final = 128
"""Bytes of an attribute up to which it is remembered: longer ones are texts, which differ."""
_TEXT, _BOOL, _INT, _DOUBLE = 0x0A, 0x10, 0x18, 0x21
"""First bytes of values: number of the field in AnyValue, and how it stands on the wire."""
_MORE: Final = 0x80
"""The bit of a byte of a number that says that another follows."""


def read_spans(body: bytes) -> Iterator[Span | Rejected]:
    """Give every span. Raises UnreadableError when the body is no request; lazily, a span at a time."""
    request, known = _parse(_TRACES, body), _Known()
    for of_resource in request.resource_spans:
        resource = _resource(of_resource.resource, known)
        for of_scope in of_resource.scope_spans:
            scope = of_scope.scope.name
            for span in of_scope.spans:
                try:
                    yield _span(span, resource, scope, known)
                except DecodeError:
                    yield Rejected("malformed span")


def read_logs(body: bytes) -> Iterator[LogRecord | Rejected]:
    """Give every log record. Raises UnreadableError."""
    request, known = _parse(_LOGS, body), _Known()
    for of_resource in request.resource_logs:
        resource = _resource(of_resource.resource, known)
        for of_scope in of_resource.scope_logs:
            scope = of_scope.scope.name
            for record in of_scope.log_records:
                try:
                    yield _log(record, resource, scope, known)
                except DecodeError:
                    yield Rejected("malformed log record")


def _bare(name: str) -> Any:
    """Give the official class of a message, with the attributes of all that is in it left as bytes."""
    return GetMessageClass(_POOL.FindMessageTypeByName(name))


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for module in _FILES:
        file = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for message in file.message_type:
            _lay_bare(message)
        pool.Add(file)
    return pool


def _lay_bare(message: DescriptorProto) -> None:
    for field in message.field:
        if field.name == "attributes":
            field.type = FieldDescriptorProto.TYPE_BYTES  # the same on the wire as a message
            field.ClearField("type_name")
    for nested in message.nested_type:
        _lay_bare(nested)


_POOL: Final = _pool()
_TRACES: Final = _bare("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest")
_LOGS: Final = _bare("opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest")


def _parse(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise UnreadableError("the body is no protobuf message of this kind") from error


class _Known(dict[bytes, tuple[str, Any]]):
    """Attributes of one request by their bytes: name and value; reads what it does not know."""

    def __missing__(self, raw: bytes) -> tuple[str, Any]:
        pair = plain(raw) or official(raw)
        if len(raw) <= _SHORT and not isinstance(pair[1], (list, dict)):
            self[raw] = pair
        return pair


def _attributes(raw: Sequence[bytes], known: _Known) -> dict[str, Any]:
    """Raises DecodeError."""
    return dict(map(known.__getitem__, raw[:MAX_ATTRIBUTES]))


def _resource(given: Any, known: _Known) -> Resource:
    try:
        return read(_attributes(given.attributes, known))
    except DecodeError as error:
        raise UnreadableError("the attributes of a resource are no protobuf messages of this kind") from error


def _span(span: Any, resource: Resource, scope: str, known: _Known) -> Span | Rejected:
    trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
    if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return Rejected("invalid trace or span id")
    status = span.status
    return Span(
        trace_id.hex(),
        span_id.hex(),
        parent_id.hex() if len(parent_id) == 8 and parent_id != _NO_SPAN else "",
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code == _ERROR,
        status.message,
        _attributes(span.attributes, known),
        tuple([SpanEvent(e.name, e.time_unix_nano, _attributes(e.attributes, known)) for e in span.events]),
        resource,
        scope,
    )


def _log(record: Any, resource: Resource, scope: str, known: _Known) -> LogRecord:
    attributes = _attributes(record.attributes, known)
    name = getattr(record, "event_name", "") or str(attributes.get("event.name", ""))
    at_ns = record.time_unix_nano or record.observed_time_unix_nano
    return LogRecord(record.trace_id.hex(), record.span_id.hex(), name, at_ns, _value(record.body), attributes, resource, scope)


def plain(raw: bytes) -> tuple[str, Any] | None:
    """Read an attribute as every exporter writes it when its value is text, a number or a boolean; None: it is not written so."""
    try:
        end = raw[1] + 2
        at = end + 3 if raw[end + 1] & _MORE else end + 2
        sound = raw[0] == 0x0A and not raw[1] & _MORE and raw[end] == 0x12 and _number(raw, end + 1, at) == len(raw) - at
        return (raw[2:end].decode(), _scalar(raw, at)) if sound else None
    except (IndexError, ValueError, struct.error):
        return None


def _scalar(raw: bytes, at: int) -> str | int | float | bool:
    """Give the value that begins there. Raises ValueError when it is none of these, or goes on elsewhere than at the end."""
    kind, begin = raw[at], at + 1
    if kind == _TEXT:
        text = begin + 2 if raw[begin] & _MORE else begin + 1
        if _number(raw, begin, text) == len(raw) - text:
            return raw[text:].decode()
    elif kind == _INT and len(raw) - begin <= 9:  # ten bytes: a negative number
        return _number(raw, begin, len(raw))
    elif kind == _BOOL and raw[begin:] in (b"\0", b"\1"):
        return raw[begin] == 1
    elif kind == _DOUBLE:
        (number,) = struct.unpack("<d", raw[begin:])
        return float(number)
    raise ValueError


def _number(raw: bytes, begin: int, end: int) -> int:
    """Give the number (varint) that takes just these bytes. Raises ValueError, IndexError."""
    number = raw[end - 1]
    if number & _MORE or end <= begin:
        raise ValueError
    for place in range(end - 2, begin - 1, -1):
        if not raw[place] & _MORE:
            raise ValueError
        number = number << 7 | raw[place] & 0x7F
    return number


def official(raw: bytes) -> tuple[str, Any]:
    """Read any attribute. Raises DecodeError."""
    pair = KeyValue.FromString(raw)
    return pair.key, _value(pair.value)


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
