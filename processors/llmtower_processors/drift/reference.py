"""What a segment is held against: its own trailing days, by hour of the day, and what a window differs from that by."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from llmtower_processors.drift.features import FEATURES, Reals

DAY: Final = 1_440
HOURS: Final = 24
_HALF: Final = FEATURES // 2
RAREST: Final = 3.0
"""What was never seen in n texts may still happen 3 / n of the time (the rule of three)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Sums of feature rows (in units of 1) and counts of texts for each hour of the day (UTC), over `days` days."""

    sums: Reals
    counts: Reals
    days: int

    @property
    def means(self) -> Reals:
        """Mean feature row by hour of the day; nan in hours without texts."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Reals = self.sums / self.counts[:, None]
        return found

    @property
    def variance(self) -> float:
        """Squared length by which one text differs from the mean of its hour, on average."""
        used = self.counts > 0
        if not used.any():
            return float("nan")
        squared = np.einsum("ij,ij->i", self.means[used], self.means[used]) / _HALF
        left = float(1 - np.average(squared, weights=self.counts[used]))
        return max(left, RAREST / (float(self.counts.sum()) + RAREST))

    def expected(self, minute_of_day: npt.NDArray[np.int64], bin_minutes: int) -> Reals:
        """Give the mean that a bin of time should have, a row a bin: between the middles of hours it goes over evenly."""
        means = self.means
        if bin_minutes >= 60:
            return means[minute_of_day // 60 % HOURS]
        at = (minute_of_day + bin_minutes / 2) / 60 - 0.5
        low = np.floor(at).astype(np.int64)
        share = (at - low)[:, None]
        before, after = means[low % HOURS], means[(low + 1) % HOURS]
        between = (1 - share) * before + share * after
        found: Reals = np.where(np.isnan(before), after, np.where(np.isnan(after), before, between))
        return found


def profile(sums: Reals, counts: Reals) -> Profile:
    """Make a profile of whole days: `sums` is (days, bins of a day, features), `counts` (days, bins of a day)."""
    days, bins = counts.shape
    per_hour = bins // HOURS
    by_hour = sums.reshape(days, HOURS, per_hour, -1).sum(axis=(0, 2))
    return Profile(by_hour, counts.reshape(days, HOURS, per_hour).sum(axis=(0, 2)), days)


def left_out(sums: Reals, counts: Reals, bin_minutes: int) -> Reals:
    """Give by how much each bin of each day differs from what the other days let expect (times its texts); 0 where they say nothing."""
    whole = profile(sums, counts)
    starts = np.arange(counts.shape[1]) * bin_minutes
    found = np.empty_like(sums)
    for day in range(len(sums)):
        own = profile(sums[day : day + 1], counts[day : day + 1])
        others = Profile(whole.sums - own.sums, whole.counts - own.counts, whole.days - 1)
        expected = others.expected(starts, bin_minutes)
        found[day] = np.where(np.isnan(expected), 0.0, sums[day] - counts[day][:, None] * expected)
    return found


def noise(texts: Reals | float, variance: float, window: int, days: int) -> Reals:
    """Give the squared distance that independent texts have from their reference by chance: of the window, and of the reference.

    A reference holds `days` times the texts of the window's hours; a window shorter than an hour is held against whole hours.
    """
    found: Reals = variance / np.asarray(texts, dtype=np.float64) * (1 + min(window, 60) / (60 * max(1, days)))
    return found


def squared(rows: Reals) -> Reals:
    """Give the squared lengths of rows, in units in which one text has length 1."""
    found: Reals = np.einsum("...j,...j->...", rows, rows) / _HALF
    return found
