"""Events that the application makes itself: deploys, feedback, scores, or whole responses."""

import time
from collections.abc import Mapping
from typing import Any, cast

import orjson

from llmtower import lines, state
from llmtower.errors import warn_once
from llmtower.ids import new_id
from llmtower.outbox import OVERHEAD_BYTES
from llmtower.snapshot import NEWLINE, snapshot
from llmtower_schemas.codec import Malformed, decode_line, encode_event
from llmtower_schemas.events import EVENTS, Event

_CALLS = ("request", "response", "step")
_FILLED = {"feedback": "feedback_id", "score": "score_id", "deploy": "deploy_id"}


def record(event: Any) -> None:
    """Check an event against the contract, and leave its snapshot in the outbox."""
    client = state.client
    if client is None:
        return None
    head = client.options.policy.head
    fields = orjson.loads(encode_event(cast(Event, event))) if isinstance(event, tuple(EVENTS.values())) else _filled(event)
    merged = {"project": "default", **{key: value for key, value in head.items() if value}, **fields}
    raw = orjson.dumps(merged, None, NEWLINE)[:-1]
    checked: Event | Malformed = decode_line(raw)
    if isinstance(checked, Malformed):
        warn_once(f"invalid {checked.reason}", "llmtower.record: the event does not fit its contract (%s); it is dropped.", checked.reason)
        return client.outbox.refuse("invalid")
    topic = lines.CALLS if merged["type"] in _CALLS else lines.SIGNALS
    return client.outbox.put((lines.recorded, (topic, raw), OVERHEAD_BYTES + len(raw), time.time_ns()))


def feedback(targets: Mapping[str, str], said: Mapping[str, Any]) -> None:
    """Record an opinion of exactly one target (a kind and its id)."""
    return _of_one("feedback", targets, said)


def score(targets: Mapping[str, str], said: Mapping[str, Any]) -> None:
    """Record a score of exactly one target."""
    return _of_one("score", targets, said)


def _of_one(kind: str, targets: Mapping[str, str], said: Mapping[str, Any]) -> None:
    named = {target_kind: target for target_kind, target in targets.items() if target}
    if len(named) != 1:
        warn_once(
            f"{kind} target", f"llmtower.{kind}: give one of call_id, response_id and trace_id (%d are given); it is dropped.", len(named)
        )
        return state.client.outbox.refuse("invalid") if state.client is not None else None
    ((target_kind, target),) = named.items()
    return record({"type": kind, "target_kind": target_kind, "target_id": str(target), **said})


def _filled(event: Any) -> dict[str, Any]:
    """Give a mapping's fields with id and time filled in."""
    raw = snapshot(event) if isinstance(event, Mapping) else None
    fields: dict[str, Any] = orjson.loads(raw) if isinstance(raw, bytes) else {}
    identity = _FILLED.get(str(fields.get("type")))
    return {identity: new_id(), "at_ns": time.time_ns(), **fields} if identity else fields
