"""From a figure to a verdict: is it bad, how bad, is it good again, or is there nothing to judge? Pure."""

from dataclasses import dataclass
from typing import Literal

from llmtower_processors.alerts.rules import Level, Rule
from llmtower_schemas.alerts import Severity

Basis = Literal["value", "nothing", "too_few"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured for one rule and group; `value` is None where there is nothing to say."""

    value: float | None
    sample: float = 0.0


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
        return _without(rule, basis, graded)
    passed = [severity for severity, level in graded if level.breached(reading.value)]
    unhealed = [severity for severity, level in graded if not level.recovered(reading.value)]
    return Verdict(passed[0] if passed else None, unhealed[0] if unhealed else None, "value", _threshold(graded, passed))


def _basis(rule: Rule, reading: Reading | None) -> Basis:
    if reading is None or reading.value is None:
        return "nothing"
    return "too_few" if reading.sample < rule.min_sample else "value"


def _without(rule: Rule, basis: Basis, graded: list[tuple[Severity, Level]]) -> Verdict:
    """Too few is not none: it neither starts an alert nor, with `alert` and `keep`, ends one; the state machine looks at `basis`."""
    mildest = graded[-1]
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
    return Reading(min(long.value, short.value) / budget, min(long.sample, short.sample))


def against(now: Reading, usual: float | None, floor: float) -> Reading:
    """Give the ratio to what is usual; nothing when that is unknown or both are nothing."""
    if now.value is None or usual is None:
        return Reading(None, now.sample)
    denominator = max(usual, floor)
    return Reading(now.value / denominator if denominator > 0 else None, now.sample)
