"""Tokens by rule of thumb, for a stream whose end did not say what it used: flagged as estimated wherever they go. Pure.

Characters per token differ by script; the figures below are round ones for today's vocabularies of 100,000 to 200,000 entries: four in
Latin script, two and a half in others with letters, one where a character is a syllable or a word. Pictures and sound are not estimated.
"""

import re
from typing import Any

import orjson

from llmtower.snapshot import Snapshot

_ONE = re.compile(r"[\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef\U0001f000-\U0003ffff]")
"""Scripts of about one character per token; emoji."""

_FEW = re.compile(r"[\u0250-\u10ff\u1200-\u1fff]")
"""Other scripts beside the Latin one: Greek, Cyrillic, Arabic, the scripts of India …"""

_MESSAGE = 3
"""What a message costs beside its text (OpenAI's cookbook, "How to count tokens")."""

_TEXTS = ("content", "text", "refusal", "name", "arguments", "function", "tool_calls")
_THOUGHTS = ("reasoning_content", "reasoning")


def tokens(text: str) -> int:
    """Estimate the tokens of a text, rounded up."""
    if text.isascii():
        return -(-len(text) // 4)
    one, few = len(_ONE.findall(text)), len(_FEW.findall(text))
    return -(-(20 * one + 8 * few + 5 * (len(text) - one - few)) // 20)


def estimate(asked: Snapshot, parameters: Snapshot, said: Snapshot) -> dict[str, int]:
    """Estimate a call's token buckets from what was asked (tools included) and what has come."""
    question, answer = _json(asked), _json(said)
    tools = (_json(parameters) or {}).get("tools")
    given = _count(question, _TEXTS) + (tokens(orjson.dumps(tools).decode()) if tools else 0)
    messages = len(question) + 1 if isinstance(question, list) else 0
    buckets = {
        "input_tokens": given + _MESSAGE * messages,
        "output_tokens": _count(answer, _TEXTS),
        "reasoning_tokens": _thoughts(answer),
    }
    return {name: count for name, count in buckets.items() if count}


def _json(value: Snapshot) -> Any:
    return orjson.loads(value) if isinstance(value, bytes) else value


def _count(value: Any, keys: tuple[str, ...]) -> int:
    if isinstance(value, str):
        return tokens(value)
    if isinstance(value, list):
        return sum(_count(item, keys) for item in value)
    if isinstance(value, dict):
        return sum(_count(item, keys) for key, item in value.items() if key in keys)
    return 0


def _thoughts(answer: Any) -> int:
    messages = answer if isinstance(answer, list) else []
    return sum(_count(message.get(key), ()) for message in messages if isinstance(message, dict) for key in _THOUGHTS)
