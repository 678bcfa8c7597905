"""Lines as Kafka's record batches, complete but for the producer's numbers: made where a body is converted, maybe in another process.

Layout of a batch (version 2): https://kafka.apache.org/documentation/#recordbatch. Each line is a record of its own, whose headers are made
of its identity. One record per event costs the worker more than an envelope, and is what makes a span sent twice, in whatever batches, the
same span.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from struct import Struct
from typing import Final, NamedTuple

import zstandard
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from llmtower_processors.otel.ids import identity
from llmtower_schemas.codec import EnvelopeHeaders
from llmtower_schemas.topics import MAX_RECORD_BYTES

Partitions = Mapping[str, int]
"""How many partitions each topic has."""

_LEVEL: Final = 1
"""Of zstd: two thirds of the time of its usual level 3, for 4 % more bytes."""
_ZSTD: Final = 4
_LENGTH, _CHECKSUM, _ATTRIBUTES, _PRODUCER = (8, Struct(">i")), (17, Struct(">I")), (21, Struct(">h")), (43, Struct(">qhi"))
"""Where in a batch something stands, and how."""
_HEAD: Final = 61
"""Bytes before the records."""

Headers = list[tuple[str, bytes]]


class Line(NamedTuple):
    """One event as it goes to Kafka; `kind` and `event_id` make its identity within the project.

    Its partition is chosen by that, or by what it is told to stand `beside`, which must follow from the identity.
    """

    topic: str
    project: str
    app: str
    kind: str
    event_id: str
    raw: bytes
    beside: str = ""


class Packed(NamedTuple):
    """A batch for one partition: how many records, and their bytes, compressed."""

    topic: str
    partition: int
    records: int
    raw: bytes


def pack(lines: Sequence[Line], partitions: Partitions) -> list[Packed]:
    """Put lines into as few batches as their partitions allow, each where its identity says."""
    groups: defaultdict[tuple[str, int], list[tuple[bytes, Headers]]] = defaultdict(list)
    for line in lines:
        found = identity(line.project, line.kind, line.event_id)
        headers = EnvelopeHeaders(found.producer, found.seq, 1, line.project, line.app).encode()
        spread = identity(line.project, line.kind, line.beside).spread if line.beside else found.spread
        groups[line.topic, spread % partitions[line.topic]].append((line.raw, headers))
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return [
        Packed(topic, partition, count, _compressed(batch, compressor))
        for (topic, partition), records in groups.items()
        for count, batch in _batches(records)
    ]


def _batches(records: Sequence[tuple[bytes, Headers]]) -> Iterator[tuple[int, bytearray]]:
    count, batch = 0, _builder()
    for value, headers in records:
        if batch.append(count, None, None, value, headers) is None:
            yield count, batch.build()
            count, batch = 0, _builder()
            batch.append(count, None, None, value, headers)
        count += 1
    yield count, batch.build()


def _builder() -> DefaultRecordBatchBuilder:
    return DefaultRecordBatchBuilder(
        2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=MAX_RECORD_BYTES
    )


def _compressed(batch: bytearray, compressor: zstandard.ZstdCompressor) -> bytes:
    made = batch[:_HEAD] + compressor.compress(memoryview(batch)[_HEAD:])
    _write(made, _ATTRIBUTES, _ZSTD)
    _write(made, _LENGTH, len(made) - _LENGTH[0] - _LENGTH[1].size)
    return bytes(made)


class ReadyBatch:
    """A packed batch that aiokafka's producer takes as one of its own builders (0.14): it gives it its numbers, then its bytes."""

    def __init__(self, packed: Packed) -> None:
        self._raw, self._count = bytearray(packed.raw), packed.records

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        _write(self._raw, _PRODUCER, producer_id, producer_epoch, base_sequence)
        _write(self._raw, _CHECKSUM, calc_crc32c(memoryview(self._raw)[_ATTRIBUTES[0] :]))

    def _build(self) -> bytearray:
        return self._raw

    def size(self) -> int:
        """Give its bytes."""
        return len(self._raw)

    def record_count(self) -> int:
        """Give the number of its records, by which the producer's sequence goes on."""
        return self._count

    def close(self) -> None:
        """Do nothing: it is complete."""

    def closed(self) -> bool:
        """Say that nothing can be added."""
        return True


def _write(batch: bytearray, place: tuple[int, Struct], *values: int) -> None:
    at, layout = place
    layout.pack_into(batch, at, *values)
