"""The size policy: a text beyond its limit is cut with a visible mark; an event beyond Kafka's limit is made to fit, never dropped."""

import re
from collections.abc import Callable
from typing import Any

MAX_EVENT_BYTES = 1_000_000
"""An event's line; Kafka's limit for a record is 1 MiB, and headers need room."""

MARK_BYTES = 48
"""A mark is never longer than this."""

_COUNTED = 4 << 20
"""Characters whose bytes are counted one by one."""

_MAX_DEPTH = 60
_MARK = re.compile(r"…\[llmtower: cut, (\d+\+?) bytes in all\]\Z")


def cut(text: str, limit: int, total: str = "") -> str:
    """Cut a text to `limit` bytes of UTF-8, mark included (`limit` >= 64); whole characters only. A second cut keeps the first's figure.

    `total` is what the mark says of the whole, where `text` is but its beginning.
    """
    if not total and len(text) * 4 <= limit:
        return text
    kept = text[:limit].encode("utf-8", "replace")
    if not total and len(text) <= limit and len(kept) <= limit:
        return text
    before = _MARK.search(text[-MARK_BYTES:])
    said = total or (before.group(1) if before else _bytes_of(text, limit, len(kept)))
    head = kept[: limit - MARK_BYTES].decode("utf-8", "ignore")
    return f"{head}…[llmtower: cut, {said} bytes in all]"


def _bytes_of(text: str, start: int, before: int) -> str:
    """Count a text's UTF-8 bytes from `start` on, in pieces; of a huge one that is not ASCII only a lower bound is worth the time."""
    if text.isascii():
        return str(len(text))
    if len(text) - start > _COUNTED:
        return f"{before + len(text) - start}+"
    return str(before + sum(len(text[i : i + 65_536].encode("utf-8", "replace")) for i in range(start, len(text), 65_536)))


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
