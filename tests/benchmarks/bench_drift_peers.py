"""Drift beside others, on the same streams of ten-minute windows: Evidently's four embedding methods as shipped, and an online MMD.

Evidently runs in `.venv-peers` (`make peers`). The online MMD has its threshold from windows drawn independently from the reference, as
Alibi Detect's has; it is our own few lines on the same feature sums, because that package needs a deep-learning stack.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from llmtower_processors.drift.embedders import Vectors
from llmtower_processors.drift.reference import DAY, profile, squared
from llmtower_processors.drift.thresholds import FEWEST_TEXTS, WINDOWS
from tests.benchmarks.bench_drift import Live, live
from tests.benchmarks.drift_traffic import NULLS, SHIFTS, TEXTS, Array, Pools, draw, pools
from tests.benchmarks.figures import Figure, main

SEED: Final = 20261125
WINDOW: Final = 10
STREAMS: Final = 5
"""Of each kind: what two cores are through with in about three minutes."""
STREAM: Final = 48
"""Windows one after the other: eight hours, from the first shifted text on."""
STATED: Final = 30 * DAY * len(WINDOWS)
REFERENCE_TEXTS: Final = 500
PEERS: Final = Path(".venv-peers/bin/python")
OURS, WHOLE, ONLINE = "Llmtower, 10 min alone", "Llmtower", "online MMD"
DAILY: Final = "daily-seasonal"
Answer = tuple[float, bool, float]
"""A score, whether it is flagged, and milliseconds (0: not measured)."""


@dataclass
class Streams:
    """What every method is asked: windows with their kind of traffic, stream and place in it; our answers, and vectors for the others."""

    kinds: list[str] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    current: list[Vectors] = field(default_factory=list)
    reference: list[Vectors] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: {WHOLE: [], OURS: [], ONLINE: []})


def run(quick: bool) -> list[Figure]:
    """Measure."""
    if not PEERS.exists():
        raise SystemExit("There is no .venv-peers: run `make peers` first.")
    asked, found = Streams(), pools()
    runs, length = (2, 4) if quick else (STREAMS, STREAM)
    for number in range(runs):
        for kind in NULLS:
            _ask(asked, found, kind, "", length, np.random.default_rng([SEED, number, NULLS.index(kind)]))
        for shift in SHIFTS:
            _ask(asked, found, DAILY, shift, length, np.random.default_rng([SEED, number, 10 + SHIFTS.index(shift)]))
    return [figure for name, given in (asked.answers | _others(asked)).items() for figure in _figures(name, asked, given, length)]


def _ask(asked: Streams, found: Pools, kind: str, shift: str, length: int, rng: np.random.Generator) -> None:
    """Ask about one stream after a week of reference; it begins at a random time of the day, and all its texts are shifted."""
    before, after = draw(kind, 7, rng), draw(kind, 2, rng)
    reference = ((before @ found.usual).reshape(7, DAY, -1), before.sum(axis=1).reshape(7, DAY).astype(np.float64))
    start = int(rng.integers(0, DAY))
    sums, vectors = _shifted(found, shift, after, range(start, start + length * WINDOW), rng)
    counts = after.sum(axis=1).astype(np.float64)
    days = (sums.reshape(2, DAY, -1), counts.reshape(2, DAY))
    answers = live(reference, days, start)
    known = profile(*reference)
    mean = known.sums.sum(axis=0) / known.counts.sum()
    sample = found.vectors[""][rng.choice(TEXTS, REFERENCE_TEXTS, p=before.sum(axis=0) / before.sum())]
    stream = len(set(asked.streams))
    for place in range(length):
        span = slice(start + place * WINDOW, start + (place + 1) * WINDOW)
        if counts[span].sum() < FEWEST_TEXTS:
            continue
        asked.answers[WHOLE].append(_said(answers, span.stop))
        asked.answers[OURS].append(_said(answers[:1], span.stop))
        asked.answers[ONLINE].append((*_online(sums[span].sum(axis=0), counts[span].sum(), mean, found, before, rng), 0.0))
        asked.kinds.append(shift or kind)
        asked.streams.append(stream)
        asked.places.append(place)
        asked.current.append(np.concatenate(vectors[place * WINDOW : (place + 1) * WINDOW]))
        asked.reference.append(sample)


def _shifted(found: Pools, shift: str, drawn: Any, minutes: range, rng: np.random.Generator) -> tuple[Array, list[Vectors]]:
    """Give the sums of all minutes, those in `minutes` of shifted texts, and the vectors of these."""
    sums, vectors = drawn @ found.usual, []
    for minute in minutes:
        if shift:
            chosen = rng.integers(0, len(found.vectors[shift]), int(drawn[minute].sum()))
            vectors.append(found.vectors[shift][chosen])
            sums[minute] = found.shifted[shift][chosen].sum(axis=0)
        else:
            vectors.append(np.repeat(found.vectors[""], drawn[minute], axis=0))
    return sums, vectors


def _said(answers: Sequence[Live], end: int) -> Answer:
    """Give the farthest that any window which ended within these ten minutes lies beyond its threshold."""
    far = [one.values[(one.ends > end - WINDOW) & (one.ends <= end)] / one.model.threshold(STATED) for one in answers]
    farthest = max((float(values.max()) for values in far if len(values)), default=0.0)
    return max(farthest, -1e3), farthest > 1, 0.0


def _online(summed: Array, texts: float, mean: Array, found: Pools, before: Any, rng: np.random.Generator) -> tuple[float, bool]:
    """n times MMD² of the window and the whole reference; the threshold is passed by one of a thousand windows drawn independently."""
    share = before.sum(axis=0) / before.sum()
    null = rng.multinomial(int(texts), share, 1_000) @ found.usual / texts - mean
    value = float(squared(summed / texts - mean)) * texts
    return value, value > float(np.max(squared(null))) * texts


def _others(asked: Streams) -> dict[str, list[Answer]]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "windows.npz", Path(folder) / "answers.json"
        sides: dict[str, Any] = {f"current{number}": rows for number, rows in enumerate(asked.current)}
        sides |= {f"reference{number}": rows for number, rows in enumerate(asked.reference)}
        np.savez(source, count=len(asked.kinds), **sides)
        alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # a core a process
        subprocess.run([PEERS, "tests/benchmarks/drift_peer_child.py", source, target], check=True, env=os.environ | alone)
        found: dict[str, list[Answer]] = orjson.loads(target.read_bytes())
        return found


def _figures(name: str, asked: Streams, given: Sequence[Answer], length: int) -> list[Figure]:
    """Shares of windows flagged as shipped, and delays; in the note, the same with the 99th percentile of daily nulls as threshold."""
    kinds, table = np.array(asked.kinds), np.array(given, dtype=np.float64)
    line = float(np.quantile(table[kinds == DAILY, 0], 0.99))
    figures = []
    for kind in (*NULLS, *SHIFTS):
        rows = table[kinds == kind]
        cost = f", {np.median(rows[:, 2]):.0f} ms a window" if rows[:, 2].any() else ""
        note = f", {np.mean(rows[:, 0] > line):.0%} at 1 % false alarms" if kind in SHIFTS else ", nothing drifts"
        flagged = float(rows[:, 1].mean() * 100)
        figures.append(Figure(f"{name}, {kind}: flagged", flagged, "% of windows", note=f"{len(rows)} windows{note}{cost}"))
        if kind in SHIFTS:
            shipped, equal = (_delays(asked, kind, above, length) for above in (table[:, 1] > 0, table[:, 0] > line))
            seen = sum(delay <= length * WINDOW for delay in shipped)
            note = f"seen in {seen} of {len(shipped)} streams of {length * WINDOW} minutes, {np.median(equal):.0f} at 1 % false alarms"
            figures.append(Figure(f"{name}, {kind}: delay", float(np.median(shipped)), "minutes", note=note))
    return figures


def _delays(asked: Streams, kind: str, above: Any, length: int) -> list[float]:
    """Minutes from the first shifted text to the end of the first window flagged, by stream; a window more than there are means never."""
    firsts: dict[int, float] = {}
    for one, stream, place, flagged in zip(asked.kinds, asked.streams, asked.places, above, strict=True):
        if one == kind:
            delay = float((place + 1) * WINDOW) if flagged else float((length + 1) * WINDOW)
            firsts[stream] = min(firsts.get(stream, delay), delay)
    return list(firsts.values())


if __name__ == "__main__":
    main(run)
