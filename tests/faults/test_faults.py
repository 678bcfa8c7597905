"""Twenty seeds, several attacks each, on the real stack: nothing acknowledged is lost, nothing is doubled, every rollup is exact.

The workers of every fifth seed score, too, and every row of scores must be what the processors' functions give.
"""

import random
from pathlib import Path

import pytest

from tests.faults.oracle import judge
from tests.faults.run import Stack, attack

SEEDS = range(1, 21)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_acknowledged_event_is_stored_exactly_once(seed: int, tmp_path: Path) -> None:
    outcome = attack(seed, tmp_path / "run")
    assert outcome.verdict.faults == (), f"attacks: {', '.join(outcome.attacks)}"
    assert outcome.verdict.stored == outcome.verdict.acknowledged > 0


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_topic_that_was_deleted_and_created_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The same offsets come again; without the topic's incarnation in the tokens every new row would be taken for an old one."""
    stack = Stack(tmp_path / "run", random.Random(7))
    try:
        stack.start(workers=2, producers=1, rate=1_000)
        stack.rest()
        stack.recreate_topic()
        stack.add_producers(1, rate=1_000)
        stack.rest()
        verdict = judge(stack.client(), stack.journals)
    finally:
        stack.close()
    assert verdict.faults == ()
    assert verdict.stored == verdict.acknowledged > 0


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path) -> None:
    outcome = attack(101, tmp_path / "run", names=("disk full", "disk full"))
    assert outcome.verdict.faults == ()


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_clock_that_jumps_by_hours_delays_and_loses_nothing(tmp_path: Path) -> None:
    outcome = attack(102, tmp_path / "run", names=("clock behind and back", "clock ahead and back"))
    assert outcome.verdict.faults == ()
