"""Ranges are contiguous, within their limits, and hold at least one record."""

import random
from collections.abc import Sequence

import pytest

from llmtower_processors.runtime.buffer import Buffer, Limits
from llmtower_processors.runtime.model import Record

LIMITS = Limits(rows=10, bytes=1_000)


def record(offset: int, *, events: int = 1, size: int = 1) -> Record:
    return Record("t", 0, offset, 0, None, b"x" * size, (("producer", b"p"), ("seq", b"%d" % offset), ("count", b"%d" % events)))


def filled(records: Sequence[Record], cursor: int = 0) -> Buffer:
    buffer = Buffer()
    buffer.open(cursor)
    buffer.add(records, 5.0)
    return buffer


def test_a_closed_buffer_takes_nothing_in() -> None:
    buffer = Buffer()
    buffer.add([record(0)], 0.0)
    assert not buffer.records


def test_everything_within_the_limits_is_cut_at_once() -> None:
    buffer = filled([record(n) for n in range(10)])
    held = buffer.cut(LIMITS, 6.0, None, 9)
    assert (held.first, held.last, len(held.records), buffer.cursor, buffer.rows, buffer.bytes) == (0, 9, 10, 10, 0, 0)


@pytest.mark.parametrize(
    ("records", "last"),
    [
        ([record(n, events=3) for n in range(9)], 2),
        ([record(n, size=400) for n in range(9)], 1),
        ([record(0, events=500), record(1)], 0),
        ([record(0, size=5_000), record(1)], 0),
        ([record(n, events=2**31 - 1) for n in range(30)], 9),
        ([record(n, events=0) for n in range(30)], 9),
    ],
)
def test_a_range_ends_before_the_record_that_would_exceed_a_limit_and_has_at_least_one(records: list[Record], last: int) -> None:
    assert filled(records).cut(LIMITS, 6.0, None, 99).last == last


def test_records_that_came_after_the_check_wait_for_the_next_range() -> None:
    buffer = filled([record(n) for n in range(5)])
    assert buffer.cut(LIMITS, 6.0, None, 2).last == 2
    assert [r.offset for r in buffer.records] == [3, 4]


def test_a_replay_is_cut_at_its_last_offset_over_gaps() -> None:
    buffer = filled([record(3), record(7), record(9)], cursor=2)
    held = buffer.cut(LIMITS, 6.0, 8, -1)
    assert ([r.offset for r in held.records], held.first, buffer.cursor) == ([3, 7], 2, 9)


def test_what_was_read_twice_is_taken_once() -> None:
    buffer = filled([record(1), record(2)], cursor=1)
    buffer.add([record(0), record(2), record(3)], 7.0)
    assert [r.offset for r in buffer.records] == [1, 2, 3]


def test_a_range_that_was_never_begun_goes_back_in_front() -> None:
    buffer = filled([record(n, events=4) for n in range(6)])
    held = buffer.cut(LIMITS, 6.0, None, 99)
    buffer.restore(held)
    assert [r.offset for r in buffer.records] == list(range(6))
    assert (buffer.cursor, buffer.rows, buffer.bytes) == (0, 24, 6)


def test_rows_and_bytes_are_counted_over_any_course() -> None:
    rng = random.Random(7)
    buffer, at = filled([]), 0
    for _ in range(300):
        new = [record(at + n, events=rng.randrange(6), size=rng.randrange(300)) for n in range(rng.randrange(5))]
        buffer.add(new, 0.0)
        at += len(new)
        if buffer.records and rng.random() < 0.7:
            held = buffer.cut(LIMITS, 0.0, None, at)
            assert held.records
            if rng.random() < 0.2:
                buffer.restore(held)
        assert buffer.bytes == sum(len(r.value or b"") for r in buffer.records)
        assert buffer.rows == sum(max(1, int(dict(r.headers)["count"])) for r in buffer.records)
