"""What a segment is held against: its own trailing days, by hour of the day, and what a window differs from that by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from llmtower_processors.drift.features import FEATURES, Reals

DAY: Final = 1_440
HOUR: Final = 60
HOURS: Final = 24
_HALF: Final = FEATURES // 2
RAREST: Final = 3.0
"""What was never seen in n texts may still happen 3 / n of the time (the rule of three)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Sums of feature rows (in units of 1) and counts of texts for each hour of the day (UTC), over some days."""

    sums: Reals
    counts: Reals

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
        if bin_minutes >= HOUR:
            return means[minute_of_day // HOUR % HOURS]
        low, share = _between(minute_of_day, bin_minutes)
        share = share[:, None]
        before, after = means[low % HOURS], means[(low + 1) % HOURS]
        between = (1 - share) * before + share * after
        found: Reals = np.where(np.isnan(before), after, np.where(np.isnan(after), before, between))
        return found

    def doubt(self, minute_of_day: npt.NDArray[np.int64], bin_minutes: int) -> Reals:
        """Give by how much the mean of a bin is uncertain, in variances of one text: one over the texts behind it; inf for none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            one = 1 / self.counts
            if bin_minutes >= HOUR:
                return one[minute_of_day // HOUR % HOURS]
            low, share = _between(minute_of_day, bin_minutes)
            before, after = one[low % HOURS], one[(low + 1) % HOURS]
            between = (1 - share) ** 2 * before + share**2 * after
        found: Reals = np.where(np.isinf(before), after, np.where(np.isinf(after), before, between))
        return found


def by_hour(known: Profile) -> Profile:
    """Expect at each hour of the day what there was at that hour."""
    return known


def all_day(known: Profile) -> Profile:
    """Expect at every hour what there was on average of the whole day: for what is itself a share of the day."""
    sums, counts = known.sums.sum(axis=0) / HOURS, known.counts.sum() / HOURS
    return Profile(np.tile(sums, (HOURS, 1)), np.full(HOURS, counts))


def _between(minute_of_day: npt.NDArray[np.int64], bin_minutes: int) -> tuple[npt.NDArray[np.int64], Reals]:
    """Give the hour whose middle lies before the middle of a bin, and how far (0 to 1) the bin is on its way to the next."""
    at = (minute_of_day + bin_minutes / 2) / HOUR - 0.5
    low = np.floor(at).astype(np.int64)
    return low, at - low


def profile(sums: Reals, counts: Reals) -> Profile:
    """Make a profile of whole days: `sums` is (days, bins of a day, features), `counts` (days, bins of a day)."""
    days, bins = counts.shape
    per_hour = bins // HOURS
    by_hour = sums.reshape(days, HOURS, per_hour, -1).sum(axis=(0, 2))
    return Profile(by_hour, counts.reshape(days, HOURS, per_hour).sum(axis=(0, 2)))


class Away(NamedTuple):
    """By how much bins of time differ from what is expected: (summed) differences, texts compared, and the expectation's own doubt."""

    rows: Reals
    texts: Reals
    doubt: Reals


def differences(sums: Reals, counts: Reals, known: Profile, minute_of_day: npt.NDArray[np.int64], bin_minutes: int) -> Away:
    """Hold bins (a row each) against a profile; bins in hours of which it knows nothing count as empty."""
    expected, doubt = known.expected(minute_of_day, bin_minutes), known.doubt(minute_of_day, bin_minutes)
    unknown = ~np.isfinite(doubt)
    texts = np.where(unknown, 0.0, counts)
    away = np.where(unknown[:, None], 0.0, sums - texts[:, None] * expected)
    return Away(away, texts, _weighed(texts, np.where(unknown, 0.0, doubt), bin_minutes))


def _weighed(texts: Reals, doubt: Reals, bin_minutes: int) -> Reals:
    """Bins within an hour share their expectation, so its error adds up; those of different hours do not."""
    found: Reals = texts * doubt if bin_minutes < HOUR else texts**2 * doubt
    return found


def left_out(sums: Reals, counts: Reals, bin_minutes: int, expects: Callable[[Profile], Profile] = by_hour) -> Away:
    """Hold each bin of each day (days, bins, …) against what the other days let expect."""
    whole = profile(sums, counts)
    starts = np.arange(counts.shape[1]) * bin_minutes
    found = []
    for day in range(len(sums)):
        own = profile(sums[day : day + 1], counts[day : day + 1])
        others = expects(Profile(whole.sums - own.sums, whole.counts - own.counts))
        found.append(differences(sums[day], counts[day], others, starts, bin_minutes))
    return Away(*(np.stack(parts) for parts in zip(*found, strict=True)))


def noise(texts: Reals, doubt: Reals, variance: float, window: int) -> Reals:
    """Give the squared distance that independent texts have from their reference by chance: of the window, and of the reference.

    A window of more than a day holds the same hours several times, and their expectation's error each time.
    """
    shared = texts if window <= HOUR else texts**2 / max(1, window / DAY)
    found: Reals = variance * (1 / texts + doubt / shared)
    return found


def squared(rows: Reals) -> Reals:
    """Give the squared lengths of rows, in units in which one text has length 1."""
    found: Reals = np.einsum("...j,...j->...", rows, rows) / _HALF
    return found
