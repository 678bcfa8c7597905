"""UUIDv7 in two steps: random bits in the caller (cheap), text only where somebody reads it (RFC 9562, section 5.7)."""

import os
import random
import time

_random = random.Random()  # noqa: S311 - ids, not secrets; its own instance, so that an application's seed cannot repeat ids
entropy = _random.getrandbits
"""Random bits for an id: `entropy(74)`."""


def uuid7(at_ns: int, bits: int) -> str:
    """Give the id made of a time and 74 random bits."""
    milliseconds = at_ns // 1_000_000
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    value = (milliseconds << 80) | (0x7 << 76) | (high << 64) | (0x2 << 62) | low
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_id() -> str:
    """Give a fresh id of now."""
    return uuid7(time.time_ns(), entropy(74))


def new_run() -> str:
    """Give the id of a process's run: a UUIDv7 in plain hexadecimal."""
    return new_id().replace("-", "")


def _reseed() -> None:
    _random.seed(os.urandom(32))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reseed)
