"""Export requests from plain descriptions, in both forms that OTLP/HTTP has."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

NOW_NS = 1_795_000_000 * 10**9
RESOURCE = {"service.name": "support-bot", "service.version": "1.8", "deployment.environment.name": "staging"}
TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"


def span(attributes: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """Describe a span of two seconds."""
    return {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_id": "",
        "name": "chat gpt-4o",
        "start_ns": NOW_NS - 2_000_000_000,
        "end_ns": NOW_NS,
        "code": 0,
        "message": "",
        "attributes": attributes or {},
        "events": [],
    } | given


def traces(spans: Sequence[dict[str, Any]], resource: dict[str, Any] | None = None, scope: str = "test") -> ExportTraceServiceRequest:
    """Build the request."""
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.extend(pairs(RESOURCE if resource is None else resource))
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name = scope
    for given in spans:
        made = of_scope.spans.add()
        made.trace_id, made.span_id = bytes.fromhex(given["trace_id"]), bytes.fromhex(given["span_id"])
        made.parent_span_id = bytes.fromhex(given["parent_id"])
        made.name, made.start_time_unix_nano, made.end_time_unix_nano = given["name"], given["start_ns"], given["end_ns"]
        made.status.code, made.status.message = given["code"], given["message"]
        made.attributes.extend(pairs(given["attributes"]))
        for name, at_ns, attributes in given["events"]:
            event = made.events.add()
            event.name, event.time_unix_nano = name, at_ns
            event.attributes.extend(pairs(attributes))
    return request


def logs(records: Sequence[dict[str, Any]]) -> ExportLogsServiceRequest:
    """Build a request of log records: name, attributes, body, trace_id, span_id, at_ns."""
    request = ExportLogsServiceRequest()
    of_resource = request.resource_logs.add()
    of_resource.resource.attributes.extend(pairs(RESOURCE))
    of_scope = of_resource.scope_logs.add()
    for given in records:
        made = of_scope.log_records.add()
        made.trace_id, made.span_id = bytes.fromhex(given.get("trace_id", TRACE)), bytes.fromhex(given.get("span_id", SPAN))
        made.event_name, made.time_unix_nano = given["name"], given.get("at_ns", NOW_NS)
        made.attributes.extend(pairs(given.get("attributes", {})))
        made.body.CopyFrom(_value(given.get("body")))
    return request


def as_json(request: Any) -> bytes:
    """Give the request in OTLP/JSON: hex ids, where protobuf's own JSON has base64."""
    made = MessageToDict(request)
    for of_resource in made.get("resourceSpans", made.get("resourceLogs", [])):
        for of_scope in of_resource.get("scopeSpans", of_resource.get("scopeLogs", [])):
            for record in of_scope.get("spans", of_scope.get("logRecords", [])):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in record:
                        record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(made).encode()


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    """Give attributes as OTLP has them."""
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, (list, tuple)):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
    return AnyValue() if value is None else AnyValue(string_value=value)
