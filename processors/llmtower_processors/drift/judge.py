"""From sums to verdicts, for one segment: pure. What the timer writes, the benchmark and the tests run the same functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from llmtower_processors.drift.features import Reals
from llmtower_processors.drift.metrics import FEWEST_EVENTS, moved, vector
from llmtower_processors.drift.reference import DAY, HOURS, Profile, squared
from llmtower_processors.drift.thresholds import FEWEST_TEXTS, Calibration

OK: Final = "ok"
DRIFT: Final = "drift"
INSUFFICIENT: Final = "insufficient"
UNKNOWN_SHARE: Final = 0.2
"""Share of a window's texts that may lie in hours of which the reference knows nothing."""
HOUR_S: Final = 3_600


class Key(NamedTuple):
    """A segment as it is judged: in all languages together, so that a change of language is seen."""

    project: str
    app: str
    environment: str
    request_model: str
    prompt_name: str
    prompt_version: str
    direction: str
    embedder: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one segment, window and metric."""

    status: str
    reason: str
    statistic: float
    threshold: float
    distance: float
    texts: int
    reference_texts: int
    effective_texts: float
    rank: float


Row = Mapping[str, Any]
"""Sums of one minute or hour: `at` (seconds) and the columns of `metrics.COLUMNS`."""


def profile_of(metric: str, rows: Sequence[Row], days: int) -> Profile:
    """Make a profile of rows of which each holds an hour of the day (`hour`) over some days."""
    found = [(int(row["hour"]), *vector(metric, row)) for row in rows]
    width = len(found[0][1]) if found else 1
    sums, counts = np.zeros((HOURS, width)), np.zeros(HOURS)
    for hour, summed, count in found:
        sums[hour] += summed
        counts[hour] += count
    return Profile(sums, counts, days)


def residual(metric: str, rows: Sequence[Row], known: Profile, bin_minutes: int) -> tuple[Reals, float, float]:
    """Give by how much rows differ from a profile, summed; the texts compared, and those in hours that the profile does not know."""
    total, texts, unknown = np.zeros(known.sums.shape[1]), 0.0, 0.0
    if not rows:
        return total, texts, unknown
    minute = np.array([int(row["at"]) // 60 % DAY for row in rows])
    for row, expected in zip(rows, known.expected(minute, bin_minutes), strict=True):
        summed, count = vector(metric, row)
        if np.isnan(expected).any():
            unknown += count
        else:
            total += summed - count * expected
            texts += count
    return total, texts, unknown


def judge(metric: str, rows: Sequence[Row], known: Profile, model: Calibration | str, *, bin_minutes: int, minutes: float) -> Verdict:
    """Hold a window against its reference; `minutes` is the expected time between false alarms granted to this window alone."""
    away, texts, unknown = residual(metric, rows, known, bin_minutes)
    reference = int(known.counts.sum())
    distance = float(np.sqrt(max(0.0, _distance(away, texts, known)))) if texts > 1 else 0.0
    if isinstance(model, str) or texts < FEWEST_TEXTS or unknown > UNKNOWN_SHARE * (texts + unknown):
        reason = model if isinstance(model, str) else "too few texts" if texts + unknown < FEWEST_TEXTS else "no reference at these hours"
        return Verdict(INSUFFICIENT, reason, 0.0, 0.0, distance, int(texts + unknown), reference, 0.0, 0.0)
    value = float(model.statistic(away[None, :], np.array([texts]))[0])
    threshold = model.threshold(minutes)
    drifts = value > threshold and moved(metric, away) >= FEWEST_EVENTS
    effective, rank = model.effective(texts), model.rank(value)
    return Verdict(DRIFT if drifts else OK, "", value, threshold, distance, int(texts), reference, effective, rank)


def _distance(away: Reals, texts: float, known: Profile) -> float:
    return float(squared(away)) / texts**2 - known.variance / texts
