"""Headers may be anything: a record whose envelope cannot be told is anonymous, never an error and never a duplicate."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.runtime.envelopes import SPAN_GAP, Envelope, duplicates, envelope, keys, ledger_block, spans
from llmtower_processors.runtime.model import Record
from llmtower_processors.runtime.pending import Pending

GOOD = {"producer": b"run", "seq": b"40", "count": b"7", "project": b"p", "app": b"a"}
NAMES = st.sampled_from([*GOOD, "schema", ""])


def record(headers: dict[str, bytes], offset: int = 0, timestamp_ms: int = 61_000) -> Record:
    return Record("t", 2, offset, timestamp_ms, None, b"", tuple(headers.items()))


def test_headers_are_read() -> None:
    assert envelope(record(GOOD)) == Envelope("run", 40, 7, "p", "a")


@pytest.mark.parametrize(
    "wrong",
    [
        {"producer": b""},
        {"producer": b"\xff"},
        {"producer": b"x" * 257},
        {"seq": b""},
        {"seq": b"-1"},
        {"seq": b"1_0"},
        {"seq": b" 1"},
        {"seq": b"9" * 19},
        {"seq": b"9" * 5_000},
        {"seq": "٣".encode()},
        {"count": b"x"},
        {"count": b"2147483648"},
    ],
)
def test_one_broken_header_makes_the_envelope_anonymous(wrong: dict[str, bytes]) -> None:
    assert envelope(record({**GOOD, **wrong})) == Envelope("", 0, 0, "p", "a")


@pytest.mark.parametrize("missing", ["producer", "seq", "count"])
def test_one_missing_header_makes_the_envelope_anonymous(missing: str) -> None:
    assert envelope(record({k: v for k, v in GOOD.items() if k != missing})).producer == ""


def test_names_without_measure_are_not_kept() -> None:
    assert envelope(record({**GOOD, "project": b"x" * 5_000_000, "app": b"\xff"})) == Envelope("run", 40, 7, "", "")


@given(st.lists(st.tuples(NAMES, st.binary(max_size=30))))
def test_any_headers_make_an_envelope_that_the_ledger_can_hold(headers: list[tuple[str, bytes]]) -> None:
    found = envelope(Record("t", 0, 0, 0, None, None, tuple(headers)))
    assert 0 <= found.seq < 2**63
    assert 0 <= found.events < 2**32


def test_duplicates_are_those_known_and_those_seen_in_the_range_but_never_the_anonymous() -> None:
    first, again, other, nobody = (
        Envelope("p", 0, 5, "", ""),
        Envelope("p", 0, 5, "", ""),
        Envelope("q", 0, 5, "", ""),
        Envelope("", 0, 0, "", ""),
    )
    assert duplicates([first, nobody, again, other, nobody], {("q", 0), ("", 0)}) == [False, False, True, True, False]
    assert keys([first, again, nobody, other]) == {("p", 0), ("q", 0)}


NOW = 1_795_000_000_000
DAY = 86_400_000


@pytest.mark.parametrize(
    ("timestamp_ms", "counted_ms"),
    [(NOW - 61_000, NOW - 61_000), (-1, NOW - 400 * DAY), (2**62, NOW + 3_600_000), (NOW - 401 * DAY, NOW - 400 * DAY)],
)
def test_the_ledgers_minute_is_the_records_own_unless_that_is_absurd(timestamp_ms: int, counted_ms: int) -> None:
    records = [record(GOOD, 3, timestamp_ms)]
    block = ledger_block("calls", Pending("i", 3, 3, NOW), records, [envelope(r) for r in records], [True])
    assert block.columns["minute"] == [counted_ms // 60_000 * 60]
    assert (block.columns["offset"], block.columns["duplicate"], block.columns["partition"]) == ([3], [1], [2])


@given(st.sets(st.tuples(st.sampled_from("ab"), st.integers(0, 5) | st.integers(SPAN_GAP - 2, 3 * SPAN_GAP))))
def test_spans_hold_every_key_and_no_wide_gap(sought: set[tuple[str, int]]) -> None:
    found = spans(sought)
    inside = [[key for key in sought if key[0] == producer and low <= key[1] <= high] for producer, low, high in found]
    assert sorted(key for keys_ in inside for key in keys_) == sorted(sought)
    for (_, low, high), held in zip(found, inside, strict=True):
        seqs = sorted(seq for _, seq in held)
        assert (seqs[0], seqs[-1]) == (low, high)
        assert all(after - before <= SPAN_GAP for before, after in pairwise(seqs))


def test_records_of_one_producer_are_one_span() -> None:
    assert spans(("a", seq) for seq in range(0, 100_000, 4)) == [("a", 0, 99_996)]
    assert spans([("a", 0), ("b", 1), ("a", SPAN_GAP + 1)]) == [("a", 0, 0), ("a", SPAN_GAP + 1, SPAN_GAP + 1), ("b", 1, 1)]
