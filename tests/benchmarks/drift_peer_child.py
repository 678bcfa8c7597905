"""Runs in `.venv-peers`: asks Evidently's four embedding methods, as they are shipped, about the windows in an .npz file.

Usage: `.venv-peers/bin/python tests/benchmarks/drift_peer_child.py windows.npz answers.json`
"""

import json
import sys
import time
import warnings
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


def main() -> None:
    """Answer: per method a score, a flag and the milliseconds of each window."""
    warnings.simplefilter("ignore")
    held = np.load(sys.argv[1])
    answers: dict[str, list[tuple[float, bool, float]]] = {name: [] for name in METHODS}
    for number in range(int(held["count"])):
        for name, method in METHODS.items():
            current, reference = (pd.DataFrame(held[f"{side}{number}"]).add_prefix("c") for side in ("current", "reference"))
            begun = time.perf_counter()
            score, flag, _ = method(current_emb=current, reference_emb=reference)
            answers[name].append((float(score), bool(flag), (time.perf_counter() - begun) * 1e3))
    Path(sys.argv[2]).write_text(json.dumps(answers), "utf-8")


main()
