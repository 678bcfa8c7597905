"""Play a rule over figures of the past, through the same state machine that judges the present. Pure.

A track holds what a rule's levels are compared with, on a grid of times. Where a figure is good and nothing goes on, no look can change
anything: those stretches are passed over, so a month of a hundred groups takes a second.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from llmtower_processors.alerts.conditions import Reading
from llmtower_processors.alerts.memory import Memory
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.state import STRIDE_US, Look, step
from llmtower_schemas.alerts import Severity, Transition

Floats = NDArray[np.float64]
DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Track:
    """Figures of one group: `values[i]` and `samples[i]` at `start_us + i * step_us`; NaN = nothing to say."""

    group: Mapping[str, str]
    start_us: int
    step_us: int
    values: Floats
    samples: Floats
    sure: Floats | None = None
    """What the values are at least (or at most) with the rule's certainty; None = the values themselves."""

    @property
    def end_us(self) -> int:
        """The time of the last figure."""
        return self.start_us + (len(self.values) - 1) * self.step_us


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that the rule would have fired."""

    group: Mapping[str, str]
    since_us: int
    """When it was first bad."""
    fired_us: int
    ended_us: int | None
    """None = it still fires at the end."""
    severity: Severity
    """The gravest."""
    peak: float | None
    """The worst figure while it fired."""


def with_certainty(rule: Rule, track: Track) -> Track:
    """Add what the shares of a track are at least (or at most), where the rule demands certainty; see `conditions.bound`."""
    if not rule.sure:
        return track
    z = NormalDist().inv_cdf(rule.sure)
    upper = rule.levels.graded()[0][1].below is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        share, spread = np.clip(track.values, 0.0, 1.0), z * z / track.samples
        half = np.sqrt(spread * (share * (1 - share) + spread / 4))
        sure = (share + spread / 2 + (half if upper else -half)) / (1 + spread)
    return replace(track, sure=np.where(track.samples > 0, sure, track.values))


def replay(rule: Rule, track: Track) -> list[Episode]:
    """Give the episodes of one group, in order."""
    return _episodes(rule, track, transitions(rule, track))


def transitions(rule: Rule, track: Track) -> list[Transition]:
    """Give what the evaluator would have written, had it looked at these times (and at least once a minute in between)."""
    stirring = _stirring(rule, track)
    ahead = np.flatnonzero(stirring)
    window_us = round(rule.window * 1_000_000)
    between = range(0, track.step_us, min(track.step_us, STRIDE_US))
    memory, found, at = Memory(), list[Transition](), 0
    while at < len(track.values):
        if not (stirring[at] or memory.active or memory.watched.bad):
            place = int(np.searchsorted(ahead, at))
            if place == len(ahead):
                break
            at = int(ahead[place])
        value = float(track.values[at])
        certain = None if track.sure is None else float(track.sure[at])
        reading = None if math.isnan(value) else Reading(value, float(track.samples[at]), certain)
        for later in between:
            now = track.start_us + at * track.step_us + later
            memory, transition = step(memory, Look(rule, track.group, reading, now - window_us, now, now))
            found += [transition] if transition else []
        at += 1
    return found


def _stirring(rule: Rule, track: Track) -> NDArray[np.bool_]:
    """Say where a look can begin something: a level is passed by enough of a sample, or figures that should be there are not."""
    mildest = rule.levels.graded()[-1][1]
    certain = track.values if track.sure is None else track.sure
    with np.errstate(invalid="ignore"):
        passed = certain > mildest.threshold if mildest.above is not None else certain < mildest.threshold
    found: NDArray[np.bool_] = passed & (track.samples >= rule.min_sample)
    if rule.no_data == "alert":
        present = np.where(np.isnan(track.values), -np.inf, np.arange(len(track.values), dtype=np.float64))
        since = np.arange(len(track.values)) - np.maximum.accumulate(present)
        found |= np.isnan(track.values) & (since * track.step_us <= DAY_US)
    return found


def _episodes(rule: Rule, track: Track, made: list[Transition]) -> list[Episode]:
    found: list[Episode] = []
    begun: Transition | None = None
    severity: Severity = "warning"
    for one in made:
        if one.to_state == "firing" and begun is None:
            begun, severity = one, one.severity
        elif one.to_state == "firing" and one.severity == "critical":
            severity = "critical"
        elif one.to_state == "resolved" and begun is not None:
            found.append(_episode(rule, track, begun, severity, one.at_us))
            begun = None
    return [*found, _episode(rule, track, begun, severity, None)] if begun is not None else found


def _episode(rule: Rule, track: Track, begun: Transition, severity: Severity, ended_us: int | None) -> Episode:
    first = (begun.since_us - track.start_us) // track.step_us
    last = ((track.end_us if ended_us is None else ended_us) - track.start_us) // track.step_us
    part = track.values[first : last + 1]
    part = part[(track.samples[first : last + 1] >= rule.min_sample) & ~np.isnan(part)]
    down = rule.levels.graded()[-1][1].below is not None
    peak = None if not len(part) else float(part.min() if down else part.max())
    return Episode(track.group, begun.since_us, begun.at_us, ended_us, severity, peak)
