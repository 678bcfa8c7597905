"""The intervals of panels cover what they say, also for scores that were picked with unequal probabilities."""

from typing import Any, Final

import numpy as np
import pytest

from llmtower_dashboards.panels.intervals import Z

RUNS: Final = 20_000
Values = np.ndarray[Any, np.dtype[np.float64]]


def wilson(rate: Values, size: Values) -> tuple[Values, Values]:
    """Wilson's interval, as `intervals.wilson` writes it in SQL (the integration tests compare both)."""
    middle = (rate * size + Z * Z / 2) / (size + Z * Z)
    half = Z / (size + Z * Z) * np.sqrt(rate * (1 - rate) * size + Z * Z / 4)
    return middle - half, middle + half


def sums_of(bad: Values, weight: Values) -> tuple[Values, ...]:
    """How many were scored and how many bad; weights and their squares, of all and of the bad. One run a row; a weight of 0: not scored."""
    of_bad = weight * bad
    return (weight > 0).sum(axis=1), (of_bad > 0).sum(axis=1), *(x.sum(axis=1) for x in (weight, weight**2, of_bad, of_bad**2))


def parts(count: Values, total: Values, squares: Values) -> tuple[Values, Values]:
    """How many of some events were drawn, and for how many each stands; those with weight 1 were not."""
    over = total - count
    each = np.where(over > 0, (squares - total) / np.where(over > 0, over, 1), 1)
    return np.where(each > 1, over / np.where(each > 1, each - 1, 1), 0), each


def sampled(sums: tuple[Values, ...]) -> tuple[Values, Values, Values]:
    """Rate and interval of each run, as `intervals.sampled_rate` writes it in SQL (the integration tests compare both)."""
    scored, bad, w, ww, wb, wwb = sums
    (drawn, each), (drawn_bad, each_bad) = parts(scored, w, ww), parts(bad, wb, wwb)
    some = np.maximum(drawn, 1e-9)
    hits, sure, stood = np.minimum(drawn_bad * each_bad / each, drawn), bad - drawn_bad, drawn * each / w
    of_sure = [np.where(scored - drawn > 0.5, end, 0) for end in wilson(sure / w, w)]
    of_drawn = [np.where(drawn > 0, end, 0) for end in wilson(hits / some, some)]
    few = np.maximum(hits, 1e-9)
    exact = few * np.maximum(0, 1 - 1 / (9 * few) - Z / (3 * np.sqrt(few))) ** 3 / some
    of_drawn[0] = np.where((hits > 0) & (hits < 3.5), np.minimum(of_drawn[0], exact), of_drawn[0])
    size = np.where(drawn > 0, (Z * sure / w * stood) ** 2 * (1 - 1 / each) / some, 0)
    far = [np.sqrt((sure / w - a) ** 2 + (stood * (hits / some - b)) ** 2 + size) for a, b in zip(of_sure, of_drawn, strict=True)]
    return wb / w, np.maximum(0, wb / w - far[0]), np.minimum(1, wb / w + far[1])


def cascade(rng: np.random.Generator, answers: int, share: float, rate: float, *, seen: float = 0.9) -> tuple[Values, ...]:
    """Sums over what a cheap first stage suspects (a share `seen` of the bad ones, 3 % of the others) and a random share of the rest."""
    bad = rng.binomial(answers, rate, RUNS)
    sure_bad = rng.binomial(bad, seen)
    sure_good = rng.binomial(answers - bad, 0.03)
    drawn_bad, drawn_good = rng.binomial(bad - sure_bad, share), rng.binomial(answers - bad - sure_good, share)
    drawn, sure = drawn_bad + drawn_good, sure_bad + sure_good
    columns = (sure + drawn, sure_bad + drawn_bad, sure + drawn / share, sure + drawn / share**2)
    return tuple(x.astype(np.float64) for x in (*columns, sure_bad + drawn_bad / share, sure_bad + drawn_bad / share**2))


OFTEN = [(20_000, 0.05, 0.02, 0.7), (100_000, 0.01, 0.02, 0.7), (50_000, 0.05, 0.05, 0.7), (20_000, 0.01, 0.1, 0.6), (4_000, 0.1, 0.1, 0.9)]
"""Answers, random share, rate of bad ones, share of them that stage 1 sees: the random share finds some bad ones."""
SELDOM = [(3_000, 0.05, 0.02, 0.9), (9_999, 0.001, 0.02, 0.7), (20_000, 0.001, 0.005, 0.9), (99_999, 0.001, 0.01, 0.5), (300, 0.05, 0.1, 1)]
"""It finds one now and then, or none: the interval must not take that for proof."""


@pytest.mark.parametrize(("answers", "share", "rate", "seen"), OFTEN)
def test_the_interval_of_a_cascade_covers(answers: int, share: float, rate: float, seen: float) -> None:
    found, low, high = sampled(cascade(np.random.default_rng(20261126), answers, share, rate, seen=seen))
    assert abs(found.mean() / rate - 1) < 0.02, "the estimate is unbiased"
    assert 0.93 <= float(((low <= rate) & (rate <= high)).mean()) <= 0.97


@pytest.mark.parametrize(("answers", "share", "rate", "seen"), SELDOM)
def test_a_share_that_finds_nothing_is_no_proof_that_there_is_nothing(answers: int, share: float, rate: float, seen: float) -> None:
    _, low, high = sampled(cascade(np.random.default_rng(20261126), answers, share, rate, seen=seen))
    assert float(((low <= rate) & (rate <= high)).mean()) >= 0.93


@pytest.mark.parametrize(("answers", "share", "rate"), [(2_000, 0.2, 0.02), (2_000, 0.5, 0.05), (1_000, 1.0, 0.01)])
def test_one_share_of_everything_covers_too(answers: int, share: float, rate: float) -> None:
    _, low, high = sampled(cascade(np.random.default_rng(20251120), answers, share, rate, seen=0.0))
    assert 0.93 <= float(((low <= rate) & (rate <= high)).mean()) <= 0.975


@pytest.mark.parametrize("weights", ["alike", "sure", "both"])
def test_intervals_of_simple_samples_are_wilsons(weights: str) -> None:
    rng = np.random.default_rng(1)
    bad = (rng.random((50, 400)) < 0.1).astype(np.float64)
    weight = {"alike": np.full(bad.shape, 4.0), "sure": np.ones(bad.shape), "both": np.where(np.arange(400) < 200, 1.0, 20.0)}[weights]
    weight = np.broadcast_to(weight, bad.shape)
    rate, low, high = sampled(sums_of(bad, weight))
    assert np.allclose(rate, (weight * bad).sum(axis=1) / weight.sum(axis=1))
    if weights != "both":
        expected = wilson(bad.mean(axis=1), np.full(50, 400.0))
        assert np.allclose([low, high], expected, atol=1e-9)
    assert bool((low < rate).all() and (rate < high).all())


def test_at_equal_model_calls_the_cascade_finds_five_times_the_toxic_answers() -> None:
    """At a rate of 1 in 100 and the shares with which stage 1 tells the two apart in `tests/toxic`: recall 0.8, 3 % false suspicions."""
    rng, answers, rate, share = np.random.default_rng(20261126), 20_000, 0.01, 0.01
    bad = rng.random(answers) < rate
    suspected = np.where(bad, rng.random(answers) < 0.8, rng.random(answers) < 0.03)
    asked = suspected | (rng.random(answers) < share)
    uniform = rng.permutation(answers) < asked.sum()
    assert (bad & asked).sum() >= 5 * (bad & uniform).sum()


def test_a_rate_of_nothing_bad_is_not_sure() -> None:
    rate, low, high = sampled(sums_of(np.zeros((1, 50)), np.ones((1, 50))))
    assert (rate[0], round(low[0], 12)) == (0, 0)
    assert 0.05 < high[0] < 0.1
