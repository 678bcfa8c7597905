"""Drift beside others, on the same windows of ten minutes: Evidently's four embedding methods as shipped, and an online MMD.

Evidently runs in `.venv-peers` (`make peers`). The online MMD has its threshold from windows drawn independently from the reference, as
Alibi Detect's has; it is our own few lines on the same feature sums, because that package needs a deep-learning stack.
"""

import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from llmtower_processors.drift.embedders import Vectors
from llmtower_processors.drift.reference import DAY, Away, differences, profile, squared
from llmtower_processors.drift.thresholds import WINDOWS, Calibration, calibrate
from tests.benchmarks.drift_traffic import NULLS, SHIFTS, TEXTS, Array, Pools, draw, pools
from tests.benchmarks.figures import Figure, main

SEED: Final = 20261125
WINDOW: Final = 10
REFERENCE_TEXTS: Final = 500
PEERS: Final = Path(".venv-peers/bin/python")
OURS, ONLINE = "Llmtower", "online MMD"
DAILY: Final = "daily-seasonal"


@dataclass
class Windows:
    """What every method is asked: windows of one kind of traffic, with our answers and the vectors for the others."""

    kinds: list[str] = field(default_factory=list)
    current: list[Vectors] = field(default_factory=list)
    reference: list[Vectors] = field(default_factory=list)
    answers: dict[str, list[tuple[float, bool, float]]] = field(default_factory=lambda: {OURS: [], ONLINE: []})


def run(quick: bool) -> list[Figure]:
    """Measure."""
    if not PEERS.exists():
        raise SystemExit("There is no .venv-peers: run `make peers` first.")
    asked, found = Windows(), pools()
    runs, each = (1, 4) if quick else (8, 8)
    for number in range(runs):
        for kind in NULLS:
            _ask(asked, found, kind, "", each, np.random.default_rng([SEED, number, NULLS.index(kind)]))
        for shift in SHIFTS:
            _ask(asked, found, DAILY, shift, max(2, each // 2), np.random.default_rng([SEED, number, 10 + SHIFTS.index(shift)]))
    answers = asked.answers | _others(asked)
    return [
        figure for name, given in answers.items() for figure in _figures(name, np.array(asked.kinds), np.array(given, dtype=np.float64))
    ]


def _ask(asked: Windows, found: Pools, kind: str, shift: str, count: int, rng: np.random.Generator) -> None:
    """Ask about windows at random times of the day after a week of reference."""
    before, after = draw(kind, 7, rng), draw(kind, 1, rng)
    sums, counts = (before @ found.usual).reshape(7, DAY, -1), before.sum(axis=1).reshape(7, DAY).astype(np.float64)
    model = calibrate(sums, counts, WINDOW)
    assert isinstance(model, Calibration), model
    known = profile(sums, counts)
    usual = found.vectors[""]
    sample = usual[rng.choice(TEXTS, REFERENCE_TEXTS, p=before.sum(axis=0) / before.sum())]
    for start in rng.choice(DAY - WINDOW, count, replace=False):
        drawn = after[start : start + WINDOW]
        if drawn.sum() < 30:
            continue
        if shift:
            pool, rows = found.vectors[shift], found.shifted[shift]
            chosen = rng.integers(0, len(pool), int(drawn.sum()))
            vectors, owner = pool[chosen], np.repeat(np.arange(WINDOW), drawn.sum(axis=1))
            summed = np.stack([rows[chosen[owner == minute]].sum(axis=0) for minute in range(WINDOW)])
        else:
            vectors, summed = np.repeat(usual, drawn.sum(axis=0), axis=0), drawn @ found.usual
        texts = drawn.sum(axis=1).astype(np.float64)
        away = Away(*(part.sum(axis=0)[None] for part in differences(summed, texts, known, start + np.arange(WINDOW), 1)))
        value = float(model.statistic(away)[0])
        asked.answers[OURS].append((value, value > model.threshold(30 * DAY * len(WINDOWS)), 0.0))
        asked.answers[ONLINE].append(
            (*_online(summed.sum(axis=0), texts.sum(), known.sums.sum(axis=0) / known.counts.sum(), found, before, rng), 0.0)
        )
        asked.kinds.append(shift or kind)
        asked.current.append(vectors)
        asked.reference.append(sample)


def _online(summed: Array, texts: float, mean: Array, found: Pools, before: Any, rng: np.random.Generator) -> tuple[float, bool]:
    """n times MMD² of the window and the whole reference; the threshold is passed by one of a thousand windows drawn independently."""
    share = before.sum(axis=0) / before.sum()
    null = rng.multinomial(int(texts), share, 1_000) @ found.usual / texts - mean
    value = float(squared(summed / texts - mean)) * texts
    return value, value > float(np.max(squared(null))) * texts


def _others(asked: Windows) -> dict[str, list[tuple[float, bool, float]]]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "windows.npz", Path(folder) / "answers.json"
        sides: dict[str, Any] = {f"current{number}": rows for number, rows in enumerate(asked.current)}
        sides |= {f"reference{number}": rows for number, rows in enumerate(asked.reference)}
        np.savez(source, count=len(asked.kinds), **sides)
        subprocess.run([PEERS, "tests/benchmarks/drift_peer_child.py", source, target], check=True)
        found: dict[str, list[tuple[float, bool, float]]] = orjson.loads(target.read_bytes())
        return found


def _figures(name: str, kinds: Any, given: Any) -> list[Figure]:
    """Shares of windows flagged as shipped; in the note, of shifted ones when the threshold is the 99th percentile of daily nulls."""
    figures = []
    line = float(np.quantile(given[kinds == DAILY, 0], 0.99))
    for kind in (*NULLS, *SHIFTS):
        rows = given[kinds == kind]
        note = f"{len(rows)} windows" + (
            f", {np.mean(rows[:, 0] > line):.0%} at 1 % false alarms" if kind in SHIFTS else ", nothing drifts"
        )
        cost = f", {np.median(rows[:, 2]):.0f} ms a window" if rows[:, 2].any() else ""
        figures.append(Figure(f"{name}, {kind}: flagged", float(rows[:, 1].mean() * 100), "% of windows", note=note + cost))
    return figures


if __name__ == "__main__":
    main(run)
