"""Where an alarm begins: from the reference's own minutes, for a stated expected time between false alarms.

Windows of the reference are made anew out of blocks of contiguous minutes from the same hours of different days (so autocorrelation and
the course of the day stay in), each held against the other days. The largest statistic within each window's length is a maximum of
dependent values; a generalized Pareto tail fitted to these maxima (Pickands 1975) is followed out to the wanted rate.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from llmtower_processors.drift.features import Reals
from llmtower_processors.drift.reference import DAY, left_out, noise, profile, squared

WINDOWS: Final = (10, 60, DAY)
"""Minutes."""
BINS: Final = {10: 1, 60: 5, DAY: 60}
"""Minutes by which each window is moved along when thresholds are computed."""
BLOCKS: Final = {10: 60, 60: 180, DAY: 360}
"""Minutes that stay together when windows are made anew."""
SYNTHETIC_DAYS: Final = {10: 84, 60: 280, DAY: 2_000}
FEWEST_DAYS: Final = {10: 3, 60: 3, DAY: 5}
FEWEST_TEXTS: Final = 30
"""In a window; fewer are no verdict."""
FEWEST_WINDOWS: Final = 40
TAIL: Final = 0.1
"""Share of the maxima that the tail is fitted to."""
LIGHTEST: Final = 0.05
HEAVIEST: Final = 0.3
"""Shapes of tails."""
CAUTION: Final = 1.5
"""The rate aimed at is so many times lower than the one stated: the tail is estimated from a few days."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The largest values of a statistic where nothing drifts: P(max > start + x) = TAIL · (1 + shape·x/scale)^(-1/shape)."""

    start: float
    scale: float
    shape: float

    def beyond(self, probability: float) -> float:
        """Give the value that is passed with this probability."""
        if probability >= TAIL:
            return self.start
        if self.shape < 1e-6:
            return self.start + self.scale * float(np.log(TAIL / probability))
        return self.start + self.scale / self.shape * (float((TAIL / probability) ** self.shape) - 1)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a window's statistic behaves where nothing drifts."""

    window: int
    days: int
    variance: float
    between: float
    """Squared distance that does not go away with more texts: minutes differ from each other."""
    tail: Tail
    spread: float
    ranks: tuple[float, ...]
    """101 quantiles of the statistic."""
    reference_texts: int

    def threshold(self, minutes: float) -> float:
        """Give the value that is passed once in so many minutes on average, where nothing drifts."""
        return self.tail.beyond(self.window / (minutes * CAUTION))

    def rank(self, value: float) -> float:
        """Give the share of reference windows with a smaller value."""
        return float(np.searchsorted(self.ranks, value) / len(self.ranks))

    def effective(self, texts: float) -> float:
        """Give how many independent texts would be as sure as these."""
        chance = float(noise(texts, self.variance, self.window, self.days))
        return texts * chance / (chance + self.between)

    def statistic(self, residual: Reals, texts: Reals) -> Reals:
        """Give the distance in units of its expected noise; -inf for windows with too few texts. `residual` is a sum, a row a window."""
        enough = texts >= FEWEST_TEXTS
        count = np.where(enough, texts, FEWEST_TEXTS)
        chance = noise(count, self.variance, self.window, self.days)
        found: Reals = np.where(enough, (squared(residual) / count**2 - chance) / (chance + self.between), -np.inf)
        return found


def coarser(values: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """Add up neighbouring bins along the second axis."""
    days, count, *rest = values.shape
    summed: npt.NDArray[np.float64] = values.reshape(days, count // bins, bins, *rest).sum(axis=2)
    return summed


def calibrate(sums: Reals, counts: Reals, window: int, *, seed: int = 0) -> Calibration | str:
    """Learn from whole days of minutes: `sums` (days, 1440, features), `counts` (days, 1440). A text says why it cannot be done."""
    used = counts.sum(axis=1) > 0
    days = int(used.sum())
    if days < FEWEST_DAYS[window]:
        return f"{days} days of reference, {FEWEST_DAYS[window]} are needed"
    step = BINS[window]
    binned, texts = coarser(sums[used], step), coarser(counts[used], step)
    variance = profile(binned, texts).variance
    residual = left_out(binned, texts, step)
    width = window // step
    own, own_texts = windows(residual.reshape(-1, residual.shape[2]), texts.reshape(-1), width)
    enough = own_texts >= FEWEST_TEXTS
    if enough.sum() < FEWEST_WINDOWS:
        return f"too few windows of {window} minutes have {FEWEST_TEXTS} texts"
    chance = noise(own_texts[enough], variance, window, days - 1)
    between = max(0.0, float(np.mean(squared(own[enough]) / own_texts[enough] ** 2 - chance)))
    model = Calibration(window, days - 1, variance, between, Tail(0, 0, 0), 0.0, (), int(counts.sum()))
    maxima, values = _resampled(residual, texts, model, np.random.default_rng(seed))
    if len(maxima) < FEWEST_WINDOWS:
        return f"too few windows of {window} minutes have {FEWEST_TEXTS} texts"
    ranks = tuple(np.quantile(values, np.linspace(0, 1, 101)).tolist())
    return Calibration(
        window, days, variance, between, fit_tail(maxima, days * DAY / window), float(values.std()), ranks, int(counts.sum())
    )


def windows(rows: Reals, texts: Reals, width: int) -> tuple[Reals, Reals]:
    """Give the sums of every `width` neighbouring rows."""
    total = np.cumsum(rows, axis=0)
    total[width:] -= total[:-width].copy()
    count = np.cumsum(texts)
    count[width:] -= count[:-width].copy()
    return total[width - 1 :], count[width - 1 :]


def _resampled(residual: Reals, texts: Reals, model: Calibration, rng: np.random.Generator) -> tuple[Reals, Reals]:
    """Make days anew out of blocks, and give the largest statistic within each window's length, and all of them."""
    days, bins, _ = residual.shape
    width, block = model.window // BINS[model.window], BLOCKS[model.window] // BINS[model.window]
    slots = np.arange(bins)
    maxima, values = [], []
    piece = max(2, min(28, 40_000 // bins))
    for _ in range(max(1, SYNTHETIC_DAYS[model.window] // piece)):
        source = np.repeat(rng.integers(0, days, (piece, bins // block)), block, axis=1)
        rows, count = windows(residual[source, slots].reshape(piece * bins, -1), texts[source, slots].reshape(-1), width)
        found = model.statistic(rows, count)
        blocks = found[: len(found) // width * width].reshape(-1, width).max(axis=1)
        maxima.append(blocks[np.isfinite(blocks)])
        values.append(found[np.isfinite(found)])
    return np.concatenate(maxima), np.concatenate(values)


def fit_tail(maxima: Reals, independent: float) -> Tail:
    """Fit a tail to the largest TAIL of the values, of which so many are `independent`: windows that the reference really had.

    Statistics of this kind have exponential tails. A scale estimated from k values makes the tail of what comes next a generalized Pareto
    of shape 1/k (the predictive distribution); a fitted shape only follows the noise of a few days.
    """
    start = float(np.quantile(maxima, 1 - TAIL))
    beyond = maxima[maxima > start] - start
    scale = float(beyond.mean()) if len(beyond) else float(maxima.std())
    return Tail(start, scale, min(HEAVIEST, LIGHTEST + 1 / max(1.0, TAIL * independent)))
