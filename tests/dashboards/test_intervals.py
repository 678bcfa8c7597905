"""The intervals of panels cover what they say, also for scores that were picked with unequal probabilities."""

from typing import Any, Final

import numpy as np
import pytest

from llmtower_dashboards.panels.intervals import Z

RUNS: Final = 2_000
Values = np.ndarray[Any, np.dtype[np.float64]]


def wilson(rate: Values, size: Values) -> tuple[Values, Values]:
    """Wilson's interval, as `intervals.wilson` writes it in SQL (the integration tests compare both)."""
    middle = (rate * size + Z * Z / 2) / (size + Z * Z)
    half = Z / (size + Z * Z) * np.sqrt(rate * (1 - rate) * size + Z * Z / 4)
    return middle - half, middle + half


def weighted(bad: Values, weight: Values) -> tuple[Values, Values, Values]:
    """Rate and interval of each run (rows); a weight of 0 was not scored."""
    total = weight.sum(axis=1)
    rate = (weight * bad).sum(axis=1) / total
    variance = ((weight * (bad - rate[:, None])) ** 2).sum(axis=1) / total**2
    kish = total**2 / (weight**2).sum(axis=1)
    size = np.where(variance > 0, rate * (1 - rate) / np.where(variance > 0, variance, 1), kish)
    return rate, *wilson(rate, size)


def cascade(rng: np.random.Generator, answers: int, share: float, rate: float) -> tuple[Values, Values]:
    """All that a cheap first stage suspects (most of the bad ones and 5 % of the others) and a random share of the rest."""
    bad = rng.random((RUNS, answers)) < rate
    suspected = np.where(bad, rng.random(bad.shape) < 0.9, rng.random(bad.shape) < 0.05)
    picked = suspected | (rng.random(bad.shape) < share)
    weight = np.where(suspected, 1.0, 1 / share) * picked
    return bad.astype(np.float64), weight


@pytest.mark.parametrize(("answers", "share", "rate"), [(2_000, 0.2, 0.02), (2_000, 0.5, 0.05), (1_000, 1.0, 0.01), (4_000, 0.1, 0.1)])
def test_the_interval_of_a_weighted_rate_covers(answers: int, share: float, rate: float) -> None:
    rng = np.random.default_rng(20251120)
    found, low, high = weighted(*cascade(rng, answers, share, rate))
    assert abs(found.mean() / rate - 1) < 0.02, "the estimate is unbiased"
    covered = float(((low <= rate) & (rate <= high)).mean())
    assert 0.93 <= covered <= 0.97


def test_a_rate_of_nothing_bad_is_not_sure() -> None:
    rate, low, high = weighted(np.zeros((1, 50)), np.ones((1, 50)))
    assert (rate[0], round(low[0], 12)) == (0, 0)
    assert 0.05 < high[0] < 0.1
