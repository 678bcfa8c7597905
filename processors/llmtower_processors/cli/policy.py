"""What may be kept of contents that come through the gateway: the same rules as in an application's own process."""

from typing import Any

import orjson

from llmtower.contents import Limits, Policy, documents, message, parameters, prepare, stages
from llmtower.truncation import MAX_EVENT_BYTES
from llmtower_processors.gateway.intake import Write
from llmtower_schemas.settings import Settings

_CONTENTS = ("input", "output")
_MESSAGES = ("error_message", "comment", "correction")


def content_writer(settings: Settings) -> Write:
    """Give what writes an event's line: capture mode, redaction and sizes by the settings; an event too large is cut, never dropped."""
    policy = Policy(head={}, capture=settings.capture, content_bytes=settings.sdk.content_bytes)
    ladder = stages(settings.sdk.content_bytes)

    def write(event: dict[str, Any]) -> bytes:
        for limits in ladder:
            line = orjson.dumps(_cleaned(event, policy, limits))
            if len(line) <= MAX_EVENT_BYTES:
                break
        return line

    return write


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
