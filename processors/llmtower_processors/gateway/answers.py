"""What a sender is told: statuses, reasons and bodies as OTLP/HTTP wants them (google.rpc.Status in the sender's own content type)."""

from typing import Final

import orjson
from google.rpc.status_pb2 import Status

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"

RPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
"""HTTP status → google.rpc.Code."""


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is not taken; `retry_after_s` tells the sender to come again."""

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after_s = status, message, retry_after_s


def status_body(refusal: Refusal, media: str) -> bytes:
    """Give a google.rpc.Status."""
    code = RPC_CODES.get(refusal.status, 2)
    if media == PROTOBUF:
        return bytes(Status(code=code, message=refusal.message).SerializeToString())
    return orjson.dumps({"code": code, "message": refusal.message})


def success_body(rejected: int, reason: str, media: str, *, rejected_field: str) -> bytes:
    """Give an Export…ServiceResponse, with `partial_success` where something was rejected (or there is something to say)."""
    if media == PROTOBUF:
        return b"" if not reason else _partial(rejected, reason)
    if not reason:
        return b"{}"
    return orjson.dumps({"partialSuccess": {rejected_field: str(rejected), "errorMessage": reason}})


def _partial(rejected: int, reason: str) -> bytes:
    """Traces and logs have the same shape: message 1 {int64 1 = rejected, string 2 = error_message}."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess, ExportTraceServiceResponse

    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=reason)
    return bytes(ExportTraceServiceResponse(partial_success=partial).SerializeToString())
