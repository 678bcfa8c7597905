"""What is watched: meaning, and behaviour as shares of categories. All go through the same statistic.

A call's category is a vector with a single 1, so that sums are counts, distances are those of shares, and the correction for pairs of a
call with itself is the one of texts. Sums are scaled so that such a vector has length 1 in the units of `reference.squared`.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from llmtower_processors.drift.features import FEATURES, SCALE, Reals
from llmtower_processors.drift.language import LANGUAGES
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
    )
}
"""Every metric by its name."""

_NUMBER: Final = {language: number for number, language in enumerate(LANGUAGES)}
COLUMNS: Final = ("texts", "features", "answered", "refusals", "tool_calls", "lengths", "token_times", "finish_reasons", "languages")
"""What a row of sums must have, in this order."""


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
    if metric in ("refusals", "tool_calls"):
        some = float(row[metric])
        return [(0, max(0.0, float(row["answered"]) - some)), (1, some)]
    if metric == "language":
        return [(_NUMBER.get(name, 0), count) for name, count in row["languages"].items()]
    if metric == "finish_reasons":
        return [(zlib.crc32(name.encode()) % _REASONS, count) for name, count in row["finish_reasons"].items()]
    return [(min(BUCKETS - 1, number), count) for number, count in row["lengths" if metric == "length" else "token_times"].items()]


def moved(metric: str, residual: Reals) -> float:
    """Give how many texts or calls at least lie elsewhere than expected; for meaning it is not counted."""
    return float("inf") if metric == EMBEDDING else float(np.abs(residual).max()) / _ONE
