"""What is left of OTLP after reading: flat records without protobuf or JSON."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

MAX_ATTRIBUTES: Final = 10_000
"""Attributes of one span; what is beyond is left out and counted."""

Resource = Mapping[str, Any]
"""What a resource says, by the names of our fields (`dialects.read`)."""

Attributes = Mapping[str, Any]
"""Values are text, numbers, booleans, lists, mappings or None; bytes are base64 text."""


class SpanEvent(NamedTuple):
    """Something that happened within a span."""

    name: str
    at_ns: int
    attributes: Attributes


class Span(NamedTuple):
    """One span; ids are lower-case hex, `parent_id` is '' at the root, times are nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    failed: bool
    message: str
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    resource: Resource
    scope: str


class LogRecord(NamedTuple):
    """One log record; `name` is its event name, also where older SDKs keep it as attribute `event.name`."""

    trace_id: str
    span_id: str
    name: str
    at_ns: int
    body: Any
    attributes: Attributes
    resource: Resource
    scope: str


class Rejected(NamedTuple):
    """A record that cannot be taken, with a reason that holds nothing of it."""

    reason: str


MALFORMED: Final = Rejected("malformed record")
MALFORMED_RESOURCE: Final = Rejected("malformed resource")
"""Stands for each record of a resource that cannot be read: whose they are is not known."""


class UnreadableError(ValueError):
    """The body is no export request; the message holds nothing of it."""
