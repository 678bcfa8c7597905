"""What was asked and what was answered, as plain text, out of the JSON that a call carries; and what the answer did besides talking."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

LONGEST: Final = 32_768
"""Characters of a text that are looked at; a longer one is counted as cut."""

_read = msgspec.json.Decoder().decode
_read_text = msgspec.json.Decoder(str).decode
_USER: Final = frozenset({"user", "human"})
_TEXTS: Final = ("content", "text", "parts", "message")
"""Where the formats of providers keep what was said, in the order of looking."""
_TOOLS: Final = frozenset({"tool_use", "function_call", "tool_call"})
_DEEPEST: Final = 8


def asked(raw: msgspec.Raw) -> str:
    """Give what the user said last: a system prompt that never changes would hide what does. '' where there is nothing."""
    return _said(raw, users_only=True)


def answered(raw: msgspec.Raw) -> str:
    """Give all that was answered. '' where there is nothing."""
    return _said(raw, users_only=False)


def _said(raw: msgspec.Raw, *, users_only: bool) -> str:
    text = bytes(raw)
    if text.startswith(b'"'):
        return _read_text(text)
    if not text or text == b"null":
        return ""
    value = _read(text)
    if users_only and isinstance(value, list):
        value = _last_of_user(value)
    return "\n".join(filter(None, _texts(value, 0)))


def is_blank(raw: msgspec.Raw) -> bool:
    """Say whether there is a place for text and nothing in it: content of other kinds (images, tool calls) is not blank."""
    return any(True for _ in _texts(_read(bytes(raw)), 0))


def _last_of_user(messages: list[Any]) -> Any:
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") in _USER:
            return message
    return messages[-1:] if any(isinstance(message, dict) and "role" in message for message in messages) else messages


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST:
        for inner in _inside(value):
            yield from _texts(inner, depth + 1)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, Mapping):
        return [value[name] for name in _TEXTS if name in value][:1]
    return []


def calls_tools(raw: msgspec.Raw, finish_reasons: list[str]) -> bool:
    """Say whether the model called a tool."""
    if any(reason.startswith("tool") or reason == "function_call" for reason in finish_reasons):
        return True
    text = bytes(raw)
    if b"tool" not in text and b"function_call" not in text:
        return False
    return not text.startswith(b'"') and _has_tools(_read(text), 0)


def _has_tools(value: Any, depth: int) -> bool:
    if isinstance(value, list):
        return depth < _DEEPEST and any(_has_tools(inner, depth + 1) for inner in value)
    if not isinstance(value, dict):
        return False
    return bool(value.get("tool_calls")) or value.get("type") in _TOOLS or _has_tools(value.get("content"), depth + 1)
