"""The seam between the courier and Kafka: an envelope, the protocol, and the implementation in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol
from zlib import crc32

from llmtower.errors import Rejected, Undelivered
from llmtower.places import ANYWHERE, LAST
from llmtower.truncation import MAX_EVENT_BYTES
from llmtower_schemas.codec import EnvelopeHeaders, encode

THREAD = "llmtower"
"""Name of the courier's thread."""

MAX_EVENTS = 500
MAX_BYTES = 512_000
"""An envelope is closed at this many events or bytes; one larger event travels alone."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One Kafka record to be: its boundaries, numbers and partition never change once it may have been sent."""

    topic: str
    partition: int
    """ANYWHERE or LAST: never attempted, not chosen yet."""
    headers: tuple[tuple[str, bytes], ...]
    value: bytes
    producer: str
    seq: int
    count: int
    at_ns: int
    """Time of the oldest event inside."""
    counted: bool = True
    """False for heartbeats: the books count the application's events only."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What names an envelope for ever, placed or not."""
        return self.topic, self.producer, self.seq

    def placed(self, partitions: int) -> "Envelope":
        """Give the envelope with its partition: kept if chosen, else a pure function of place, producer and number."""
        if self.partition >= 0:
            return self
        if self.partition == LAST:
            return replace(self, partition=partitions - 1)
        return replace(self, partition=crc32(f"{self.producer}:{self.seq}".encode()) % partitions)


def seal(
    topic: str,
    project: str,
    app: str,
    lines: list[bytes],
    *,
    producer: str,
    seq: int,
    at_ns: int,
    counted: bool = True,
    place: int = ANYWHERE,
) -> Envelope:
    """Close an envelope over lines that are JSON already."""
    headers = EnvelopeHeaders(producer=producer, seq=seq, count=len(lines), project=project, app=app)
    return Envelope(topic, place, tuple(headers.encode()), encode(lines), producer, seq, len(lines), at_ns, counted)


class Transport(Protocol):
    """What delivers envelopes. All methods are called from one event loop."""

    async def start(self) -> None:
        """Connect; raises Undelivered when that is impossible now."""

    def partitions(self, topic: str) -> int:
        """Give the number of partitions of a topic; known once started."""

    async def send(self, envelope: Envelope) -> None:
        """Return when the envelope is acknowledged; raises Undelivered (outcome unknown or never attempted) or Rejected (for good)."""

    async def stop(self) -> None:
        """Disconnect; may be cancelled, may follow a failed start."""


OpenTransport = Callable[[], Transport]
"""Gives a fresh transport for each attempt to connect."""


class MemoryTransport:
    """A broker in memory; `down` and `silent` make it refuse and swallow, as brokers do."""

    def __init__(self, *, partitions: int = 4) -> None:
        self.records: list[Envelope] = []
        self.down = False
        """True: connecting and sending fail at once."""
        self.silent = False
        """True: nothing is answered, and nothing stored."""
        self.lose_answers = False
        """True: envelopes are stored, but the sender never hears of it."""
        self._partitions = partitions

    async def start(self) -> None:
        """Connect."""
        if self.down:
            raise Undelivered("the broker in memory is down", attempted=False)

    def partitions(self, topic: str) -> int:
        """Give the same number for every topic."""
        return self._partitions

    async def send(self, envelope: Envelope) -> None:
        """Store the envelope."""
        if self.down:
            raise Undelivered("the broker in memory is down", attempted=False)
        if self.silent:
            await asyncio.Event().wait()
        if len(envelope.value) > MAX_EVENT_BYTES + 48_576:
            raise Rejected("the envelope is larger than a record may be")
        self.records.append(envelope)
        if self.lose_answers:
            raise Undelivered("the answer was lost", attempted=True)

    async def stop(self) -> None:
        """Disconnect."""
