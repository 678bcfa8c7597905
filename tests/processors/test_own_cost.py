"""What a process took between two counts; nothing is lost while ClickHouse is away, and what began anew is not counted backwards."""

import asyncio

import pytest

from llmtower_processors.alerts.tables import MemoryTables
from llmtower_processors.own_cost import CostBook, Count, name_of, own_count, taken, write_cost
from llmtower_processors.roles import PIPELINE, SCORING
from tests.alerts.world import HandClock


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, Count(30, 5, 100), None),
        (Count(0, 5, 100, 2), Count(30, 8, 120, 3), Count(30, 3, 120, 1)),
        (Count(0, 5, 100), Count(30, 1, 80), None),  # it was started anew
        (Count(30, 5, 100), Count(30, 5, 100), None),
    ],
)
def test_what_lies_between_two_counts(before: Count | None, now: Count, expected: Count | None) -> None:
    assert taken(before, now) == expected


def test_what_could_not_be_written_is_part_of_the_next_row() -> None:
    tables, clock = MemoryTables(lambda query: ([], [])), HandClock()
    book = CostBook(tables, "pipeline", clock, instance="a:1")

    def write(at_s: float, cpu_s: float) -> None:
        clock.forward(30)
        asyncio.run(write_cost(book, lambda: Count(at_s, cpu_s, 7)))

    write(0, 1)
    tables.away = True
    write(30, 2)
    tables.away = False
    write(60, 4)
    book.forget()
    write(90, 9)
    write(120, 10)
    rows = [(row["process"], row["instance"], row["seconds"], row["cpu_s"], row["memory_bytes"]) for row in tables.rows["own_cost"]]
    assert rows == [("pipeline", "a:1", 60, 3, 7), ("pipeline", "a:1", 30, 1, 7)]


def test_this_process_is_counted() -> None:
    first = own_count(HandClock())
    sum(number * number for number in range(300_000))
    second = own_count(HandClock())
    assert second.cpu_s > first.cpu_s > 0
    assert first.memory_bytes > 1 << 20


def test_processes_are_called_by_what_they_do() -> None:
    assert [name_of(names) for names in ({*PIPELINE, *SCORING}, {PIPELINE[0]}, set(SCORING))] == ["worker", "pipeline", "scoring"]
