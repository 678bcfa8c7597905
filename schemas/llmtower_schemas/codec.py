"""One Kafka record = one envelope: 1..N events as NDJSON, with the headers that feed the completeness ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter, ValidationError

from llmtower_schemas.events import EVENTS, SCHEMA_VERSION, Event

_LINES: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
_LINE: TypeAdapter[Event] = TypeAdapter(Event)
_FIELDS = frozenset(name for model in EVENTS.values() for name in model.model_fields)


@dataclass(frozen=True, slots=True)
class EnvelopeHeaders:
    """Who sent an envelope and which of its events are inside: numbers `seq` .. `seq + count - 1` of `producer`."""

    producer: str
    seq: int
    count: int
    project: str
    app: str
    schema: int = SCHEMA_VERSION

    def encode(self) -> list[tuple[str, bytes]]:
        """Give the Kafka record headers."""
        return [
            ("producer", self.producer.encode()),
            ("seq", b"%d" % self.seq),
            ("count", b"%d" % self.count),
            ("project", self.project.encode()),
            ("app", self.app.encode()),
            ("schema", b"%d" % self.schema),
        ]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no event: the raw bytes and a reason without payload."""

    raw: bytes
    reason: str


def encode(lines: Iterable[bytes]) -> bytes:
    """Join events that are already JSON into one envelope."""
    return b"\n".join(lines)


def encode_event(event: Event) -> bytes:
    """Give one event as a JSON line; fields that stand at their default are left out."""
    return orjson.dumps({"type": event.type, **event.model_dump(mode="json", exclude_defaults=True)})


def decode(value: bytes | None) -> Sequence[Event | Malformed]:
    """Decode an envelope; the position in the result is the event's index. One bad line never takes its envelope along.

    The lines are joined into one array and validated at once (twice as fast as line by line); only an envelope with a bad line is
    taken apart.
    """
    if not value or not value.strip():
        return [Malformed(raw=value or b"", reason="empty record")]
    stripped = value[:-1] if value.endswith(b"\n") else value
    try:
        events = _LINES.validate_json(b"[" + stripped.replace(b"\n", b",") + b"]")
    except ValidationError:
        events = []
    if len(events) == stripped.count(b"\n") + 1:
        return events
    return [decode_line(line) for line in stripped.split(b"\n")]


def decode_line(line: bytes) -> Event | Malformed:
    """Decode one event."""
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        return Malformed(raw=line, reason=_reason(error))


def _reason(error: ValidationError) -> str:
    """Name field and kind of the first fault; values and keys of the payload never appear."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in _FIELDS)
    return f"{first['type']} at {field}" if field else str(first["type"])
