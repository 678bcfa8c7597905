"""What may be kept of contents that come through the gateway: the same rules as in an application's own process."""

from typing import Any, Final

import orjson

from llmtower.contents import Limits, Policy, documents, message, parameters, prepare, stages
from llmtower.redaction import suspicious
from llmtower.truncation import MAX_EVENT_BYTES
from llmtower_processors.gateway.intake import Write
from llmtower_schemas.settings import Settings

_CONTENTS: Final = ("input", "output")
_MESSAGES: Final = ("error_message", "comment", "correction")
_TEXTS: Final = (*_CONTENTS, *_MESSAGES, "parameters")
_SHORT: Final = 8_192
"""Bytes of texts that no limit cuts."""


def content_writer(settings: Settings) -> Write:
    """Give what writes an event's line: capture mode, redaction and sizes by the settings; an event too large is cut, never dropped."""
    policy = Policy(head={}, capture=settings.capture, content_bytes=settings.sdk.content_bytes)
    ladder = stages(settings.sdk.content_bytes)
    short = min(_SHORT, settings.sdk.content_bytes) if settings.capture == "full" else 0

    def write(event: dict[str, Any]) -> bytes:
        if short and _harmless(event, short) and len(line := orjson.dumps(event)) <= MAX_EVENT_BYTES:
            return line
        for limits in ladder:
            line = orjson.dumps(_cleaned(event, policy, limits))
            if len(line) <= MAX_EVENT_BYTES:
                break
        return line

    return write


def _harmless(event: dict[str, Any], short: int) -> bool:
    """Say whether an event may stay as it is: half the time of taking its texts one by one, and true of most."""
    if "retrieved" in event or "embedding" in event:
        return False
    texts = orjson.dumps([event[name] for name in _TEXTS if name in event])
    return len(texts) <= short and not suspicious(texts)


def _cleaned(event: dict[str, Any], policy: Policy, limits: Limits) -> dict[str, Any]:
    made = dict(event)
    if event["type"] in ("response", "content") and policy.capture != "full":
        made["capture"] = policy.capture
    for name in _CONTENTS:
        if name in event:
            made[name] = prepare(_snapshot(event[name]), policy, limits)
    for name in _MESSAGES:
        if name in event:
            made[name] = message(str(event[name]), policy)
    if "retrieved" in event:
        made["retrieved"] = documents(orjson.dumps(event["retrieved"]), policy, limits)
    if "parameters" in event:
        made["parameters"] = parameters(orjson.dumps(event["parameters"]), policy, limits) or {}
    if len(event.get("embedding") or ()) > limits.embedding:
        del made["embedding"]
    return made


def _snapshot(value: Any) -> str | bytes | None:
    return value if isinstance(value, str) or value is None else orjson.dumps(value)
