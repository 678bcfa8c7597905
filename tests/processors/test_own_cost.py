"""What a process took between two counts; nothing is lost while ClickHouse is away, and what began anew is not counted backwards."""

import asyncio
from functools import partial

import pytest

from llmtower_processors.alerts.tables import MemoryTables, QuestionRefusedError
from llmtower_processors.errors import Unreachable
from llmtower_processors.own_cost import CostBook, Count, name_of, own_count, taken, write_cost
from llmtower_processors.roles import PIPELINE, SCORING
from llmtower_processors.runtime.model import Block
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


def test_what_could_not_be_written_is_written_later() -> None:
    tables, clock = MemoryTables(lambda query: ([], [])), HandClock()
    book = CostBook(tables, "pipeline", clock, instance="a:1")

    def write(at_s: float, cpu_s: float) -> None:
        clock.forward(30)
        asyncio.run(write_cost(book, lambda: Count(at_s, cpu_s, 7)))

    write(0, 1)
    tables.away = True
    write(30, 2)
    write(60, 3)
    tables.away = False
    write(90, 6)
    book.forget()
    write(120, 9)
    write(150, 10)
    rows = [(row["process"], row["instance"], row["seconds"], row["cpu_s"], row["memory_bytes"]) for row in tables.rows["own_cost"]]
    assert rows == [("pipeline", "a:1", seconds, cpu_s, 7) for seconds, cpu_s in ((30, 1), (60, 4), (30, 1))]


class Silent(MemoryTables):
    """Takes rows, and says that it did not."""

    silent = False

    def insert(self, block: Block, token: str) -> None:
        super().insert(block, token)
        if self.silent:
            raise Unreachable("ClickHouse did not answer.")


def test_rows_that_were_stored_without_an_answer_do_not_overlap_the_next() -> None:
    tables, clock = Silent(lambda query: ([], [])), HandClock()
    book = CostBook(tables, "pipeline", clock, instance="a:1")
    for number in range(4):
        tables.silent = number == 1
        asyncio.run(write_cost(book, partial(Count, 30 * number, 3 * number, 7)))
        clock.forward(30)
    assert [(row["seconds"], row["cpu_s"]) for row in tables.rows["own_cost"]] == [(30, 3)] * 3


def test_a_count_that_is_refused_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Count:
        raise QuestionRefusedError("ClickHouse refuses the question: error 497 ACCESS_DENIED")

    book = CostBook(MemoryTables(lambda query: ([], [])), "clickhouse", HandClock(), instance="a:1")
    for _ in range(2):
        asyncio.run(write_cost(book, refuse))
    said = "own cost: what clickhouse takes is not known. ClickHouse refuses the question: error 497 ACCESS_DENIED"
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [("WARNING", said)]


def test_this_process_is_counted() -> None:
    first = own_count(HandClock())
    sum(number * number for number in range(300_000))
    second = own_count(HandClock())
    assert second.cpu_s > first.cpu_s > 0
    assert first.memory_bytes > 1 << 20


def test_processes_are_called_by_what_they_do() -> None:
    assert [name_of(names) for names in ({*PIPELINE, *SCORING}, {PIPELINE[0]}, set(SCORING))] == ["worker", "pipeline", "scoring"]
