"""What is packed is what Kafka reads: every line once, with its headers, in the partition of its identity, however a batch is sent."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.record import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.gateway.packing import Line, Packed, ReadyBatch, pack
from llmtower_processors.otel.ids import identity
from llmtower_schemas.topics import CALLS, MAX_RECORD_BYTES, SIGNALS

PARTITIONS = {CALLS: 4, SIGNALS: 2}
LINES = st.builds(
    Line,
    topic=st.sampled_from([CALLS, SIGNALS]),
    project=st.text(max_size=20),
    app=st.text(max_size=20),
    kind=st.sampled_from(["response", "score"]),
    event_id=st.text(max_size=40),
    raw=st.binary(max_size=2_000),
    beside=st.sampled_from(["", "call-1"]),
)


def read(packed: Packed, producer: tuple[int, int, int] = (7, 1, 30)) -> tuple[Any, list[Any]]:
    """Give a batch as a consumer reads it, after the producer has given it its numbers."""
    ready = ReadyBatch(packed)
    ready._set_producer_state(*producer)
    assert (ready.size(), ready.record_count(), ready.closed()) == (len(packed.raw), packed.records, True)
    ready.close()
    records = MemoryRecords(bytes(ready._build()))
    batch = records.next_batch()
    assert batch is not None
    assert batch.validate_crc()
    assert not records.has_next()
    return batch, list(batch)


def said(lines: Sequence[Line]) -> list[tuple[str, int, bytes, dict[str, bytes]]]:
    found = []
    for line in lines:
        one = identity(line.project, line.kind, line.event_id)
        headers = {"producer": one.producer, "seq": one.seq, "count": 1, "project": line.project, "app": line.app, "schema": 1}
        as_bytes = {name: str(value).encode() for name, value in headers.items()}
        spread = identity(line.project, line.kind, line.beside or line.event_id).spread
        found.append((line.topic, spread % PARTITIONS[line.topic], line.raw, as_bytes))
    return found


@given(st.lists(LINES, max_size=30))
def test_every_line_is_read_back_from_the_partition_of_its_identity(lines: list[Line]) -> None:
    found = []
    for packed in pack(lines, PARTITIONS):
        batch, records = read(packed)
        assert (batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.next_offset) == (7, 1, 30, packed.records)
        assert [record.offset for record in records] == list(range(packed.records))
        found += [(packed.topic, packed.partition, record.value, dict(record.headers)) for record in records]
    assert sorted(found, key=repr) == sorted(said(lines), key=repr)


def test_lines_of_a_partition_stay_in_their_order() -> None:
    lines = [Line(CALLS, "shop", "bot", "response", f"{number}", b"%d" % number) for number in range(50)]
    for packed in pack(lines, PARTITIONS):
        numbers = [int(record.value) for record in read(packed)[1]]
        assert numbers == sorted(numbers)


def test_what_is_more_than_a_record_batch_may_hold_becomes_several() -> None:
    size = MAX_RECORD_BYTES // 3
    lines = [Line(CALLS, "shop", "bot", "response", f"{number}", bytes(size)) for number in range(7)]
    made = pack(lines, {CALLS: 1})
    assert [packed.records for packed in made] == [2, 2, 2, 1]
    assert sum(len(read(packed)[1]) for packed in made) == 7


def test_lines_that_stand_beside_each_other_share_a_partition_and_keep_their_identities() -> None:
    lines = [Line(SIGNALS, "shop", "bot", "content", f"{number}", b"{}", "call-1") for number in range(20)]
    (packed,) = pack(lines, {SIGNALS: 8})
    assert len({dict(record.headers)["seq"] for record in read(packed)[1]}) == 20


def test_nothing_is_packed_of_no_lines() -> None:
    assert pack([], PARTITIONS) == []


@pytest.mark.parametrize("numbers", [(0, 0, 0), (2**62, 2**15 - 1, 2**31 - 1)])
def test_a_batch_bears_the_numbers_of_any_producer(numbers: tuple[int, int, int]) -> None:
    (packed,) = pack([Line(CALLS, "shop", "bot", "response", "1", b"{}")], {CALLS: 1})
    batch, _ = read(packed, numbers)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == numbers
