"""From records to events, each with its place in Kafka: the first half of every processor that stores events.

Every line of every record ends here as exactly one arrival or one dead letter.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, compress, repeat
from typing import Any, NamedTuple

from llmtower_processors.native import Constant
from llmtower_processors.runtime.envelopes import Envelope, envelope
from llmtower_processors.runtime.model import Batch, Record
from llmtower_processors.wire import doubtful, read_records, read_slowly, split_lines
from llmtower_schemas.codec import Malformed

OLDEST_MS = 400 * 86_400_000
"""Events older than this are dead letters: they would open table partitions without end."""
AHEAD_MS = 3_600_000
"""Events further in the future than this are dead letters: a clock is wrong."""

PORTION_BYTES = 512 * 1024
"""Bytes of records turned into columns at a time."""

TimeOf = Callable[[Any], int]
"""Gives the time of an event, in nanoseconds, by which its row is partitioned."""


class Arrival(NamedTuple):
    """Where one event came from."""

    record: Record
    sender: Envelope
    line: int


class Arrivals(NamedTuple):
    """Events of one type and where each came from, as parallel columns; plain lists, because a container per event costs collections."""

    events: list[Any]
    records: list[Record]
    senders: list[Envelope]
    lines: list[int]
    unknown: list[str]
    """JSON of the fields that this version does not know, or ''."""

    def place(self, index: int) -> Arrival:
        """Give the place of one event."""
        return Arrival(self.records[index], self.senders[index], self.lines[index])


class DeadLetter(NamedTuple):
    """A line that cannot be stored, with a reason that holds nothing of it."""

    project: str
    app: str
    reason: str
    raw: bytes
    at: Arrival


class Sorted(NamedTuple):
    """What became of a batch; types that did not occur are left out."""

    arrivals: Mapping[type, Arrivals]
    dead_letters: Sequence[DeadLetter]


def sort_events(batch: Batch, types: Mapping[type, TimeOf]) -> Sorted:
    """Read a batch. `types` says which events belong on the topic, and which of their times must be in range."""
    events, counts, unknown = read_records([record.value for record in batch.records])
    senders = batch.senders or list(map(envelope, batch.records))
    whole = Arrivals(events, _each(batch.records, counts), _each(senders, counts), list(chain.from_iterable(map(range, counts))), unknown)
    kinds = list(map(type, events))
    found: dict[type, Arrivals] = {}
    dead: list[DeadLetter] = []
    for kind in dict.fromkeys(kinds):
        mask = [each is kind for each in kinds]
        found[kind] = Arrivals(*(list(compress(column, mask)) for column in whole))
        if kind not in types:
            group = found.pop(kind)
            dead += [_bury(event, group.place(i), "event does not belong on this topic") for i, event in enumerate(group.events)]
    checked = {kind: _check(batch, kind, found[kind], time_of, dead) for kind, time_of in types.items() if kind in found}
    return Sorted({kind: group for kind, group in checked.items() if group.events}, dead)


def _each(values: Sequence[Any], counts: list[int]) -> list[Any]:
    """Repeat what belongs to a record for each of its lines."""
    return list(chain.from_iterable(map(repeat, values, counts)))


def _check(batch: Batch, kind: type, group: Arrivals, time_of: TimeOf, dead: list[DeadLetter]) -> Arrivals:
    """Bury what has bad identifiers or a time out of range; give the rest."""
    doubts = doubtful(kind, group.events)
    for index in doubts:
        group.events[index], group.unknown[index] = read_slowly(_line(group.place(index)))
    oldest, newest = (batch.time_ms - OLDEST_MS) * 1_000_000, (batch.time_ms + AHEAD_MS) * 1_000_000
    times = [] if doubts else list(map(time_of, group.events))
    if times and oldest <= min(times) and max(times) <= newest:
        return group
    keep = [type(event) is kind and oldest <= time_of(event) <= newest for event in group.events]
    dead.extend(_bury(group.events[i], group.place(i), "time out of range") for i, kept in enumerate(keep) if not kept)
    return Arrivals(*(list(compress(column, keep)) for column in group))


def _line(at: Arrival) -> bytes:
    return split_lines(at.record.value or b"")[at.line]


def _bury(event: Any, at: Arrival, reason: str = "") -> DeadLetter:
    """Its app is the event's own where it could be read, else the header's."""
    if isinstance(event, Malformed):
        return DeadLetter(at.sender.project, at.sender.app, event.reason, event.raw, at)
    return DeadLetter(event.project, event.app, reason, _line(at), at)


def position(batch: Batch, found: Arrivals) -> dict[str, Sequence[Any]]:
    """Give the columns by which a row is found again in Kafka."""
    n = len(found.events)
    return {
        "incarnation": Constant(batch.incarnation, n),
        "kafka_topic": Constant(batch.topic, n),
        "kafka_partition": Constant(batch.partition, n),
        "kafka_offset": [record.offset for record in found.records],
        "event_index": found.lines,
    }


def dead_letter_columns(batch: Batch, letters: Sequence[DeadLetter]) -> Iterator[tuple[str, dict[str, Sequence[Any]]]]:
    """Give the columns of `dead_letters` and `dead_letter_bytes`; a record's own time is kept within what may be inserted."""
    place: dict[str, Sequence[Any]] = {
        "at": [min(max(letter.at.record.timestamp_ms, batch.time_ms - OLDEST_MS), batch.time_ms + AHEAD_MS) for letter in letters],
        "incarnation": [batch.incarnation] * len(letters),
        "topic": [batch.topic] * len(letters),
        "partition": [batch.partition] * len(letters),
        "offset": [letter.at.record.offset for letter in letters],
        "event_index": [letter.at.line for letter in letters],
    }
    reasons: dict[str, Sequence[Any]] = {
        "processor": [batch.processor] * len(letters),
        "project": [letter.project for letter in letters],
        "app": [letter.app for letter in letters],
        "reason": [letter.reason for letter in letters],
        "bytes": [len(letter.raw) for letter in letters],
        "producer": [letter.at.sender.producer for letter in letters],
        "producer_seq": [letter.at.sender.seq + letter.at.line for letter in letters],
    }
    yield "dead_letters", {**reasons, **place}
    yield "dead_letter_bytes", {"raw": [letter.raw for letter in letters], **place}


def portions(batch: Batch) -> Iterator[Batch]:
    """Cut a batch into portions that stay in the processor's cache from bytes to columns: a sixth less time than in one piece."""
    start = size = 0
    for end, record in enumerate(batch.records, 1):
        size += len(record.value or b"")
        if size >= PORTION_BYTES or end == len(batch.records):
            whole = end - start == len(batch.records)
            yield batch if whole else replace(batch, records=batch.records[start:end], senders=batch.senders[start:end])
            start, size = end, 0
