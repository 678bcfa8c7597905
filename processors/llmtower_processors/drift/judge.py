"""From sums to verdicts, for one segment: pure. What the timer writes, the benchmark and the tests run the same functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from llmtower_processors.drift.metrics import FEWEST_EVENTS, METRICS, moved, moved_share, vector
from llmtower_processors.drift.reference import DAY, HOURS, Away, Profile, differences, squared
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
    moved: float = 0.0
    """Share of texts or calls that lie elsewhere."""


Row = Mapping[str, Any]
"""Sums of one minute or hour: `at` (seconds) and the columns of `metrics.COLUMNS`."""


def profile_of(metric: str, rows: Sequence[Row]) -> Profile:
    """Make a profile of rows of which each holds an hour of the day (`hour`) over some days."""
    width = METRICS[metric].width
    sums, counts = np.zeros((HOURS, width)), np.zeros(HOURS)
    for row in rows:
        summed, count = vector(metric, row)
        sums[int(row["hour"])] += summed
        counts[int(row["hour"])] += count
    return METRICS[metric].expects(Profile(sums, counts))


def residual(metric: str, rows: Sequence[Row], known: Profile, bin_minutes: int) -> tuple[Away, float]:
    """Give by how much a window differs from a profile, summed (arrays of one row), and how many texts lie in hours it does not know."""
    width = known.sums.shape[1]
    sums, counts = np.zeros((len(rows), width)), np.zeros(len(rows))
    for number, row in enumerate(rows):
        sums[number], counts[number] = vector(metric, row)
    minute = np.array([int(row["at"]) // 60 % DAY for row in rows], dtype=np.int64)
    found = differences(sums, counts, known, minute, bin_minutes)
    return Away(*(part.sum(axis=0)[None] for part in found)), float(counts.sum() - found.texts.sum())


def judge(metric: str, rows: Sequence[Row], known: Profile, model: Calibration | str, *, bin_minutes: int, minutes: float) -> Verdict:
    """Hold a window against its reference; `minutes` is the expected time between false alarms granted to this window alone."""
    away, unknown = residual(metric, rows, known, bin_minutes)
    texts, reference = float(away.texts[0]), int(known.counts.sum())
    distance = float(np.sqrt(max(0.0, float(squared(away.rows)[0]) / texts**2 - known.variance / texts))) if texts > 1 else 0.0
    if isinstance(model, str) or texts < FEWEST_TEXTS or unknown > UNKNOWN_SHARE * (texts + unknown):
        reason = "too few texts" if texts + unknown < FEWEST_TEXTS else model if isinstance(model, str) else "no reference at these hours"
        return Verdict(INSUFFICIENT, reason, 0.0, 0.0, distance, int(texts + unknown), reference, 0.0, 0.0)
    value = float(model.statistic(away)[0])
    threshold = model.threshold(minutes)
    drifts = value > threshold and moved(metric, away.rows[0]) >= FEWEST_EVENTS
    effective = float(model.effective(away)[0])
    share = moved_share(metric, away.rows[0], texts, known)
    return Verdict(DRIFT if drifts else OK, "", value, threshold, distance, int(texts), reference, effective, model.rank(value), share)
