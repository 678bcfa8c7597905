"""From records to decoded events, each with its place in Kafka: the first half of every processor that stores events.

Every line of every record ends here as exactly one `Arrivals` entry or one dead letter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmtower_processors.runtime.envelopes import Envelope, envelope
from llmtower_processors.runtime.model import Batch, Block, Record
from llmtower_schemas import codec
from llmtower_schemas.codec import Malformed

OLDEST_MS = 400 * 86_400_000
"""Events older than this are dead letters: they would open table partitions without end."""
AHEAD_MS = 3_600_000
"""Events further in the future than this are dead letters: a clock is wrong."""
MAX_EVENTS = 10_000
"""Lines in one record; a record with more is one dead letter."""

Times = Callable[[Any], int]
"""Gives the time of an event, in nanoseconds, that decides its table partition."""


@dataclass(slots=True)
class Arrivals:
    """Events of one type and where each came from, as parallel lists."""

    events: list[Any] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    producers: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)

    def add(self, event: Any, record: Record, sender: Envelope, index: int) -> None:
        """Append one event."""
        self.events.append(event)
        self.offsets.append(record.offset)
        self.indexes.append(index)
        self.producers.append(sender.producer)
        self.seqs.append(sender.seq + index)

    def position(self, batch: Batch) -> dict[str, list[Any]]:
        """Give the columns by which a row is found again in Kafka."""
        n = len(self.events)
        return {
            "incarnation": [batch.incarnation] * n,
            "kafka_topic": [batch.topic] * n,
            "kafka_partition": [batch.partition] * n,
            "kafka_offset": self.offsets,
            "event_index": self.indexes,
        }

    def origin(self) -> dict[str, list[Any]]:
        """Give the columns that name the producer's run and the event's number in it."""
        return {"producer": self.producers, "producer_seq": self.seqs}


@dataclass(slots=True)
class DeadLetters(Arrivals):
    """Lines that cannot be stored: `events` holds (project, app, reason, raw bytes, record time in milliseconds)."""

    def blocks(self, batch: Batch) -> list[Block]:
        """Give the rows of `dead_letters` and `dead_letter_bytes`."""
        if not self.events:
            return []
        projects, apps, reasons, raws, times = zip(*self.events, strict=True)
        place = {name.removeprefix("kafka_"): column for name, column in self.position(batch).items()}
        at = [min(max(ms, batch.time_ms - OLDEST_MS), batch.time_ms + AHEAD_MS) for ms in times]
        letters = {
            "processor": [batch.processor] * len(raws),
            "project": projects,
            "app": apps,
            "reason": reasons,
            "bytes": [len(raw) for raw in raws],
            "at": at,
            **self.origin(),
            **place,
        }
        return [Block("dead_letters", letters), Block("dead_letter_bytes", {"raw": raws, "at": at, **place})]


def arrivals(batch: Batch, types: Mapping[type, Times]) -> tuple[dict[type, Arrivals], DeadLetters]:
    """Decode a batch. `types` says which events belong on the topic, and which of their times must be in range."""
    sorted_: dict[type, Arrivals] = {kind: Arrivals() for kind in types}
    dead = DeadLetters()
    oldest, newest = (batch.time_ms - OLDEST_MS) * 1_000_000, (batch.time_ms + AHEAD_MS) * 1_000_000
    for record in batch.records:
        sender = envelope(record)
        for index, event in enumerate(_decode(record.value)):
            kind = type(event)
            time_of = types.get(kind)
            if time_of is not None and oldest <= time_of(event) <= newest:
                sorted_[kind].add(event, record, sender, index)
            else:
                _bury(dead, event, record, sender, index=index, known=time_of is not None)
    return sorted_, dead


def _decode(value: bytes | None) -> Any:
    if value and value.count(b"\n") > MAX_EVENTS:
        return [Malformed(raw=value, reason=f"more than {MAX_EVENTS} lines in one record")]
    return codec.decode(value)


def _bury(dead: DeadLetters, event: Any, record: Record, sender: Envelope, *, index: int, known: bool) -> None:
    """Append one dead letter; its app is the event's own where it could be decoded, else the header's."""
    project, app = sender.project[:256], sender.app[:256]
    if isinstance(event, Malformed):
        reason, raw = event.reason, event.raw
    else:
        project, app = event.project, event.app
        reason = "time out of range" if known else f"{event.type} event does not belong on this topic"
        raw = (record.value or b"").split(b"\n")[index]
    dead.add((project, app, reason, raw, record.timestamp_ms), record, sender, index)
