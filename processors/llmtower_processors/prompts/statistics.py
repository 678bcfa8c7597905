"""Two versions beside each other: estimates with 95 % intervals, their difference, its significance, the sample that is missing. Pure.

Rates by Wilson's interval, means by Student's, percentiles by order statistics; differences by recovering the variances of both intervals
(MOVER: Newcombe 1998 for rates, Zou and Donner 2008 in general), so that skewed intervals stay skewed. Several figures are looked at
together, so a verdict needs Holm's correction.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import Final, Literal

LEVEL: Final = 0.95
POWER: Final = 0.8
_NORMAL: Final = NormalDist()
Z: Final = _NORMAL.inv_cdf((1 + LEVEL) / 2)
Good = Literal["lower", "higher", "neither"]
"""Which way a figure should go."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of one version: its value and interval, and how many observations it rests on."""

    value: float
    low: float
    high: float
    n: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How far B lies from A."""

    value: float
    low: float
    high: float
    p: float
    needed: int | None
    """Observations of each version that would show a difference as large as this one, at 80 % power; None where it is shown already."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both versions."""

    figure: str
    unit: str
    good: Good
    a: Estimate | None
    b: Estimate | None
    difference: Difference | None
    verdict: str


def rate(hits: float, n: float) -> Estimate | None:
    """Wilson's interval; None without observations. Of no hits at all it begins at 0 itself, not at a rounding error beside it."""
    if n <= 0:
        return None
    p, square = hits / n, Z * Z
    middle = (p + square / (2 * n)) / (1 + square / n)
    half = Z * math.sqrt(p * (1 - p) / n + square / (4 * n * n)) / (1 + square / n)
    return Estimate(p, max(0.0, middle - half) if hits else 0.0, min(1.0, middle + half), n)


def mean(value: float, variance: float, n: float) -> Estimate | None:
    """Student's interval of a mean; None for fewer than two observations."""
    if n < 2 or not math.isfinite(variance):
        return None
    half = student(n - 1) * math.sqrt(max(0.0, variance) / n)
    return Estimate(value, value - half, value + half, n)


def student(freedom: float) -> float:
    """Give the two-sided 95 % quantile of Student's t (Cornish and Fisher's expansion, within 1 % from 4 degrees of freedom on)."""
    z = Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def quantile_ranks(level: float, n: float) -> tuple[float, float]:
    """Give the levels whose quantiles bound a quantile: the binomial's normal approximation."""
    half = Z * math.sqrt(level * (1 - level) / n) if n > 0 else 1.0
    return max(0.0, level - half), min(1.0, level + half)


def subtract(a: Estimate, b: Estimate) -> Difference:
    """Give b minus a."""
    value = b.value - a.value
    low = value - math.hypot(b.value - b.low, a.high - a.value)
    high = value + math.hypot(b.high - b.value, a.value - a.low)
    half = value - low if value > 0 else high - value
    if half <= 0:
        return Difference(value, low, high, 1.0 if value == 0 else 0.0, None)
    error = half / Z
    p = 2 * (1 - _NORMAL.cdf(abs(value) / error))
    return Difference(value, low, high, p, None if p < 1 - LEVEL else needed(abs(value) / error, min(a.n, b.n)))


def needed(ratio: float, n: float) -> int | None:
    """Give the sample that would show a difference of so many standard errors, at 80 % power: the error falls with its root."""
    if ratio < 1e-3:
        return None
    return math.ceil(n * ((Z + _NORMAL.inv_cdf(POWER)) / ratio) ** 2)


def compare(
    figures: Sequence[tuple[str, str, Good, Estimate | None, Estimate | None]], *, least: Mapping[str, int] = MappingProxyType({})
) -> list[Compared]:
    """Put every figure (name, unit, which way is good, A, B) side by side, and say what can be said.

    `least` is how many observations a figure needs to have an interval at all, where those are more than two.
    """
    differences = [subtract(a, b) if a and b else None for *_, a, b in figures]
    shown = holm([difference.p if difference else 1.0 for difference in differences])
    return [
        Compared(name, unit, good, a, b, difference, _verdict(good, difference, beyond, least.get(name, 2)))
        for (name, unit, good, a, b), difference, beyond in zip(figures, differences, shown, strict=True)
    ]


def holm(values: Sequence[float]) -> list[bool]:
    """Say which p-values stand when all are looked at together (Holm 1979)."""
    found = [False] * len(values)
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if values[place] > (1 - LEVEL) / (len(values) - rank):
            break
        found[place] = True
    return found


def _verdict(good: Good, difference: Difference | None, shown: bool, least: int) -> str:
    if difference is None:
        return f"not enough data: {least:,} each at least"
    if not shown:
        return "not shown to differ" + (f"; about {difference.needed:,} each would" if difference.needed else "")
    if good == "neither":
        return "differs"
    return "better" if (difference.value < 0) == (good == "lower") else "worse"
