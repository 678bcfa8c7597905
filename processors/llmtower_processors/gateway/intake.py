"""From one request's body to lines for Kafka: what is taken, what is rejected and why, what is none of ours."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol

import orjson

from llmtower_processors.gateway.packing import Line, Packed
from llmtower_processors.otel import json_form, protobuf
from llmtower_processors.otel.convert import Converted, convert, convert_around, kind_of, link_within
from llmtower_processors.otel.ids import content_uuid
from llmtower_processors.otel.logs import LeftOut, convert_log
from llmtower_processors.otel.model import Rejected, Span
from llmtower_processors.otel.nesting import NOTHING, Chain, Earlier, chains
from llmtower_schemas.codec import Malformed, decode_line
from llmtower_schemas.late import WITHIN
from llmtower_schemas.topics import CALLS, MAX_RECORD_BYTES, SIGNALS

Write = Callable[[dict[str, Any]], bytes]
"""Gives an event's line: contents redacted, bounded or left out as the settings say."""

MAX_LINES: Final = 50_000
MAX_LINE_BYTES: Final = MAX_RECORD_BYTES - 65_536
"""Kafka takes no larger one; the rest is room for headers."""
_IDS: Final[Mapping[str, str]] = {
    "request": "call_id",
    "response": "call_id",
    "step": "step_id",
    "feedback": "feedback_id",
    "score": "score_id",
    "content": "content_id",
    "deploy": "deploy_id",
}
_OF_CALLS: Final = ("request", "response", "step")


@dataclass(slots=True)
class Taken:
    """What became of a request's records."""

    lines: list[Line] = field(default_factory=list)
    packed: list[Packed] = field(default_factory=list)
    """The lines as batches, where they are packed already; then `lines` is empty."""
    rejected: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    chains: list[Chain] = field(default_factory=list)
    """The calls among the spans, to be decided with those of other exports; of what was rejected there is none."""

    @property
    def accepted(self) -> int:
        """How many records are to be stored."""
        return len(self.lines) + sum(batch.records for batch in self.packed)

    def reasons(self) -> str:
        """Say what was rejected: `3 x invalid trace or span id`."""
        return ", ".join(f"{count} x {reason}" for reason, count in self.rejected.most_common(5))


def take_spans(body: bytes, *, is_json: bool, project: str, now_ns: int, write: Write, earlier: Earlier = NOTHING) -> Taken:
    """Take the spans of an export request, with what earlier ones have decided of them. Raises UnreadableError."""
    taken = Taken()
    spans: list[Span] = []
    for span in (json_form.read_spans if is_json else protobuf.read_spans)(body):
        if isinstance(span, Rejected):
            taken.rejected[span.reason] += 1
        else:
            spans.append(span)
    said = [kind_of(span) for span in spans]
    placed = chains(spans, [index for index, (kind, _) in enumerate(said) if kind == "response"], earlier)
    for index, span in enumerate(spans):
        chain = placed.get(index)
        if chain is not None and chain.part == "within":
            taken.left_out["call within a call"] += 1
            taken.chains.append(chain)
            if (link := link_within(span, project, now_ns, chain.standing)) is not None:
                _add(taken, link, write)
        else:
            around = chain is not None and chain.part == "around"
            made = convert_around(span, project, now_ns) if around else convert(span, project, now_ns, said[index])
            _add_span(taken, made, chain, write)
    return taken


def _add_span(taken: Taken, made: Converted | Rejected, chain: Chain | None, write: Write) -> None:
    if isinstance(made, Rejected):
        taken.rejected[made.reason] += 1
    elif made.event is None:
        taken.left_out["no LLM span"] += 1
    elif _add(taken, made.event, write) and chain is not None:
        taken.chains.append(chain)


def take_logs(body: bytes, *, is_json: bool, project: str, now_ns: int, write: Write) -> Taken:
    """Take the log records of an export request. Raises UnreadableError."""
    taken = Taken()
    for record in (json_form.read_logs if is_json else protobuf.read_logs)(body):
        made = record if isinstance(record, Rejected) else convert_log(record, project, now_ns)
        if isinstance(made, Rejected):
            taken.rejected[made.reason] += 1
        elif isinstance(made, LeftOut):
            taken.left_out[made.reason] += 1
        else:
            _add(taken, made, write)
    return taken


def take_events(body: bytes, *, is_json: bool, project: str, now_ns: int, write: Write) -> Taken:
    """Take our own events, one JSON object a line, however they are called."""
    taken = Taken()
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > MAX_LINES:
        taken.rejected[f"more than {MAX_LINES} lines in one request"] += len(lines)
        return taken
    for line in lines:
        _add_event(taken, line, project, write)
    return taken


def _add_event(taken: Taken, line: bytes, project: str, write: Write) -> None:
    checked = decode_line(line)
    if isinstance(checked, Malformed):
        taken.rejected[checked.reason] += 1
        return
    event = orjson.loads(line)
    if event.get("project", project) != project:
        taken.rejected["project of another key"] += 1
        return
    _add(taken, {**event, "project": project}, write)


class Take(Protocol):
    """Takes one kind of body. Raises UnreadableError."""

    def __call__(self, body: bytes, /, *, is_json: bool, project: str, now_ns: int, write: Write) -> Taken:
        """Take what a body holds."""


Kind = Literal["spans", "logs", "events"]
TAKERS: Final[Mapping[Kind, Take]] = {"spans": take_spans, "logs": take_logs, "events": take_events}
"""What takes each kind of body."""


def take(kind: Kind, body: bytes, *, is_json: bool, project: str, now_ns: int, write: Write, earlier: Earlier = NOTHING) -> Taken:
    """Take a body of a kind; only spans have anything to do with earlier ones. Raises UnreadableError."""
    taker = partial(take_spans, earlier=earlier) if kind == "spans" else TAKERS[kind]
    return taker(body, is_json=is_json, project=project, now_ns=now_ns, write=write)


def take_feedback(body: bytes, *, project: str, now_ns: int, write: Write) -> Taken:
    """Take one feedback; the same said twice is one, whoever sends it again."""
    taken = Taken()
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        taken.rejected["not a JSON object"] += 1
        return taken
    said = [given.get(name) for name in ("target_kind", "target_id", "user_id", "name", "score", "label", "comment", "correction", "at_ns")]
    fresh = {"feedback_id": content_uuid(project, *said), "at_ns": now_ns, "app": "unknown"}
    _add_event(taken, orjson.dumps({**fresh, **given, "type": "feedback"}), project, write)
    return taken


def _add(taken: Taken, event: dict[str, Any], write: Write) -> bool:
    """Add an event's line; False: rejected."""
    kind = event["type"]
    event_id = event[_IDS[kind]] if kind in _IDS else content_uuid(*sorted(event.items()))
    topic = CALLS if kind in _OF_CALLS else SIGNALS
    raw = write(event)
    if len(raw) > MAX_LINE_BYTES:  # cut as far as may be: what is left are numbers and names without end
        taken.rejected["event too large"] += 1
        return False
    texts = kind == "content" and event.get("name") != WITHIN  # a tie may name another call when it is sent again
    beside = str(event["call_id"]) if texts else ""  # so that they are scored together
    taken.lines.append(Line(topic, event["project"], event["app"], kind, event_id, raw, beside))
    return True


def counted(taken: Taken) -> Sequence[tuple[str, str, int]]:
    """Give the counts for metrics: outcome, reason, number."""
    return [
        ("accepted", "", taken.accepted),
        *(("rejected", reason, number) for reason, number in taken.rejected.items()),
        *(("left_out", reason, number) for reason, number in taken.left_out.items()),
    ]
