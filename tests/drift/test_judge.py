"""From sums to verdicts, on categories drawn at random: quiet where nothing drifts, loud where something does, silent with too little."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from llmtower_processors.drift.baselines import Baseline
from llmtower_processors.drift.features import features
from llmtower_processors.drift.judge import HOUR_S, Key, Row, Verdict, judge, profile_of
from llmtower_processors.drift.metrics import COLUMNS, METRICS, moved_share, vector
from llmtower_processors.drift.reference import DAY, Profile, differences, profile
from llmtower_processors.drift.scopes import DAY_S, EARLIER, TRAILING, Reference, earlier_weeks, references, scope_of
from llmtower_processors.drift.thresholds import SLOW, WINDOWS, Calibration, calibrate, windows

Array = npt.NDArray[np.float64]
ONE = np.sqrt(128)
"""Length of a category's vector in the statistic's units."""
MONTH = 30 * DAY * len(WINDOWS)
MIX = np.array([0.3, 0.3, 0.2, 0.1, 0.05, 0.05])
OTHER = np.array([0.05, 0.05, 0.1, 0.2, 0.3, 0.3])


def traffic(days: int, seed: int, *, rate: float = 20.0, mix: Array = MIX, bins: int = DAY, wander: float = 0.0) -> tuple[Array, Array]:
    """Categories whose shares follow the hour of the day and, with `wander`, the quarter of an hour."""
    rng = np.random.default_rng(seed)
    at = np.arange(days * bins) / bins * 2 * np.pi
    lean = 0.4 * np.sin(at[:, None] + np.arange(len(mix)))
    lean += wander * np.repeat(rng.standard_normal((days * bins // 15 + 1, len(mix))), 15, axis=0)[: days * bins]
    share = mix * np.exp(lean)
    drawn = rng.multinomial(rng.poisson(rate * (1 + 0.5 * np.sin(at))), share / share.sum(axis=1, keepdims=True))
    return (drawn * ONE).reshape(days, bins, -1), drawn.sum(axis=1).reshape(days, bins).astype(np.float64)


def learnt(window: int, reference: tuple[Array, Array]) -> Calibration:
    found = calibrate(*reference, window)
    assert isinstance(found, Calibration), found
    return found


def above(window: int, reference: tuple[Array, Array], after: tuple[Array, Array], minutes: float = MONTH) -> float:
    """Share of the later windows that are above the threshold."""
    model, bins = learnt(window, reference), after[1].shape[1]
    sums, counts = after[0].reshape(-1, after[0].shape[2]), after[1].reshape(-1)
    step = DAY // bins
    away = differences(sums, counts, profile(*reference), np.arange(len(counts)) * step % DAY, step)
    return float(np.mean(model.statistic(windows(away, window // step)) > model.threshold(minutes)))


@pytest.mark.parametrize("wander", [0.0, 0.2])
@pytest.mark.parametrize("window", [10, 60])
def test_what_goes_on_as_before_is_quiet_and_a_new_mix_is_loud(window: int, wander: float) -> None:
    reference = traffic(7, 1, wander=wander)
    assert above(window, reference, traffic(3, 2, wander=wander)) < 0.001
    assert above(window, reference, traffic(1, 3, mix=OTHER, wander=wander)) > 0.9


def test_a_day_is_judged_by_its_hours() -> None:
    reference = traffic(7, 1)
    hours = tuple(part.reshape(3, 24, 60, *part.shape[2:]).sum(axis=2) for part in traffic(3, 2))
    assert above(DAY, reference, (hours[0], hours[1])) == 0


def test_a_small_reference_does_not_make_a_large_window_drift() -> None:
    sparse = traffic(7, 1, rate=4.0)
    assert above(60, sparse, traffic(3, 2, rate=400.0)) < 0.01


def test_weeks_see_what_trailing_days_drift_along_with() -> None:
    earlier = traffic(21, 1, rate=600, bins=24)
    assert above(SLOW, earlier, traffic(14, 2, rate=600, bins=24)) == 0
    assert above(SLOW, earlier, traffic(7, 3, rate=600, bins=24, mix=MIX * np.array([1.1, 1, 1, 1, 1, 0.9]))) == 1


def test_thresholds_grow_with_the_time_between_false_alarms_and_wandering_texts_count_less() -> None:
    model, wandering = learnt(10, traffic(7, 1)), learnt(10, traffic(7, 1, wander=0.4))
    levels = [model.threshold(days * DAY) for days in (1, 7, 30, 365)]
    assert levels == sorted(levels)
    away = windows(differences(*(part[0] for part in traffic(1, 2)), profile(*traffic(7, 1)), np.arange(DAY), 1), 10)  # type: ignore[call-arg]
    assert wandering.effective(away).mean() < 0.8 * away.texts.mean()
    assert model.effective(away).mean() > 0.8 * away.texts.mean()


@pytest.mark.parametrize(
    ("days", "rate", "window", "reason"),
    [
        (2, 20.0, 10, "2 days of reference, 3 are needed"),
        (4, 20.0, DAY, "4 days of reference, 5 are needed"),
        (7, 0.5, 10, "too few windows of 10 minutes have 30 texts"),
    ],
)
def test_too_little_is_no_calibration(days: int, rate: float, window: int, reason: str) -> None:
    assert calibrate(*traffic(days, 1, rate=rate), window) == reason


def row(at: int, refusals: int, answered: int) -> Row:
    empty: dict[str, object] = {name: {} for name in COLUMNS}
    return empty | {"at": at, "hour": at // HOUR_S % 24, "texts": 0, "answered": answered, "refusals": refusals}


def test_a_window_with_too_little_or_at_unknown_hours_is_no_verdict() -> None:
    known = profile_of("refusals", [row(hour * HOUR_S, 4, 400) for hour in range(12)])
    counts = np.full((5, DAY), 20.0)
    refusals = np.random.default_rng(1).binomial(20, 0.01, (5, DAY)).astype(np.float64)
    model = learnt(10, (np.stack([counts - refusals, refusals], axis=2) * ONE, counts))

    def said(rows: list[Row]) -> tuple[str, str]:
        found = judge("refusals", rows, known, model, bin_minutes=1, minutes=MONTH)
        return found.status, found.reason

    assert said([]) == ("insufficient", "too few texts")
    assert said([row(5 * HOUR_S, 0, 29)]) == ("insufficient", "too few texts")
    assert said([row(18 * HOUR_S, 0, 300)]) == ("insufficient", "no reference at these hours")
    assert said([row(5 * HOUR_S + 60 * minute, 0, 30) for minute in range(10)]) == ("ok", "")
    assert said([row(5 * HOUR_S + 60 * minute, 12, 30) for minute in range(10)]) == ("drift", "")
    found = judge("refusals", [row(5 * HOUR_S, 9, 300)], known, "not learnt yet", bin_minutes=1, minutes=MONTH)
    assert (found.status, found.reason, found.texts) == ("insufficient", "not learnt yet", 300)


OWN = Key("p", "shop", "production", "m", "answer", "3", "input", "e")


def hours_of(days: list[int]) -> list[Row]:
    return [{"hour": 1, "days": days}]


def test_a_young_segment_is_held_against_its_siblings() -> None:
    reference = Reference(TRAILING, 0, 7 * DAY_S, {})
    older, sister = OWN._replace(prompt_version="2"), OWN._replace(request_model="n")
    stranger = OWN._replace(app="other")
    week = {older: hours_of([1, 2, 3]), sister: hours_of([1, 2, 3]), stranger: hours_of([1, 2, 3])}
    assert scope_of(OWN, reference, week | {OWN: hours_of([1, 2, 3])})[0] == (TRAILING, OWN, "")
    assert scope_of(OWN, reference, week | {OWN: hours_of([3])})[0] == ("other versions", OWN, "prompt_version")
    assert scope_of(OWN, reference, {sister: week[sister]}) == (("other models", OWN, "request_model"), week[sister])
    assert scope_of(OWN, reference, {stranger: week[stranger]}) == ((TRAILING, OWN, ""), [])


def test_a_baseline_of_one_version_is_for_the_next_one_too() -> None:
    from datetime import UTC, datetime

    span = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC))
    trailing, launch = references(1_800_000_000 // HOUR_S * HOUR_S, [Baseline("p", "launch", "app=shop,prompt_version=2", *span, "")])
    assert (trailing.name, launch.name) == (TRAILING, "baseline launch")
    assert trailing.end - trailing.start == 7 * DAY_S
    assert launch.covers(OWN)
    assert not launch.covers(OWN._replace(app="other"))
    known = {OWN: hours_of([1, 2, 3]), OWN._replace(prompt_version="2"): hours_of([1, 2, 3])}
    assert scope_of(OWN, launch, known)[0] == ("baseline launch, other versions", OWN, "prompt_version")
    assert earlier_weeks(trailing.end).name == EARLIER


def asked_by_hour(days: int, seed: int, *, later: int = 0, first_share: float = 0.2) -> list[list[Row]]:
    """Hours of days in which people ask most at noon, `later` hours later; a share of the calls opens a session."""
    rng = np.random.default_rng(seed)
    found: list[list[Row]] = []
    for day in range(days):
        calls = rng.poisson(60 * (1.2 + np.sin((np.arange(24) - 6 - later) / 24 * 2 * np.pi)))
        opening = rng.binomial(calls, first_share)
        empty: dict[str, object] = {name: {} for name in COLUMNS}
        at = [(day * 24 + hour) * 3_600 for hour in range(24)]
        found.append(
            [
                empty | {"at": moment, "calls": int(n), "session_calls": int(n), "sessions": int(first)}
                for moment, n, first in zip(at, calls, opening, strict=True)
            ]
        )
    return found


def judged_day(metric: str, reference: list[list[Row]], after: list[Row]) -> Verdict:
    """Learn from days of hours and judge one more, as the timer does."""
    made = [[vector(metric, one) for one in day] for day in reference]
    sums, counts = np.array([[one[0] for one in day] for day in made]), np.array([[one[1] for one in day] for day in made])
    model = calibrate(sums, counts, DAY, expects=METRICS[metric].expects)
    assert isinstance(model, Calibration), model
    known = profile_of(metric, [{**one, "hour": one["at"] // 3_600 % 24} for day in reference for one in day])
    return judge(metric, after, known, model, bin_minutes=60, minutes=MONTH)


@pytest.mark.parametrize(
    ("metric", "change"),
    [("hours", {"later": 3}), ("sessions", {"first_share": 0.35})],
    ids=["people ask later", "sessions become shorter"],
)
def test_user_patterns_are_judged_by_the_day(metric: str, change: dict[str, Any]) -> None:
    reference = asked_by_hour(7, 1)
    quiet = [judged_day(metric, reference, asked_by_hour(1, seed)[0]) for seed in range(10, 16)]
    assert [one.status for one in quiet] == ["ok"] * 6
    assert max(one.moved for one in quiet) < 0.03
    loud = judged_day(metric, reference, asked_by_hour(1, 20, **change)[0])
    assert loud.status == "drift"
    assert loud.moved == pytest.approx({"hours": 0.19, "sessions": 0.15}[metric], abs=0.04)


def test_the_moved_share_of_meaning_is_a_lower_bound() -> None:
    rng = np.random.default_rng(4)
    drawn = features("test@1:32", 32)

    def texts(count: int, centre: int) -> Array:
        rows = rng.standard_normal((count, 32)) * 0.02
        rows[:, centre] += 1
        return drawn.of((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)).astype(np.float64)

    known = Profile(np.tile(texts(4_000, 0).sum(axis=0) / 24, (24, 1)), np.full(24, 4_000 / 24))
    for share in (0.0, 0.1, 0.5, 1.0):
        now = np.concatenate([texts(round(400 * (1 - share)), 0), texts(round(400 * share), 1)])
        away = now.sum(axis=0) - len(now) * known.sums.sum(axis=0) / known.counts.sum()
        found = moved_share("embedding", away, len(now), known)
        assert share * 0.5 - 0.01 <= found <= share + 0.03
