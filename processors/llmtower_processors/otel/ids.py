"""Identities derived from what a client says, so that the same span or event sent again is recognised as the same.

The record of such an event carries (producer, seq) made of its identity, and stands in one partition chosen by it: the runtime then drops
what its ledger has already, exactly as it drops envelopes sent twice (design section 4, rule 8). 74 bits: a billion events in the ledger
leave a chance of 1 in 10^13 that a new one is taken for an old one.
"""

from hashlib import blake2b
from typing import NamedTuple


class Identity(NamedTuple):
    """What the record's headers say, and the number that chooses its partition."""

    producer: str
    seq: int
    spread: int


def span_uuid(project: str, trace_id: str, span_id: str) -> str:
    """Give the call or step id of a span: a UUID of version 8 (RFC 9562), the same whenever and wherever the span arrives."""
    return content_uuid(project, trace_id, span_id)


def content_uuid(*parts: object) -> str:
    """Give a UUID of version 8 made of these parts, for an event that has no id of its own."""
    made = blake2b("\0".join(map(str, parts)).encode("utf-8", "replace"), digest_size=16).hexdigest()
    return f"{made[:8]}-{made[8:12]}-8{made[13:16]}-{'89ab'[int(made[16], 16) & 3]}{made[17:20]}-{made[20:]}"


def identity(project: str, kind: str, event_id: str) -> Identity:
    """Give the identity of an event of a project."""
    made = int.from_bytes(blake2b(f"{project}\0{kind}\0{event_id}".encode(), digest_size=12).digest(), "big")
    return Identity(f"id-{made >> 84:03x}", (made >> 20) & ((1 << 62) - 1), made & 0xFFFFF)
