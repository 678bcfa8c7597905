"""Uncertain calls first, and rates that stay unbiased all the same."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.judge.sampling import Quota, quota


@given(st.integers(0, 60), st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 1))
def test_a_quota_never_takes_what_is_not_there_and_never_leaves_the_others_out(
    asks: int, population: int, scored: int, share: float
) -> None:
    found = quota(asks, population=population, scored=min(scored, population), random_share=share)
    assert found.asks == min(asks, population)
    assert found.certain <= min(scored, population)
    if found.asks:
        assert found.chance >= 1
        assert found.certain + found.chance * found.weight == pytest.approx(population)


def test_everything_asked_stands_for_itself() -> None:
    assert quota(20, population=20, scored=20, random_share=0.5) == Quota(0, 20, 20)
    assert quota(20, population=20, scored=20, random_share=0.5).weight == 1
    assert quota(0, population=9, scored=9, random_share=0.5).asks == 0


def test_the_weighted_rate_is_the_true_one_although_the_uncertain_are_asked_first() -> None:
    chance = random.Random(5)
    calls = []
    for _ in range(400):
        local = chance.random()
        calls.append((local, chance.random() < (0.6 if abs(local - 0.5) < 0.1 else 0.05)))
    truth = statistics.fmean(bad for _, bad in calls)
    found, naive = [], []
    for _ in range(2_000):
        taken = quota(40, population=len(calls), scored=len(calls), random_share=0.5)
        nearest = sorted(calls, key=lambda call: abs(call[0] - 0.5))
        rest = chance.sample(nearest[taken.certain :], taken.chance)
        bad = sum(bad for _, bad in nearest[: taken.certain]) + taken.weight * sum(bad for _, bad in rest)
        found.append(bad / len(calls))
        naive.append(statistics.fmean(bad for _, bad in nearest[: taken.certain] + rest))
    assert statistics.fmean(found) == pytest.approx(truth, abs=4 * statistics.stdev(found) / len(found) ** 0.5)
    assert statistics.fmean(naive) > truth + 0.1, "without weights the rate would be that of the uncertain"
