"""The size policy: a text beyond its limit is cut with a visible mark; an event beyond Kafka's limit is made to fit, never dropped."""

import re
from collections.abc import Callable
from typing import Any

MAX_EVENT_BYTES = 1_000_000
"""An event's line; Kafka's limit for a record is 1 MiB, and headers need room."""

MARK_BYTES = 48
"""A mark is never longer than this."""

_MAX_DEPTH = 60
_MARK = re.compile(r"…\[llmtower: cut, (\d+) bytes in all\]\Z")


def cut(text: str, limit: int) -> str:
    """Cut a text to `limit` bytes of UTF-8, mark included (`limit` >= 64); whole characters only. A second cut keeps the first's figure."""
    if len(text) * 4 <= limit:
        return text
    kept = text[:limit].encode("utf-8", "replace")
    if len(text) <= limit and len(kept) <= limit:
        return text
    before = _MARK.search(text[-MARK_BYTES:])
    total = before.group(1) if before else str(len(kept) + _bytes_of(text[limit:]))
    head = kept[: limit - MARK_BYTES].decode("utf-8", "ignore")
    return f"{head}…[llmtower: cut, {total} bytes in all]"


def _bytes_of(text: str) -> int:
    """Count UTF-8 bytes without encoding a huge text at once."""
    if text.isascii():
        return len(text)
    return sum(len(text[i : i + 65_536].encode("utf-8", "replace")) for i in range(0, len(text), 65_536))


def walk(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    """Copy a JSON value with every text (keys included) changed; below 60 levels a mark stands for the rest."""
    if isinstance(value, str):
        return change(value)
    if depth > _MAX_DEPTH:
        return "[llmtower: too deep]"
    if isinstance(value, dict):
        return {change(key): walk(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [walk(item, change, depth + 1) for item in value]
    return value
