"""Timers run once per window on one leader; a failure never ends them."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from llmtower_processors.errors import Unreachable
from llmtower_processors.leader import Firing, Leader, MemoryElection, Timer
from llmtower_processors.runtime.edges import SystemClock


class Ticks:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        """Wall clock."""
        return self.ms

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self.ms / 1_000


async def until(condition: Callable[[], bool]) -> None:
    """Wait (bounded) until something is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - conditions are no events
            await asyncio.sleep(0.005)


async def stop(*tasks: "asyncio.Task[None]") -> None:
    """End tasks."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_windows_are_multiples_of_the_period_and_tokens_name_them() -> None:
    seen: list[Firing] = []

    async def note(firing: Firing) -> None:
        seen.append(firing)

    async def scenario() -> None:
        leader = Leader(MemoryElection(), [Timer("audit", 3_600, note)], "llmtower.timers", Ticks(7_200_000 + 5))
        task = asyncio.create_task(leader.run())
        await until(lambda: bool(seen))
        assert leader.is_leader
        await asyncio.sleep(0.05)
        await stop(task)
        assert not leader.is_leader

    asyncio.run(scenario())
    assert seen == [Firing(7_200_000, "audit:llmtower.timers:7200000")]


def test_timers_fire_again_and_windows_missed_are_left_out() -> None:
    clock, seen = Ticks(1_000), list[int]()

    async def slow(firing: Firing) -> None:
        seen.append(firing.window_end_ms)
        clock.ms += 25 if len(seen) == 1 else 10

    async def scenario() -> None:
        task = asyncio.create_task(Leader(MemoryElection(), [Timer("t", 0.01, slow)], "g", clock).run())
        await until(lambda: len(seen) >= 3)
        await stop(task)

    asyncio.run(scenario())
    assert seen[:3] == [1_000, 1_020, 1_030]


def test_a_clock_that_is_set_back_by_hours_does_not_stop_the_timers_for_hours() -> None:
    clock, seen = Ticks(7_200_000), list[int]()

    async def note(firing: Firing) -> None:
        seen.append(firing.window_end_ms)
        clock.ms = 1_003 if len(seen) == 1 else clock.ms + 10

    async def scenario() -> None:
        task = asyncio.create_task(Leader(MemoryElection(), [Timer("t", 0.01, note)], "g", clock).run())
        await until(lambda: len(seen) >= 3)
        await stop(task)

    asyncio.run(scenario())
    assert seen[:3] == [7_200_000, 1_010, 1_020]


def test_a_failing_timer_is_counted_and_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    runs = {"bad": 0, "down": 0, "good": 0}

    async def bad(firing: Firing) -> None:
        runs["bad"] += 1
        raise ValueError("secret prompt")

    async def down(firing: Firing) -> None:
        runs["down"] += 1
        raise Unreachable("ClickHouse does not answer.")

    async def good(firing: Firing) -> None:
        runs["good"] += 1

    async def scenario() -> Leader:
        timers = [Timer("bad", 0.02, bad), Timer("down", 0.02, down), Timer("good", 0.02, good)]
        leader = Leader(MemoryElection(), timers, "g", SystemClock())
        task = asyncio.create_task(leader.run())
        await until(lambda: min(runs.values()) >= 3)
        assert not task.done()
        await stop(task)
        return leader

    with caplog.at_level(logging.INFO, "llmtower_processors.leader"):
        leader = asyncio.run(scenario())
    assert leader.failed["bad"] == leader.fired["bad"] == runs["bad"]
    assert leader.failed["good"] == 0
    assert "secret" not in caplog.text
    assert "ValueError at bad:" in caplog.text
    assert "ClickHouse does not answer." in caplog.text


def test_a_successor_takes_over_and_repeats_the_window_under_the_same_token() -> None:
    tokens: dict[str, list[str]] = {"first": [], "second": []}

    def timer(name: str) -> Timer:
        async def note(firing: Firing) -> None:
            tokens[name].append(firing.token)

        return Timer("drift", 60, note)

    async def scenario() -> None:
        election, clock = MemoryElection(), Ticks(120_000)
        first, second = (Leader(election, [timer(name)], "g", clock) for name in tokens)
        tasks = [asyncio.create_task(leader.run()) for leader in (first, second)]
        await until(lambda: bool(tokens["first"]))
        assert (first.is_leader, second.is_leader) == (True, False)
        await stop(tasks[0])
        await until(lambda: bool(tokens["second"]))
        await stop(tasks[1])

    asyncio.run(scenario())
    assert tokens["first"] == tokens["second"] == ["drift:g:120000"]


def test_two_timers_of_one_name_are_refused() -> None:
    async def nothing(firing: Firing) -> None:
        return

    with pytest.raises(ValueError, match="one name"):
        Leader(MemoryElection(), [Timer("t", 1, nothing), Timer("t", 2, nothing)], "g", SystemClock())
