"""Cohen's κ against figures worked out elsewhere, and an interval that covers."""

import random

import pytest

from llmtower_processors.judge.agreement import kappa


def test_kappa_of_known_tables() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: agreement 0.7, by chance 0.5 (a common textbook table).
    found, low, high = kappa((20, 5, 10, 15), 50)
    assert found == pytest.approx(0.4)
    assert low == pytest.approx(0.4 - 1.96 * 0.12649, abs=2e-3)
    assert high == pytest.approx(0.4 + 1.96 * 0.12649, abs=2e-3)
    # 45/15/25/15 and 25/35/5/35 agree equally often and differ in κ (0.1304 and 0.2593).
    assert kappa((45, 15, 25, 15), 100)[0] == pytest.approx(0.1304, abs=5e-5)
    assert kappa((25, 35, 5, 35), 100)[0] == pytest.approx(0.2593, abs=5e-5)


def test_kappa_at_its_ends() -> None:
    assert kappa((10, 0, 0, 10), 20) == (1.0, 1.0, 1.0)
    assert kappa((0, 10, 10, 0), 20)[0] == pytest.approx(-1)
    assert kappa((5, 5, 5, 5), 20)[0] == pytest.approx(0)
    assert kappa((0, 0, 0, 9), 9) == (None, None, None), "one who always says the same agrees by chance alone"
    assert kappa((0, 0, 0, 0), 0) == (None, None, None)


def test_the_interval_covers_the_true_value() -> None:
    chance = random.Random(3)
    shares = (0.2, 0.08, 0.12, 0.6)
    truth = kappa(shares, 1.0)[0]
    assert truth is not None
    covered = 0
    for _ in range(1_000):
        drawn = chance.choices(range(4), shares, k=200)
        _, low, high = kappa((drawn.count(0), drawn.count(1), drawn.count(2), drawn.count(3)), 200)
        covered += low is not None and high is not None and low <= truth <= high
    assert 930 <= covered <= 970
