"""Runs in `.venv-peers`: asks Evidently's four embedding methods, as they are shipped, about the windows in an .npz file.

Usage: `.venv-peers/bin/python tests/benchmarks/drift_peer_child.py windows.npz answers.json`
"""

import json
import os
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]  # only in .venv-peers
from evidently.legacy.metrics.data_drift import embedding_drift_methods as methods  # type: ignore[import-not-found]  # only in .venv-peers

METHODS = {
    "Evidently model": methods.model(),
    "Evidently distance": methods.distance(),
    "Evidently ratio": methods.ratio(),
    "Evidently MMD": methods.mmd(),
}


Answer = tuple[float, bool, float]


def main() -> None:
    """Answer: per method a score, a flag and the milliseconds of each window; a window a process, as many as there are cores."""
    count = int(np.load(sys.argv[1])["count"])
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        answered = list(pool.map(ask, range(count), chunksize=8))
    answers = {name: [one[place] for one in answered] for place, name in enumerate(METHODS)}
    Path(sys.argv[2]).write_text(json.dumps(answers), "utf-8")


def ask(number: int) -> list[Answer]:
    """Ask every method about one window."""
    warnings.simplefilter("ignore")
    answers: list[Answer] = []
    with np.load(sys.argv[1]) as held:
        for method in METHODS.values():
            current, reference = (pd.DataFrame(held[f"{side}{number}"]).add_prefix("c") for side in ("current", "reference"))
            begun = time.perf_counter()
            score, flag, _ = method(current_emb=current, reference_emb=reference)
            answers.append((float(score), bool(flag), (time.perf_counter() - begun) * 1e3))
    return answers


main()
