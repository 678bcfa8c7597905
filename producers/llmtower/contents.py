"""What may leave the process of prompts, outputs and documents: capture mode, redaction, size. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, Literal

import orjson

from llmtower.errors import warn_once
from llmtower.redaction import RedactHook, redact, suspicious
from llmtower.snapshot import Snapshot, valid_text
from llmtower.truncation import MAX_EVENT_BYTES, cut, walk

Capture = Literal["off", "hash", "full"]
HOOK_FAILED = "[llmtower: content dropped, the redact hook failed]"

_MARGIN = 8_192
"""Redaction sees this much beyond the cut, so that half a secret does not survive it."""

_WORDS = ("reasoning_effort", "service_tier", "tool_choice", "verbosity", "truncation", "encoding_format", "size", "quality")
"""Parameters whose text says nothing of anybody: kept even where contents are not."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One process's rules, and the fields that all its events share."""

    head: Mapping[str, Any]
    capture: Capture = "full"
    content_bytes: int = 65_536
    hook: RedactHook | None = None
    hook_failed: Callable[[], int] = field(default=lambda: 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes allowed for one text and for one field, in JSON."""

    text: int
    field: int
    embedding: int = 16_384


@cache
def stages(full: int) -> tuple[Limits, ...]:
    """Give ever tighter limits, from `full` bytes for a text on: the last one fits any event into Kafka's."""
    return (
        Limits(full, MAX_EVENT_BYTES * 9 // 10),
        Limits(max(256, full // 8), MAX_EVENT_BYTES // 5),
        Limits(min(1_024, full), MAX_EVENT_BYTES // 16),
        Limits(256, 16_000, embedding=0),
    )


def prepare(value: Snapshot, policy: Policy, limits: Limits) -> Any:
    """Give what stands in the event for a captured value: JSON as it is where nothing has to change, else its cleaned copy."""
    if value is None or policy.capture == "off":
        return None
    raw = _encode(value) if isinstance(value, str) and len(value) <= limits.text else value
    if policy.capture == "hash":
        return _hash(raw)
    if isinstance(raw, bytes) and len(raw) <= limits.text and policy.hook is None and not suspicious(raw):
        return orjson.Fragment(raw)
    try:
        cleaned = walk(value if isinstance(value, str) else orjson.loads(value), lambda text: clean(text, policy, limits.text))
    except _HookFailed:
        return HOOK_FAILED
    return _bounded(cleaned, limits)


def clean(text: str, policy: Policy, limit: int, *, harmless: bool = False) -> str:
    """Redact (unless it is known to be harmless) and cut one text; what lies far beyond the cut is never looked at."""
    text = valid_text(text) if len(text) <= limit else cut(text, limit + _MARGIN)
    text = text if harmless else redact(text)
    if policy.hook is not None:
        text = _apply(policy, text)
    return cut(text, limit)


def _apply(policy: Policy, text: str) -> str:
    assert policy.hook is not None  # noqa: S101 - for the type checker
    try:
        answer = policy.hook(text)
        if isinstance(answer, str):
            return valid_text(answer)
        raise TypeError("a redact hook must return text")
    except Exception as error:  # the application's own code
        policy.hook_failed()
        warn_once("redact", "The redact hook raised %s: content is dropped, not sent.", type(error).__name__)
        raise _HookFailed from None


def _bounded(cleaned: Any, limits: Limits) -> Any:
    raw = orjson.dumps(cleaned)
    if len(raw) <= limits.field:
        return orjson.Fragment(raw)
    return cut(cleaned if isinstance(cleaned, str) else raw.decode(), max(256, limits.field // 2))


def _encode(text: str) -> bytes:
    try:
        return orjson.dumps(text)
    except TypeError:
        return orjson.dumps(valid_text(text))


def _hash(raw: bytes | str) -> dict[str, Any]:
    content = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
    return {"sha256": sha256(content).hexdigest(), "bytes": len(content)}


def message(text: str, policy: Policy, *, harmless: bool = False) -> str:
    """Give a text that belongs to the contents (an error's message, a comment), or nothing where contents are not captured."""
    if policy.capture != "full" or not text:
        return ""
    try:
        return clean(text, policy, min(policy.content_bytes, 8_192), harmless=harmless)
    except _HookFailed:
        return HOOK_FAILED


def parameters(value: Snapshot, policy: Policy, limits: Limits) -> Any:
    """Give a call's parameters; without full capture only figures, switches and a few known words are left."""
    if value is None or isinstance(value, str):
        return None
    if policy.capture != "full":
        given = orjson.loads(value)
        return {k: v for k, v in given.items() if isinstance(v, (bool, int, float)) or k in _WORDS} if isinstance(given, dict) else None
    prepared = prepare(value, policy, limits)
    return {"cut": prepared} if isinstance(prepared, str) else prepared


def figures(value: Any) -> Any:
    """Give what a JSON value counts: its numbers and switches, without any text but the names of its fields."""
    if isinstance(value, dict):
        kept = {key: figures(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    return value if isinstance(value, (bool, int, float)) else None


def documents(value: Snapshot, policy: Policy, limits: Limits) -> list[dict[str, Any]]:
    """Give retrieved documents as id, score and bounded text, whatever shape they came in."""
    if not isinstance(value, bytes):
        return []
    given, harmless = orjson.loads(value), not suspicious(value)
    return [_document(item, policy, limits, harmless=harmless) for item in (given if isinstance(given, list) else [given])[:100]]


def _document(item: Any, policy: Policy, limits: Limits, *, harmless: bool) -> dict[str, Any]:
    if not isinstance(item, dict):
        item = {"text": item if isinstance(item, str) else ""}
    score = item.get("score")
    text = next((item[key] for key in ("text", "content", "page_content", "document") if isinstance(item.get(key), str)), None)
    title = str(item.get("id") or "")[:1_024]
    document: dict[str, Any] = {"id": title if harmless else redact(title)[:1_024]}
    if isinstance(score, (int, float)) and not isinstance(score, bool):
        document["score"] = score
    changed = item.get("updated_at_ms")
    if isinstance(changed, int) and 0 <= changed < 1 << 53 and not isinstance(changed, bool):
        document["updated_at_ms"] = changed
    if text is not None and policy.capture == "full":
        document["text"] = message(cut(text, min(limits.text, 8_192)), policy, harmless=harmless)
    elif text is not None and policy.capture == "hash":
        document.update(_hash(text))
    return document


class _HookFailed(Exception):  # noqa: N818 - never leaves this module
    pass
