"""Whether a version may go live: no figure worse than that of production beyond a stated margin. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.statistics import Compared, Difference, Estimate

Outcome = Literal["passes", "unsure", "fails"]
_RELATIVE: Final = "%"


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse a figure may be: of its own unit, or of production's value."""

    figure: str
    amount: float
    relative: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate says of one figure."""

    figure: str
    outcome: Outcome
    sentence: str


def parse_margin(text: str) -> Margin:
    """Read `error rate=0.5pp`, `p95 duration=10%`, `score relevance=0.02`. Raises NotConfigured."""
    figure, equals, amount = text.rpartition("=")
    figure, amount = figure.strip(), amount.strip()
    relative = amount.endswith(_RELATIVE)
    points = amount.endswith("pp")
    try:
        value = float(amount.removesuffix(_RELATIVE).removesuffix("pp"))
    except ValueError:
        value = -1.0
    if not equals or not figure or not 0 <= value < 1e9:
        raise NotConfigured(f"{text!r} is no margin. Write a figure and how much worse it may be: 'p95 duration=10%', 'error rate=0.5pp'.")
    return Margin(figure, value / 100 if relative or points else value, relative)


def judge(compared: Sequence[Compared], margins: Sequence[Margin], *, at_least: int) -> list[Judged]:
    """Judge every figure that has a margin. A is production, B the candidate. Raises NotConfigured for a figure that is not there."""
    by_name: Mapping[str, Compared] = {one.figure: one for one in compared}
    if missing := [margin.figure for margin in margins if margin.figure not in by_name]:
        raise NotConfigured(f"There is no figure {', '.join(missing)}. There are: {', '.join(by_name) or 'none'}.")
    return [_judged(by_name[margin.figure], margin, at_least) for margin in margins]


def wanting(compared: Sequence[Compared], margins: Sequence[Margin], *, at_least: int) -> list[str]:
    """Name the figures with a margin that are not there yet, or rest on too few observations."""
    by_name = {one.figure: one for one in compared}
    return [margin.figure for margin in margins if (one := by_name.get(margin.figure)) is None or _known(one, at_least) is None]


def _known(one: Compared, at_least: int) -> tuple[Estimate, Estimate, Difference] | None:
    """Give both sides and their difference; None when they rest on too few observations."""
    if one.a is None or one.b is None or one.difference is None or min(one.a.n, one.b.n) < at_least:
        return None
    return one.a, one.b, one.difference


def _judged(one: Compared, margin: Margin, at_least: int) -> Judged:
    known = _known(one, at_least)
    if known is None:
        seen = " and ".join(f"{estimate.n:,.0f}" if estimate else "none" for estimate in (one.a, one.b))
        return Judged(one.figure, "fails", f"too little to judge: {seen} observations, {at_least:,} each are wanted")
    production, _, difference = known
    sign = -1 if one.good == "higher" else 1
    bounds = sorted((sign * difference.low, sign * difference.high))
    worse, allowed = sign * difference.value, margin.amount * (abs(production.value) if margin.relative else 1.0)
    said = f"worse by {worse:.4g} [{bounds[0]:.4g}, {bounds[1]:.4g}], allowed {allowed:.4g}"
    if worse > allowed and bounds[0] > 0:
        return Judged(one.figure, "fails", said)
    if bounds[1] > allowed:
        return Judged(
            one.figure, "unsure", f"{said}: not proven to be within the margin{_needed(known, bounds[1] - worse, allowed - worse)}"
        )
    return Judged(one.figure, "passes", said)


def _needed(known: tuple[Estimate, Estimate, Difference], half: float, room: float) -> str:
    """Say how many observations would prove it, if the difference stays as it is: the error falls with the root of the sample."""
    if room <= 0:
        return ""
    return f"; about {math.ceil(min(known[0].n, known[1].n) * (half / room) ** 2):,} each would"
