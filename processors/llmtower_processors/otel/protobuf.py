"""Export requests in protobuf (OTLP 1.x), as plain records.

The official descriptors parse them, but leave each record and each attribute as bytes at first: a malformed record costs itself alone, and
most attributes say the same in many spans and are then read once. What is not plain text or a number is read by the official class.
"""

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

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
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_ERROR = 2
_DEPTH = 16
_SCALARS = frozenset({"string_value", "int_value", "double_value", "bool_value"})
_FILES: Final = (common_pb2, resource_pb2, trace_pb2, logs_pb2, trace_service_pb2, logs_service_pb2)
_LEFT: Final = frozenset({"spans", "log_records", "attributes"})
_SHORT: Final = 128
"""Bytes of an attribute up to which it is remembered: longer ones are texts, which differ."""
MOST_KNOWN: Final = 8_192
_UNCHANGING: Final = frozenset({str, int, float, bool, type(None)})
_NAME, _VALUE = 0x0A, 0x12
"""What stands before the name and the value of an attribute."""
_MORE: Final = 0x80
"""The bit of a byte of a number that says that another follows."""


def read_spans(body: bytes) -> Iterator[Span | Rejected]:
    """Give every span. Raises UnreadableError when the body is no request; lazily, a span at a time."""
    for of_resource in _parse(_TRACES, body).resource_spans:
        resource = _resource(of_resource.resource)
        for of_scope in of_resource.scope_spans:
            scope = of_scope.scope.name
            for raw in of_scope.spans:
                yield _each(_read_span, raw, resource, scope)


def read_logs(body: bytes) -> Iterator[LogRecord | Rejected]:
    """Give every log record. Raises UnreadableError."""
    for of_resource in _parse(_LOGS, body).resource_logs:
        resource = _resource(of_resource.resource)
        for of_scope in of_resource.scope_logs:
            scope = of_scope.scope.name
            for raw in of_scope.log_records:
                yield _each(_read_log, raw, resource, scope)


def _each(read_one: Callable[[bytes, Resource, str], R], raw: bytes, resource: Resource | Rejected, scope: str) -> R | Rejected:
    if isinstance(resource, Rejected):
        return resource
    try:
        return read_one(raw, resource, scope)
    except DecodeError:
        return MALFORMED


def _bare(name: str) -> Any:
    """Give the official class of a message, with all that is named in `_LEFT` and within it left as bytes."""
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
        if field.name in _LEFT:
            field.type = FieldDescriptorProto.TYPE_BYTES  # the same on the wire as a message
            field.ClearField("type_name")
    for nested in message.nested_type:
        _lay_bare(nested)


_POOL: Final = _pool()
_TRACES: Final = _bare("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest")
_LOGS: Final = _bare("opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest")
_SPAN: Final = _bare("opentelemetry.proto.trace.v1.Span")
_RECORD: Final = _bare("opentelemetry.proto.logs.v1.LogRecord")


def _parse(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise UnreadableError("the body is no protobuf message of this kind") from error


class Known(dict[bytes, tuple[str, Any]]):
    """The last attributes by their bytes: name and value, none that could be changed; reads what it does not know. About 3 MB at most."""

    def __missing__(self, raw: bytes) -> tuple[str, Any]:
        pair = plain(raw) or official(raw)
        if len(raw) <= _SHORT and type(pair[1]) in _UNCHANGING:
            if len(self) >= MOST_KNOWN:
                self.clear()
            self[raw] = pair
        return pair


_known: Final = Known()


def _attributes(raw: Sequence[bytes]) -> dict[str, Any]:
    """Raises DecodeError."""
    return dict(map(_known.__getitem__, raw[:MAX_ATTRIBUTES]))


def _resource(given: Any) -> Resource | Rejected:
    try:
        return read(_attributes(given.attributes))
    except DecodeError:
        return MALFORMED_RESOURCE


def _read_span(raw: bytes, resource: Resource, scope: str) -> Span | Rejected:
    """Raises DecodeError."""
    span = _SPAN.FromString(raw)
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
        _attributes(span.attributes),
        tuple([SpanEvent(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events]),
        resource,
        scope,
    )


def _read_log(raw: bytes, resource: Resource, scope: str) -> LogRecord:
    """Raises DecodeError."""
    record = _RECORD.FromString(raw)
    attributes = _attributes(record.attributes)
    name = getattr(record, "event_name", "") or str(attributes.get("event.name", ""))
    at_ns = record.time_unix_nano or record.observed_time_unix_nano
    return LogRecord(record.trace_id.hex(), record.span_id.hex(), name, at_ns, _value(record.body), attributes, resource, scope)


def plain(raw: bytes) -> tuple[str, Any] | None:
    """Read an attribute as every exporter writes it when its value is text, a number or a boolean; None: it is not written so.

    `[0x0A][length][name][0x12][length][value]`, where a value begins with its kind. Lengths of lengths are at most two bytes here.
    """
    try:
        end = raw[1] + 2
        at = end + 2
        size = raw[end + 1]
        if size & _MORE:
            size += (raw[at] << 7) - _MORE
            at += 1
        if raw[0] != _NAME or end > _MORE + 1 or raw[end] != _VALUE or at + size != len(raw):
            return None
        value = _READERS[raw[at]](raw, at + 1)
        return None if value is None else (raw[2:end].decode(), value)
    except (IndexError, KeyError, ValueError, struct.error):
        return None


def _text(raw: bytes, at: int) -> str | None:
    size, at = raw[at], at + 1
    if size & _MORE:
        size += (raw[at] << 7) - _MORE
        at += 1
    return raw[at:].decode() if at + size == len(raw) else None


def _whole(raw: bytes, at: int) -> int | None:
    """Read a number of up to nine bytes; ten are a negative one."""
    number = raw[-1]
    if number & _MORE or not 1 <= len(raw) - at <= 9:
        return None
    for place in range(len(raw) - 2, at - 1, -1):
        byte = raw[place]
        if not byte & _MORE:
            return None
        number = number << 7 | byte & 0x7F
    return number


def _truth(raw: bytes, at: int) -> bool | None:
    return {b"\0": False, b"\1": True}.get(raw[at:])


def _real(raw: bytes, at: int) -> float:
    (number,) = struct.unpack("<d", raw[at:])
    return float(number)


_READERS: Final[Mapping[int, Callable[[bytes, int], Any]]] = {0x0A: _text, 0x10: _truth, 0x18: _whole, 0x21: _real}
"""First byte of a value (number of its field in AnyValue, and how it stands on the wire) → what reads the rest."""


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
