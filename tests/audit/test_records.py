"""Which offsets are read again, and the log in memory."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.audit import LogEnds, MemoryRecords
from llmtower_processors.audit.records import ranges
from llmtower_processors.runtime.model import Record


@given(st.sets(st.integers(0, 500), max_size=40), st.integers(0, 20))
def test_ranges_cover_every_offset_in_ascending_order(offsets: set[int], slack: int) -> None:
    found = list(ranges(sorted(offsets), slack))
    assert all(any(first <= offset <= last for first, last in found) for offset in offsets)
    assert all(after[0] > before[1] + slack for before, after in pairwise(found))
    assert {first for first, _ in found} | {last for _, last in found} <= offsets


def test_memory_log_steps_over_markers_and_what_retention_deleted() -> None:
    records = [Record("t", 0, offset, offset * 1_000, None, b"{}", ()) for offset in (0, 1, 3, 4)]
    log = MemoryRecords({"t": "i"}, {("t", 0): records}, starts={("t", 0): 1}, tails={("t", 0): 6})
    assert log.ends("t") == {0: LogEnds(1, 6)}
    assert [record.offset for record in log.read("t", 0, 0, 3)] == [1, 3]
    assert log.since("t", 2_000) == {0: 3}
    assert log.since("t", 9_000) == {0: 6}
    assert log.incarnation("t") == "i"
