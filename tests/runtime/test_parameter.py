"""What a processor fixes when a range is taken is what a replay of it is given; and ranges are cut by the time they take."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from llmtower_processors.runtime import cycle, labour, life
from llmtower_processors.runtime.buffer import Limits
from llmtower_processors.runtime.edges import StoreUnavailableError
from llmtower_processors.runtime.model import Batch, Block, Processor, Situation
from llmtower_processors.runtime.pace import FIRST_ROWS, Pace
from tests.runtime.test_loop import Bench, on_bench
from tests.runtime.world import CALLS, GROUP, rows_of


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labour, "BACK_OFF_S", (0.002, 0.02))
    monkeypatch.setattr(life, "PACE_S", 0.001)
    monkeypatch.setattr(life, "GRACE_S", 0.05)
    monkeypatch.setattr(cycle, "CHECK_S", 0.05)


Given = dict[tuple[int, int, int], list[str]]


def noting(given: Given, parameter: Callable[[Situation], str]) -> Processor:
    """The processor of the other tests, which notes the parameter that each range was given."""

    def function(batch: Batch) -> Sequence[Block]:
        given.setdefault((batch.partition, batch.first, batch.last), []).append(batch.parameter)
        return rows_of(batch)

    return replace(CALLS, function=function, parameter=parameter)


@on_bench
async def test_the_next_owner_is_given_the_parameter_of_the_pending_range(bench: Bench) -> None:
    given: Given = {}
    bench.send(20)

    def fault(step: str) -> None:
        if step == "insert":
            raise StoreUnavailableError("down")

    bench.store.fault = fault
    async with bench.running(bench.worker(noting(given, lambda situation: "first"))):
        await bench.until(lambda: len(given) == 2)
    pending = dict(given)
    assert {metadata.rsplit("|", 1)[1] for _, metadata in bench.broker.groups[GROUP].commits.values()} == {"first"}
    bench.store.fault = lambda step: None
    async with bench.running(bench.worker(noting(given, lambda situation: "second"))):
        await bench.until(lambda: bench.stored == 60)
        bench.send(20)
        await bench.until(lambda: bench.stored == 120)
    assert all(given[key] == ["first", "first"] for key in pending)
    assert {parameter for key, found in given.items() if key not in pending for parameter in found} == {"second"}
    bench.check()


@on_bench
async def test_the_situation_says_how_far_behind_the_range_is(bench: Bench) -> None:
    situations: list[Situation] = []

    def note(situation: Situation) -> str:
        situations.append(situation)
        return ""

    bench.send(100)
    time.sleep(0.05)  # noqa: ASYNC251 - the records are to be old
    async with bench.running(bench.worker(noting({}, note))):
        await bench.until(lambda: bench.stored == 300)
    assert max(situation.behind_ms for situation in situations) >= 50
    assert max(situation.lag_events for situation in situations) == 150
    bench.check()


def test_without_a_bound_ranges_stay_what_they_are() -> None:
    pace = Pace(None)
    pace.ran(10, 100.0)
    assert pace.within(Limits()) == Limits()


def test_the_first_range_is_small_and_dear_ranges_shrink_the_next_at_once() -> None:
    pace = Pace(5.0)
    assert pace.within(Limits(rows=4_000)).rows == FIRST_ROWS
    pace.ran(200, 0.2)
    assert pace.within(Limits(rows=4_000)).rows == 2_500
    pace.ran(100, 10.0)
    assert pace.within(Limits(rows=4_000)).rows == 25
    pace.ran(1, 60.0)
    assert pace.within(Limits(rows=4_000)).rows == 1


def test_cheap_ranges_grow_the_next_little_by_little_up_to_the_limit() -> None:
    pace = Pace(5.0)
    pace.ran(100, 10.0)
    grown = []
    for _ in range(40):
        pace.ran(100, 0.001)
        grown.append(pace.within(Limits(rows=4_000)).rows)
    assert grown == sorted(grown)
    assert grown[0] < 50
    assert grown[-1] == 4_000
