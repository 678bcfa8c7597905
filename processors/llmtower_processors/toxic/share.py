"""The random share: which of the unsuspicious texts the strong model sees too, so that what stage 1 misses is still counted.

The share is fixed when a range is taken and stored with its pending commit (`Processor.parameter`); whether a text belongs to it follows
from the call's id. So a replay picks the same texts, and every row can carry the inverse of the probability with which it was picked.
"""

from hashlib import blake2b
from typing import Final

from llmtower_processors.runtime.model import Situation

MOST: Final = 0.05
"""Share while scoring keeps up."""
LEAST: Final = 0.001
CALM_S: Final = 10.0
"""As long as the oldest text is no older than this, scoring keeps up; from there on the share falls with the square of the age."""


def share_for(behind_s: float) -> float:
    """Give the share for a range whose oldest text is so old; it reaches `LEAST` at 71 s."""
    return MOST if behind_s <= CALM_S else max(LEAST, MOST * (CALM_S / behind_s) ** 2)


def parameter_for(situation: Situation) -> str:
    """Write the share as a range's parameter."""
    return f"share={share_for(situation.behind_ms / 1_000):.6g}"


def share_in(parameter: str) -> float:
    """Read the share of a range's parameter; a range without one was announced before there were shares, and gets the smallest."""
    name, _, value = parameter.partition("=")
    try:
        return min(1.0, max(LEAST, float(value))) if name == "share" else LEAST
    except ValueError:
        return LEAST


def picked(call_id: str, name: str, share: float) -> bool:
    """Tell whether a text belongs to the random share: uniform over calls, the same whenever it is asked."""
    number = int.from_bytes(blake2b(f"{name}:{call_id}".encode(), digest_size=8).digest())
    return number < share * 2.0**64
