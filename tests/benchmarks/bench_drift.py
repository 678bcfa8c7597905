"""Drift: texts per second, false alarms where nothing drifts, and how soon seeded shifts are seen."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from llmtower_processors.drift.embedders import HashedNgrams
from llmtower_processors.drift.reference import DAY, differences, profile
from llmtower_processors.drift.sums import Said, Segment, Sums, rows, sum_up
from llmtower_processors.drift.thresholds import BINS, WINDOWS, Calibration, calibrate, windows
from tests.benchmarks.drift_traffic import NULLS, RAMP, SHIFTS, Array, Pools, minutes, mixed, pools
from tests.benchmarks.figures import Figure, at_least, at_most, main
from tests.benchmarks.prose import documents

REFERENCE_DAYS: Final = 7
STATED_DAYS: Final = (1, 7, 30)
SEED: Final = 20261124


def run(quick: bool) -> list[Figure]:
    """Measure."""
    found = pools()
    return [*_speed(quick), *_null(found, quick), *_power(found, quick)]


def _speed(quick: bool) -> list[Figure]:
    texts = documents(500 if quick else 3_000, size=1_200, seed=1)
    figures = []
    for embedder, limit in ((HashedNgrams(), 5_000), (HashedNgrams(characters=True), 1_000)):
        begun = time.process_time()
        embedder.embed(texts)
        taken = time.process_time() - begun
        figures.append(at_least(f"{embedder.label}: texts of 1,200 characters", len(texts) / taken, "texts/s and core", limit))
    return [*figures, _beyond(texts)]


def _beyond(texts: Sequence[str]) -> Figure:
    """Sum up, less embedding: extraction, language, features, counts and columns of 20 segments and minutes."""
    said = [Said(60 * (number % 20), ("p", "a", "e", "m", "n", "1"), "input", text, None, "") for number, text in enumerate(texts)]
    embedder = HashedNgrams()
    taken = []
    for work in (lambda: rows(_summed(said, embedder)), lambda: embedder.embed(texts)):
        best = []
        for _ in range(3):
            begun = time.process_time()
            work()
            best.append(time.process_time() - begun)
        taken.append(min(best) / len(texts) * 1e6)
    return at_most("sums, a text, beyond embedding", taken[0] - taken[1], "us", 30, f"{taken[0]:.0f} us in all, texts of 1,200 characters")


def _summed(said: Sequence[Said], embedder: HashedNgrams) -> dict[Segment, Sums]:
    into: dict[Segment, Sums] = {}
    sum_up(said, embedder, into)
    return into


@dataclass(frozen=True, slots=True)
class Live:
    """The statistic of every window of some days after a reference, with when each window ends (minutes)."""

    model: Calibration
    values: Array
    ends: Array


def live(reference: tuple[Array, Array], after: tuple[Array, Array], seed: int) -> list[Live]:
    """Calibrate on the reference and follow the days after it; windows reach back into the reference's last day."""
    known = profile(*reference)
    sums, counts = (np.concatenate([old[-1:], new]) for old, new in zip(reference, after, strict=True))
    found = []
    for window in WINDOWS:
        model = calibrate(*reference, window, seed=seed)
        assert isinstance(model, Calibration), model
        step = BINS[window]
        binned, texts = sums.reshape(-1, step, sums.shape[-1]).sum(axis=1), counts.reshape(-1, step).sum(axis=1)
        away = differences(binned, texts, known, np.arange(len(texts)) * step % DAY, step)
        values = model.statistic(windows(away, window // step))
        ends = (np.arange(len(values)) + window // step) * step - DAY
        found.append(Live(model, values[ends > 0], ends[ends > 0].astype(np.float64)))
    return found


def alarms(one: Live, stated_minutes: float) -> int:
    """Count alarms: one goes on until a window's length has passed without the statistic above its threshold."""
    above = one.ends[one.values > one.model.threshold(stated_minutes)]
    return int(len(above) > 0) + int((np.diff(above) > one.model.window).sum())


def _null(found: Pools, quick: bool) -> list[Figure]:
    runs, days = (2, 10) if quick else (50, 14)
    figures = []
    for kind in NULLS:
        rng = np.random.default_rng([SEED, NULLS.index(kind)])
        counted = dict.fromkeys(STATED_DAYS, 0)
        for number in range(runs):
            reference = minutes(kind, REFERENCE_DAYS, rng, found.usual)
            streams = live(reference, minutes(kind, days, rng, found.usual), number)
            for stated in STATED_DAYS:
                counted[stated] += sum(alarms(one, stated * DAY * len(WINDOWS)) for one in streams)
        for stated, count in counted.items():
            figures.append(_run_length(kind, stated, runs * days, count))
    return figures


def _run_length(kind: str, stated: int, days: float, count: int) -> Figure:
    """The lower bound of the run length: days over the upper bound of a Poisson mean (Wilson-Hilferty); too few days cannot reach it."""
    upper = (count + 1) * (1 - 1 / (9 * (count + 1)) + 1.645 / (3 * np.sqrt(count + 1))) ** 3
    name = f"{kind}: false-alarm run length over stated {stated} d, lower 95 % bound"
    note = f"{count} alarms in {days:,.0f} days ({days * DAY / 1e6:.2f} M minutes), mean {days / max(1, count):.2f} d"
    ratio = float(days / upper / stated)
    return Figure(name, ratio, "times", note=note) if days < 50 * stated else at_least(name, ratio, "times", 0.9, note)


def _power(found: Pools, quick: bool) -> list[Figure]:
    runs = 2 if quick else 10
    figures = []
    for number, shift in enumerate((*SHIFTS, RAMP)):
        rng = np.random.default_rng([SEED, 77, number])
        pool = found.shifted["new topic" if shift == RAMP else shift]
        delays: list[float] = []
        for turn in range(runs):
            reference = minutes("daily-seasonal", REFERENCE_DAYS, rng, found.usual)
            sums, counts = minutes("daily-seasonal", 2, rng, found.usual)
            share = np.linspace(0, 1, counts.size).reshape(counts.shape) if shift == RAMP else 1.0
            after = mixed(sums, counts, pool, share, rng)
            delays.append(_delay(live(reference, (after, counts), turn), 30 * DAY * len(WINDOWS)))
        seen = [delay for delay in delays if np.isfinite(delay)]
        note = f"seen in {len(seen)} of {runs} runs within 2 days; 20 texts a minute, thresholds for 30 days, daily-seasonal traffic"
        figures.append(Figure(f"{shift}: median delay", float(np.median(delays)), "minutes", note=note))
    return figures


def _delay(streams: Sequence[Live], stated_minutes: float) -> float:
    firsts = [one.ends[one.values > one.model.threshold(stated_minutes)] for one in streams]
    return min((float(first[0]) for first in firsts if len(first)), default=float("inf"))


if __name__ == "__main__":
    main(run)
