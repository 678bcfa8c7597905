"""Token counts of spans into exclusive buckets.

By the conventions input includes what was read from and written to a cache, and output includes reasoning; older instrumentations of
Anthropic count as Anthropic does (input without the cache). Where the parts are more than the whole, the whole is taken as exclusive.
"""

from typing import Any, Final, NamedTuple

from llmtower_processors.otel.dialects import TOKENS, Said

MOST: Final = 1_000_000_000
_NAMES: Final = tuple(field.name for field in TOKENS)
_NONE: Final = dict.fromkeys(_NAMES, 0)


class Counted(NamedTuple):
    """Exclusive buckets that are not zero (None: nothing, or nonsense, was said), the habit, and the attributes as they came."""

    buckets: dict[str, int] | None
    convention: str
    raw: dict[str, Any]


def count(said: Said, raw: dict[str, Any]) -> Counted:
    """Convert a span's counts; `raw` are the attributes that say them."""
    if "input" not in said and "output" not in said:
        return Counted(None, "", raw)
    tokens = _NONE | {name: _number(said[name]) for name in _NAMES if name in said}
    if not 0 <= min(tokens.values()) <= max(tokens.values()) <= MOST:
        return Counted(None, "otel", raw)
    of_input = tokens["cache_read"] + tokens["cache_write"] + tokens["audio_input"]
    of_output = tokens["reasoning"] + tokens["audio_output"]
    inclusive = of_input <= tokens["input"]
    buckets = {
        "input_tokens": tokens["input"] - of_input if inclusive else tokens["input"],
        "cache_read_tokens": tokens["cache_read"],
        "cache_write_tokens": tokens["cache_write"],
        "output_tokens": tokens["output"] - of_output if of_output <= tokens["output"] else tokens["output"],
        "reasoning_tokens": tokens["reasoning"],
        "audio_input_tokens": tokens["audio_input"],
        "audio_output_tokens": tokens["audio_output"],
    }
    return Counted({name: number for name, number in buckets.items() if number}, "otel" if inclusive else "otel-exclusive", raw)


def _number(value: Any) -> int:
    """Give a whole number; -1 (nonsense) for what is none."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, (float, str)):
        return -1
    try:
        number = float(value)
        return int(number) if number == int(number) else -1
    except (ValueError, OverflowError):
        return -1
