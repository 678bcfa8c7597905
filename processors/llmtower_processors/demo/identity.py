"""UUIDv7 ids and the clock, for the demo's own events."""

import random
import time
from uuid import UUID


def now_ns() -> int:
    """Give the time in nanoseconds since 1970."""
    return time.time_ns()


def uuid7(at_ns: int, chance: random.Random) -> str:
    """Give a UUIDv7 (RFC 9562) of a moment with seeded random bits."""
    value = (at_ns // 1_000_000 & (1 << 48) - 1) << 80 | 0x7 << 76 | chance.getrandbits(12) << 64 | 0b10 << 62 | chance.getrandbits(62)
    return str(UUID(int=value))


def new_id() -> str:
    """Give a UUIDv7 of now."""
    return uuid7(now_ns(), random.SystemRandom())
