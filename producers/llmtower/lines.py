"""From what the caller left to a line of an envelope: one JSON object per event, within Kafka's limit. Pure; for the courier's thread."""

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from llmtower import scope
from llmtower.classification import Failure
from llmtower.contents import Limits, Policy, documents, figures, message, parameters, prepare, stages
from llmtower.estimate import estimate
from llmtower.outbox import Item
from llmtower.places import ANYWHERE, LAST
from llmtower.redaction import redact, suspicious
from llmtower.scope import label, name
from llmtower.snapshot import NEWLINE, dump_safely
from llmtower.truncation import MAX_EVENT_BYTES, walk
from llmtower.usage import convert

if TYPE_CHECKING:
    from llmtower.calls import Call

CALLS = "llmtower.calls"
SIGNALS = "llmtower.signals"

OLD_NS = 3_600 * 10**9
"""A recorded call that began so long before it is recorded is of a history."""

_MAX_RAW_USAGE = 16_384
_INTEGERS = {
    "retries": 65_535,
    "http_status": 999,
    "rate_limit_remaining_requests": (1 << 62) - 1,
    "rate_limit_remaining_tokens": (1 << 62) - 1,
    "tool_fees_nano_usd": (1 << 62) - 1,
}
_NAMES = ("service_tier",)


class Line(NamedTuple):
    """An event ready for its envelope."""

    topic: str
    project: str
    app: str
    json: bytes
    place: int = ANYWHERE


class TooLarge(Exception):  # noqa: N818 - never leaves the courier
    """An event that no policy makes small enough."""


def request(item: Item, policy: Policy) -> Line:
    """Assemble the `request` event of a call."""
    call: Call = item[1]
    event = {"type": "request", **_call(call, policy)}
    timeout = call.timeout
    if isinstance(timeout, (int, float)) and isfinite(timeout) and 0 <= timeout < 1e9:
        event["timeout_ms"] = int(timeout * 1_000)
    return _line(CALLS, policy.head, event)


def response(item: Item, policy: Policy) -> Line:
    """Assemble the `response` event of a call."""
    return _fit(policy, lambda limits: _response(item[1], policy, limits))


def step(item: Item, policy: Policy) -> Line:
    """Assemble the `step` event of a step."""
    return _fit(policy, lambda limits: _step(item[1], policy, limits))


def recorded(item: Item, policy: Policy) -> Line:
    """Assemble an event that was given to `record`: contents cleaned like those of calls, unknown fields kept."""
    topic, raw = item[1]
    return _fit(policy, lambda limits: _recorded(topic, raw, item[3], policy, limits))


def _fit(policy: Policy, build: Callable[[Limits], Line]) -> Line:
    """Build under ever tighter limits until the event fits."""
    for limits in stages(policy.content_bytes):
        line = build(limits)
        if len(line.json) <= MAX_EVENT_BYTES:
            return line
    raise TooLarge


def _line(topic: str, head: Mapping[str, Any], event: dict[str, Any], place: int = ANYWHERE) -> Line:
    try:
        raw = orjson.dumps(event, None, NEWLINE)[:-1]
    except TypeError:
        raw = dump_safely(event)
    return Line(topic, head["project"], head["app"], raw, place)


def _call(call: "Call", policy: Policy) -> dict[str, Any]:
    event: dict[str, Any] = {
        "call_id": call.id,
        **policy.head,
        **call.context,
        "operation": name(call.operation) or "chat",
        "provider": name(call.provider),
        "request_model": name(call.model),
        "started_at_ns": call.at_ns,
    }
    if call.stream:
        event["stream"] = True
    if call.instrumentation:
        event["instrumentation"] = name(call.instrumentation)
    if call.parent is not None:
        event["parent_id"] = call.parent.id
    return event


def _response(call: "Call", policy: Policy, limits: Limits) -> Line:
    event = {"type": "response", **_call(call, policy), "duration_us": max(0, call.taken_ns) // 1_000}
    named = {"response_id": name(call.response_id), "response_model": name(call.response_model), "embedder": name(call.embedder)}
    event |= _given(**named)
    if call.ttft_ns:
        event |= {"stream": True, "ttft_us": max(0, call.ttft_ns) // 1_000}
    if call.finish_reasons:
        event["finish_reasons"] = [name(reason) for reason in call.finish_reasons[:32]]
    if call.cost_usd is not None:
        event |= _given(reported_cost_nano_usd=nano_usd(call.cost_usd))
    if call.usage is not None:
        event |= _usage(call.usage, policy)
    if call.details is not None:
        event |= _details(call.details)
    if call.usage is None and event.get("usage_source") == "estimated":
        buckets = estimate(call.input, call.parameters, call.output)
        event |= {"usage": buckets} if buckets else {"usage_source": "missing"}
    event |= _failure(call.failure, policy)
    event |= _given(
        parameters=parameters(call.parameters, policy, limits),
        input=prepare(call.input, policy, limits),
        output=prepare(call.output, policy, limits),
        retrieved=documents(call.retrieved, policy, limits),
        embedding=_vector(call.embedding, limits),
    )
    if policy.capture != "full":
        event["capture"] = policy.capture
    return _line(CALLS, policy.head, event)


def _step(item: Any, policy: Policy, limits: Limits) -> Line:
    event: dict[str, Any] = {
        "type": "step",
        "step_id": item.id,
        **policy.head,
        **item.context,
        "name": label(item.name),
        "kind": item.kind,
        "started_at_ns": item.at_ns,
        "duration_us": max(0, item.end - item.start) // 1_000,
    }
    failed = _failure(item.failure, policy)
    event |= _given(
        parent_id=item.parent.id if item.parent is not None else None,
        status=failed.get("status"),
        error_class=failed.get("error_class"),
        error_type=failed.get("error_type"),
        attributes=item.attributes,
        input=prepare(item.input, policy, limits),
        output=prepare(item.output, policy, limits),
        retrieved=documents(item.retrieved, policy, limits),
    )
    return _line(CALLS, policy.head, event)


def _recorded(topic: str, raw: bytes, at_ns: int, policy: Policy, limits: Limits) -> Line:
    event = orjson.loads(raw)
    for key in ("input", "output"):
        if event.get(key) is not None:
            event[key] = prepare(orjson.dumps(event[key]), policy, limits)
    for key in ("error_message", "comment", "correction"):
        if event.get(key):
            event[key] = message(event[key], policy)
    for key in (*scope.NAMES, "name"):
        if event.get(key):
            event[key] = label(event[key])
    for key in ("tags", "attributes"):
        if event.get(key):
            event[key] = {label(title): label(value) for title, value in event[key].items()}
    if event.get("parameters"):
        event["parameters"] = parameters(orjson.dumps(event["parameters"]), policy, limits) or {}
    if event.get("retrieved"):
        event["retrieved"] = documents(orjson.dumps(event["retrieved"]), policy, limits)
    if policy.capture != "full" and event["type"] == "response":
        event["capture"] = policy.capture
    began = event.get("started_at_ns")  # None, or a number as text, where the contract allows it
    return _line(topic, event, event, LAST if isinstance(began, int) and at_ns - began > OLD_NS else ANYWHERE)


def _given(**fields: Any) -> dict[str, Any]:
    """Leave out what stands at its default."""
    return {key: value for key, value in fields.items() if value is not None and value not in ("", [], {})}


def _failure(failure: Failure | None, policy: Policy) -> dict[str, Any]:
    if failure is None:
        return {}
    event = {"status": "error", "error_class": failure.error_class, "error_type": name(failure.error_type)}
    return event | _given(http_status=failure.http_status, error_message=message(failure.message, policy))


def _usage(raw: bytes | str, policy: Policy) -> dict[str, Any]:
    """Convert the usage that was given; what cannot be counted is kept as it came, and counted as missing."""
    given = orjson.loads(raw) if isinstance(raw, bytes) else None
    if not isinstance(raw, bytes) or not isinstance(given, dict):
        return {}
    converted = convert(given)
    event: dict[str, Any] = {"usage_source": "missing" if converted.buckets is None else "provider"}
    event |= _given(usage_convention=converted.convention)
    if converted.buckets is not None:
        event["usage"] = converted.buckets
    if converted.convention != "llmtower" and len(raw) <= _MAX_RAW_USAGE:
        event["usage_raw"] = figures(given) if policy.capture != "full" else walk(given, redact) if suspicious(raw) else given
    return event


def _details(raw: bytes | str) -> dict[str, Any]:
    """Take the further fields that the event contract knows; others are left out rather than guessed."""
    given = orjson.loads(raw)
    event: dict[str, Any] = {key: name(given[key]) for key in _NAMES if given.get(key)}
    for key, most in _INTEGERS.items():
        value = given.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            event[key] = value
    if given.get("usage_source") in ("estimated", "missing"):
        event["usage_source"] = given["usage_source"]
    return event


def _vector(vector: tuple[float, ...] | None, limits: Limits) -> list[float] | None:
    """Give an embedding, unless it is absurdly long or holds what is no number."""
    if not vector or len(vector) > limits.embedding:
        return None
    try:
        return [float(value) for value in vector] if all(map(isfinite, vector)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def nano_usd(amount: Any) -> int | None:
    """Give dollars (Decimal, float, int or text) as integer nano-dollars, rounded half-even; None for what is no amount."""
    try:
        exact = Decimal(str(amount)) * 1_000_000_000
        value = int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return value if abs(value) < 1 << 62 else None
