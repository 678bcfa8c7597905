"""Where an alarm begins: from the reference's own minutes, for a stated expected time between false alarms.

Windows of the reference are made anew out of blocks of contiguous minutes from the same hours of different days (so autocorrelation and
the course of the day stay in), each held against the other days. The largest statistic within each window's length is a maximum of
dependent values; a generalized Pareto tail fitted to these maxima (Pickands 1975) is followed out to the wanted rate.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from llmtower_processors.drift.features import Reals
from llmtower_processors.drift.reference import DAY, Away, Profile, by_hour, left_out, noise, profile, squared

WINDOWS: Final = (10, 60, DAY)
"""Minutes."""
SLOW: Final = 7 * DAY
"""The window for slow drift, which is held against the weeks before it: trailing days would drift along."""
BINS: Final = {10: 1, 60: 5, DAY: 60, SLOW: 60}
"""Minutes by which each window is moved along when thresholds are computed."""
BLOCKS: Final = {10: 60, 60: 180, DAY: 360, SLOW: DAY}
"""Minutes that stay together when windows are made anew."""
SYNTHETIC_DAYS: Final = {10: 84, 60: 280, DAY: 2_000, SLOW: 5_600}
FEWEST_DAYS: Final = {10: 3, 60: 3, DAY: 5, SLOW: 14}
FEWEST_TEXTS: Final = 30
"""In a window; fewer are no verdict."""
FEWEST_WINDOWS: Final = 40
TAIL: Final = 0.1
"""Share of the maxima that the tail is fitted to."""
LIGHTEST: Final = 0.05
HEAVIEST: Final = 0.3
"""Shapes of tails."""
CAUTION: Final = 2.0
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

    def threshold(self, minutes: float) -> float:
        """Give the value that is passed once in so many minutes on average, where nothing drifts."""
        return self.tail.beyond(self.window / (minutes * CAUTION))

    def rank(self, value: float) -> float:
        """Give the share of reference windows with a smaller value."""
        return float(np.searchsorted(self.ranks, value) / len(self.ranks))

    def effective(self, away: Away) -> Reals:
        """Give how many independent texts would be as sure as those of a window."""
        chance = noise(away.texts, away.doubt, self.variance, self.window)
        return away.texts * chance / (chance + self.between)

    def statistic(self, away: Away) -> Reals:
        """Give the distance of windows (sums, a row each) in units of its expected noise; -inf for windows with too few texts."""
        enough = away.texts >= FEWEST_TEXTS
        count = np.where(enough, away.texts, FEWEST_TEXTS)
        chance = noise(count, away.doubt, self.variance, self.window)
        found: Reals = np.where(enough, (squared(away.rows) / count**2 - chance) / (chance + self.between), -np.inf)
        return found


def coarser(values: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """Add up neighbouring bins along the second axis."""
    days, count, *rest = values.shape
    summed: npt.NDArray[np.float64] = values.reshape(days, count // bins, bins, *rest).sum(axis=2)
    return summed


def calibrate(
    sums: Reals, counts: Reals, window: int, *, seed: int = 0, expects: Callable[[Profile], Profile] = by_hour
) -> Calibration | str:
    """Learn from whole days of minutes: `sums` (days, 1440, features), `counts` (days, 1440); hours (24) do for windows of days.

    A text says why it cannot be done.
    """
    used = counts.sum(axis=1) > 0
    days = int(used.sum())
    if days < FEWEST_DAYS[window]:
        return f"{days} days of reference, {FEWEST_DAYS[window]} are needed"
    step = BINS[window]
    bins = step * counts.shape[1] // DAY
    binned, texts = coarser(sums[used], bins), coarser(counts[used], bins)
    variance = expects(profile(binned, texts)).variance
    away = left_out(binned, texts, step, expects)
    width = window // step
    own = windows(Away(*(part.reshape(-1, *part.shape[2:]) for part in away)), width)
    enough = own.texts >= FEWEST_TEXTS
    if enough.sum() < FEWEST_WINDOWS:
        return f"too few windows of {window} minutes have {FEWEST_TEXTS} texts"
    chance = noise(own.texts[enough], own.doubt[enough], variance, window)
    between = max(0.0, float(np.mean(squared(own.rows[enough]) / own.texts[enough] ** 2 - chance)))
    model = Calibration(window, days, variance, between, Tail(0, 0, 0), 0.0, ())
    maxima, values = _resampled(away, own, model, np.random.default_rng(seed))
    if len(maxima) < FEWEST_WINDOWS:
        return f"too few windows of {window} minutes have {FEWEST_TEXTS} texts"
    ranks = tuple(np.quantile(values, np.linspace(0, 1, 101)).tolist())
    return replace(model, tail=fit_tail(maxima, days * DAY / window), spread=float(values.std()), ranks=ranks)


def windows(away: Away, width: int) -> Away:
    """Give the sums of every `width` neighbouring bins."""
    return Away(*(_sliding(part, width) for part in away))


def _sliding(values: Reals, width: int) -> Reals:
    total = np.cumsum(values, axis=0)
    total[width:] -= total[:-width].copy()
    return total[width - 1 :]


def _resampled(away: Away, own: Away, model: Calibration, rng: np.random.Generator) -> tuple[Reals, Reals]:
    """Make days anew out of blocks, and give the largest statistic within each window's length, and all of them."""
    days, bins = away.texts.shape
    width, block = model.window // BINS[model.window], BLOCKS[model.window] // BINS[model.window]
    piece = max(width // bins + 2, min(28, 40_000 // bins))
    draws = [_drawn(days, bins, block, piece, rng) for _ in range(max(1, SYNTHETIC_DAYS[model.window] // piece))]
    if width <= block:  # nearly all windows lie within a block: their statistics are drawn
        known = np.concatenate([np.full(width - 1, -np.inf), model.statistic(own)]).reshape(days, bins)
        found = [known[source, slots].reshape(-1) for source, slots in draws]
    else:
        away.rows[...] *= _two_samples(model.window / DAY, days)
        flat = [Away(*(part[source, slots].reshape(piece * bins, *part.shape[2:]) for part in away)) for source, slots in draws]
        found = [model.statistic(windows(made, width)) for made in flat]
    largest = np.concatenate([one[: len(one) // width * width].reshape(-1, width).max(axis=1) for one in found])
    values = np.concatenate(found)
    return largest[np.isfinite(largest)], values[np.isfinite(values)]


def _drawn(days: int, bins: int, block: int, piece: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw for each bin of some new days the day it is taken from, blocks of bins together; the time of the day stays."""
    return np.repeat(rng.integers(0, days, (piece, bins // block)), block, axis=1), np.arange(bins)


def _two_samples(window_days: float, days: int) -> float:
    """Give by how much differences must be stretched for windows of days.

    Days drawn from one reference and held against the others differ less, summed up, than new days do from that reference: new and old
    days vary by 1/w + 1/R, drawn ones by (R / (R - 1))² / w.
    """
    if window_days <= 1:
        return 1.0
    return float(np.sqrt((1 / window_days + 1 / days) * window_days)) * (days - 1) / days


def fit_tail(maxima: Reals, independent: float) -> Tail:
    """Fit a tail to the largest TAIL of the values, of which so many are `independent`: windows that the reference really had.

    Statistics of this kind have exponential tails. A scale estimated from k values makes the tail of what comes next a generalized Pareto
    of shape 1/k (the predictive distribution); a fitted shape only follows the noise of a few days.
    """
    start = float(np.quantile(maxima, 1 - TAIL))
    beyond = maxima[maxima > start] - start
    scale = float(beyond.mean()) if len(beyond) else float(maxima.std())
    return Tail(start, scale, min(HEAVIEST, LIGHTEST + 1 / max(1.0, TAIL * independent)))
