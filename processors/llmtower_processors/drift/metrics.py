"""What is watched: meaning, and behaviour as shares of categories. All go through the same statistic.

A call's category is a vector with a single 1, so that sums are counts, distances are those of shares, and the correction for pairs of a
call with itself is the one of texts. Sums are scaled so that such a vector has length 1 in the units of `reference.squared`.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from llmtower_processors.drift.features import FEATURES, SCALE, Reals
from llmtower_processors.drift.language import LANGUAGES
from llmtower_processors.drift.reference import DAY, HOURS, Profile, all_day, by_hour
from llmtower_processors.drift.sums import BUCKETS

EMBEDDING: Final = "embedding"
FEWEST_EVENTS: Final = 5
"""Calls that must have moved from one category to another before behaviour counts as changed: rare things come singly."""
_ONE: Final = float(np.sqrt(FEATURES / 2))
_REASONS: Final = 32


@dataclass(frozen=True, slots=True)
class Metric:
    """A name, the directions in which it makes sense, and the number of its categories."""

    name: str
    directions: tuple[str, ...]
    width: int
    shortest: int = 0
    """Minutes of the shortest window in which it makes sense."""
    expects: Callable[[Profile], Profile] = by_hour
    """What is expected at an hour of the day: by default, what the reference had at that hour."""


METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric(EMBEDDING, ("input", "output"), FEATURES),
        Metric("length", ("input", "output"), BUCKETS),
        Metric("language", ("input", "output"), len(LANGUAGES)),
        Metric("refusals", ("output",), 2),
        Metric("tool_calls", ("output",), 2),
        Metric("finish_reasons", ("output",), _REASONS),
        Metric("token_time", ("output",), BUCKETS),
        Metric("sessions", ("input",), 2, DAY),
        Metric("hours", ("input",), HOURS, DAY, all_day),
    )
}
"""Every metric by its name."""

_NUMBER: Final = {language: number for number, language in enumerate(LANGUAGES)}
_OF_TEXTS: Final = ("texts", "features", "answered", "refusals", "tool_calls", "lengths", "token_times", "finish_reasons", "languages")
COLUMNS: Final = (*_OF_TEXTS, "calls", "session_calls", "sessions", "succeeded")
"""What a row of sums must have, in this order."""

_SHARE_OF: Final = {"refusals": "answered", "tool_calls": "succeeded"}
"""A refusal is a text; a model that calls a tool may well say nothing."""


def vector(metric: str, row: Mapping[str, Any]) -> tuple[Reals, float]:
    """Give a metric's sums out of one row of sums, in the units of the statistic, and the number of texts or calls in them."""
    if metric == EMBEDDING:
        if not row["texts"]:
            return np.zeros(FEATURES), 0.0
        return np.asarray(row["features"], dtype=np.float64) / SCALE, float(row["texts"])
    counts = np.zeros(METRICS[metric].width)
    for category, count in _categories(metric, row):
        counts[category] += count
    return counts * _ONE, float(counts.sum())


def _categories(metric: str, row: Mapping[str, Any]) -> Sequence[tuple[int, float]]:
    if metric in _SHARE_OF:
        some = float(row[metric])
        return [(0, max(0.0, float(row[_SHARE_OF[metric]]) - some)), (1, some)]
    if metric == "sessions":
        opening = min(float(row["sessions"]), float(row["session_calls"]))
        return [(0, float(row["session_calls"]) - opening), (1, opening)]
    if metric == "hours":
        return [(int(row["hour"]) if "hour" in row else int(row["at"]) // 3_600 % HOURS, float(row["calls"]))]
    if metric == "language":
        return [(_NUMBER.get(name, 0), count) for name, count in row["languages"].items()]
    if metric == "finish_reasons":
        return [(zlib.crc32(name.encode()) % _REASONS, count) for name, count in row["finish_reasons"].items()]
    return [(min(BUCKETS - 1, number), count) for number, count in row["lengths" if metric == "length" else "token_times"].items()]


def moved_share(metric: str, residual: Reals, texts: float, known: Profile) -> float:
    """Give the share of texts or calls that lie elsewhere than expected.

    Of categories that is the total variation distance, less what chance alone would show of it on average. Of meaning it is a lower bound:
    means of features lie at most sqrt(2) apart, so moving a share e of the texts moves their mean by e * sqrt(2) at most.
    """
    if texts <= 1:
        return 0.0
    if metric == EMBEDDING:
        apart = float(residual @ residual) / (FEATURES / 2) / texts**2 - known.variance / texts
        return float(min(1.0, np.sqrt(max(0.0, apart) / 2)))
    shares = known.sums.sum(axis=0) / _ONE / max(1.0, float(known.counts.sum()))
    uncertain = np.maximum(0.0, shares * (1 - shares))  # a single category's share may be a little more than 1
    by_chance = np.sqrt(2 / np.pi * uncertain * (1 / texts + 1 / max(1.0, float(known.counts.sum()))))
    return float(min(1.0, max(0.0, np.abs(residual).sum() / _ONE / texts - by_chance.sum()) / 2))


def moved(metric: str, residual: Reals) -> float:
    """Give how many texts or calls at least lie elsewhere than expected; for meaning it is not counted."""
    return float("inf") if metric == EMBEDDING else float(np.abs(residual).max()) / _ONE
