"""Interval arithmetic against sets of numbers."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.audit.intervals import Books, Coverage, coverage, missing

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=20)


@given(INTERVALS)
def test_coverage_equals_the_union_of_sets(intervals: list[tuple[int, int]]) -> None:
    numbers = [number for first, count in intervals for number in range(first, first + count)]
    result = coverage(intervals)
    assert result.covered == len(set(numbers))
    assert result.doubled == len(numbers) - len(set(numbers))


@given(INTERVALS, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(intervals: list[tuple[int, int]], random: Random) -> None:
    shuffled = list(intervals)
    random.shuffle(shuffled)
    assert coverage(shuffled) == coverage(intervals)


def test_intervals_out_of_order_are_refused() -> None:
    result = Coverage()
    result.add(5, 1)
    with pytest.raises(ValueError, match="ascending"):
        result.add(4, 1)


@pytest.mark.parametrize(
    ("books", "stored", "expected"),
    [
        (Books(100, 100, 0, 0, final=True), 100, 0),
        (Books(100, 100, 0, 0, final=True), 97, 3),
        (Books(100, 90, 0, 10, final=True), 90, 0),
        (Books(100, 90, 10, 0, final=True), 90, 0),
        (Books(100, 90, 10, 0, final=True), 100, 0),  # the spool was sent by the app's next start
        (Books(100, 90, 0, 0, final=True), 90, 10),  # killed with ten in memory
        (Books(100, 90, 0, 0, final=False), 90, 0),  # alive: ten are still in memory
        (Books(100, 90, 0, 0, final=False), 88, 2),  # acknowledged and not stored
        (Books(0, 0, 0, 0, final=True), 0, 0),
    ],
)
def test_missing_is_what_should_be_stored_and_is_not(books: Books, stored: int, expected: int) -> None:
    assert missing(books, stored) == expected


@given(st.integers(0, 1_000), st.integers(0, 1_000), st.integers(0, 1_000), st.integers(0, 1_000))
def test_an_exactly_balanced_run_misses_nothing(delivered: int, spooled: int, dropped: int, late: int) -> None:
    books = Books(delivered + spooled + dropped, delivered, spooled, dropped, final=True)
    assert missing(books, delivered + min(late, spooled)) == 0
