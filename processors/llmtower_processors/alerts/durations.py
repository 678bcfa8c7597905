"""Durations as people write them, and as Grafana does. Pure."""

import re
from typing import Any

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def seconds(value: Any) -> Any:
    """Read a duration: `90s`, `5m`, `1h 30m`, `2d`; a bare number is seconds. Raises ValueError."""
    if not isinstance(value, str):
        return value
    parts = _DURATION.findall(value)
    if not parts or _DURATION.sub("", value).strip():
        raise ValueError(f"{value!r} is no duration; write 90s, 5m, 1h 30m or 2d")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def duration(seconds: float) -> str:
    """Write a duration as Grafana gives it back, so that what was pushed is found unchanged."""
    left, text = round(seconds), ""
    for unit, length in (("w", 604_800), ("d", 86_400)):
        if left and left % length == 0:
            return f"{left // length}{unit}"
    for unit, length in (("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
