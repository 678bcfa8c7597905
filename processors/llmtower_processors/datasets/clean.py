"""Stored texts without secrets and personal data, and what each text says. Redaction is passed in: it is the SDK's."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec
import orjson

from llmtower_processors.drift.said import answered, asked

Redact = Callable[[str], str]
_MARK: Final = re.compile(r"\[redacted:([a-z-]{1,40})\]")
_DEEPEST: Final = 60
_HASHED: Final = re.compile(r'\{"(?:sha256":"[0-9a-f]{64}"|bytes":\d+),"(?:sha256":"[0-9a-f]{64}"|bytes":\d+)\}')


def cleaned(text: str, redact: Redact) -> str:
    """Redact a stored content: every text within it where it is JSON, all of it where it is plain text."""
    if text[:1] not in ("{", "["):
        return redact(text)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return redact(text)
    changed = _walk(value, redact, 0)
    return text if changed == value else orjson.dumps(changed).decode()


def _walk(value: Any, redact: Redact, depth: int) -> Any:
    if isinstance(value, str):
        return redact(value)
    if depth > _DEEPEST:
        return "[llmtower: too deep]"
    if isinstance(value, dict):
        return {redact(key): _walk(item, redact, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, redact, depth + 1) for item in value]
    return value


def marks(*texts: str) -> Counter[str]:
    """Count the marks of redaction in texts, by kind."""
    return Counter(kind for text in texts if "[redacted:" in text for kind in _MARK.findall(text))


def is_text(content: str) -> bool:
    """Say whether a content is there at all: not empty, and no hash in its place (capture mode `hash`)."""
    return bool(content) and _HASHED.fullmatch(content) is None


def spoken(given: str, answer: str) -> str:
    """Give what was asked last and what was answered, by which texts are compared: a system prompt that all share says nothing."""
    return f"{_read(given, asked)}\n{_read(answer, answered)}"


def _read(content: str, how: Callable[[msgspec.Raw], str]) -> str:
    if content[:1] not in ("{", "["):
        return content
    try:
        return how(msgspec.Raw(content.encode("utf-8", "replace")))
    except (msgspec.MsgspecError, RecursionError):
        return content
