"""Twenty seeds, several attacks each, on the real stack: nothing acknowledged is lost, nothing is doubled, every rollup is exact."""

from pathlib import Path

import pytest

from tests.faults.run import attack

SEEDS = range(1, 21)


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_acknowledged_event_is_stored_exactly_once(seed: int, tmp_path: Path) -> None:
    outcome = attack(seed, tmp_path / "run")
    assert outcome.verdict.faults == (), f"attacks: {', '.join(outcome.attacks)}"
    assert outcome.verdict.stored == outcome.verdict.acknowledged > 0
