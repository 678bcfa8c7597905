"""From a figure to a verdict: is it bad, how bad, is it good again, or is there nothing to judge? Pure."""

from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import NormalDist
from typing import Literal

from llmtower_processors.alerts.levels import Level
from llmtower_processors.alerts.rules import Rule
from llmtower_schemas.alerts import Severity

Basis = Literal["value", "nothing", "too_few"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured for one rule and group; `value` is None where there is nothing to say."""

    value: float | None
    sample: float = 0.0
    sure: float | None = None
    """What the value is at least (or at most) with the rule's certainty; None = the value itself."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`worst` is the gravest level passed, `held` the gravest level not yet good again (at least `worst`)."""

    worst: Severity | None
    held: Severity | None
    basis: Basis = "value"
    threshold: float | None = None
    """The level that was passed, or the mildest one."""

    @property
    def bad(self) -> bool:
        """Whether any level is passed."""
        return self.worst is not None


def judge(rule: Rule, reading: Reading | None) -> Verdict:
    """Compare with the rule's levels; None stands for a group that has no row any more."""
    graded = rule.levels.graded()
    basis = _basis(rule, reading)
    if basis != "value" or reading is None or reading.value is None:
        return _without(rule, basis, graded, reading)
    certain = reading.value if reading.sure is None else reading.sure
    passed = [severity for severity, level in graded if level.breached(certain)]
    unhealed = [severity for severity, level in graded if not level.recovered(reading.value)]
    return Verdict(passed[0] if passed else None, unhealed[0] if unhealed else None, "value", _threshold(graded, passed))


def _basis(rule: Rule, reading: Reading | None) -> Basis:
    if reading is None or reading.value is None:
        return "nothing"
    return "too_few" if reading.sample < rule.min_sample else "value"


def _without(rule: Rule, basis: Basis, graded: list[tuple[Severity, Level]], reading: Reading | None) -> Verdict:
    """Too few is not none: it starts no alert, and ends one only when the few are good; the state machine looks at `basis`."""
    mildest = graded[-1]
    if basis == "too_few" and reading is not None and reading.value is not None:
        unhealed = [severity for severity, level in graded if not level.recovered(reading.value)]
        return Verdict(None, unhealed[0] if unhealed else None, basis, mildest[1].threshold)
    if rule.no_data == "alert" and basis == "nothing":
        return Verdict(mildest[0], mildest[0], basis, mildest[1].threshold)
    return Verdict(None, None, basis, mildest[1].threshold)


def _threshold(graded: list[tuple[Severity, Level]], passed: list[Severity]) -> float:
    found = dict(graded)
    return found[passed[0]].threshold if passed else graded[-1][1].threshold


def burn(long: Reading, short: Reading, budget: float) -> Reading:
    """Give the smaller of two burn rates, with the smaller sample; nothing when either has nothing."""
    if long.value is None or short.value is None:
        return Reading(None, min(long.sample, short.sample))
    certain = None if long.sure is None or short.sure is None else min(long.sure, short.sure) / budget
    return Reading(min(long.value, short.value) / budget, min(long.sample, short.sample), certain)


def against(now: Reading, usual: float | None, floor: float) -> Reading:
    """Give the ratio to what is usual; nothing when that is unknown or both are nothing."""
    if now.value is None or usual is None:
        return Reading(None, now.sample)
    denominator = max(usual, floor)
    if denominator <= 0:
        return Reading(None, now.sample)
    return Reading(now.value / denominator, now.sample, None if now.sure is None else now.sure / denominator)


@cache
def _deviations(certainty: float) -> float:
    return NormalDist().inv_cdf(certainty)


def bound(share: float, sample: float, certainty: float, *, upper: bool = False) -> float:
    """Give the end of Wilson's one-sided interval: what a share is at least (or at most), seen in so large a sample (Wilson 1927)."""
    z = _deviations(certainty)
    share, spread = min(max(share, 0.0), 1.0), z * z / sample
    half = sqrt(spread * (share * (1 - share) + spread / 4))
    return (share + spread / 2 + (half if upper else -half)) / (1 + spread)
