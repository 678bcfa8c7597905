"""Random Fourier features: sums of them say how far two sets of texts are apart (MMD with a sum of Gaussian kernels, Rahimi & Recht 2007).

Everything here is fixed by the embedder's label: seed, bandwidths and projection are never fitted to data, or old sums would not merge
with new ones. Vectors have length 1, so distances lie between 0 and 2 for every embedder.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

FEATURES: Final = 256
"""Numbers a text: a cosine and a sine for each of 128 random directions."""
USUAL_BANDWIDTHS: Final = (0.35, 0.7, 1.4)
BANDWIDTHS: Final[Mapping[str, tuple[float, ...]]] = {
    "1:256": (0.35, 0.7, 1.4),
    "63dad648:384": (0.35, 0.7, 1.4),
}
"""By version and dimension, what stands after the `@` of a label: hashed embedders, and all-MiniLM-L6-v2; the usual ones for all others.
`tests/ml/bandwidths.py` shows what each choice sees of several shifts; it is made once, before the first sums of a version."""
LARGEST: Final = 256
"""Dimensions kept of a vector; longer ones are projected, which keeps distances (Johnson & Lindenstrauss)."""
SCALE: Final = 1 << 15
"""Sums are integers of this unit: adding them is exact, in any order."""

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Features:
    """The fixed random directions of one embedder."""

    projection: Reals | None
    directions: Reals
    """One column a direction, its bandwidth in its length."""

    def vectors(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Shorten vectors to at most LARGEST dimensions."""
        return rows if self.projection is None else (rows.astype(np.float64) @ self.projection).astype(np.float32)

    def of(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Give cosines and sines, each between -1 and 1; the squares of a row add up to FEATURES / 2.

        Angles are computed in 64 bits and rounded to 32, so that they do not depend on how many rows are computed at a time.
        """
        angles = (vectors.astype(np.float64) @ self.directions).astype(np.float32)
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


@lru_cache(maxsize=64)
def features(label: str, dimension: int) -> Features:
    """Make the features of an embedder, the same in every process and for ever."""
    return drawn(seed_of(label), dimension, BANDWIDTHS.get(label.partition("@")[2], USUAL_BANDWIDTHS))


def seed_of(label: str) -> int:
    """Give the seed that belongs to a label."""
    return int.from_bytes(hashlib.sha256(f"llmtower drift features 1 {label}".encode()).digest()[:8], "little")


def drawn(seed: int, dimension: int, bandwidths: Sequence[float]) -> Features:
    """Draw directions for vectors of some dimension; directions take the bandwidths by turns."""
    rng = np.random.default_rng(seed)
    kept = min(dimension, LARGEST)
    projection = None
    if dimension > kept:
        projection = rng.standard_normal((dimension, kept)) / np.sqrt(kept)
    directions = rng.standard_normal((kept, FEATURES // 2))
    width = np.array([bandwidths[number % len(bandwidths)] for number in range(FEATURES // 2)])
    return Features(projection, directions / width)


def whole(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Round to integers of 1 / SCALE."""
    rounded: npt.NDArray[np.int32] = np.rint(values * np.float32(SCALE)).astype(np.int32)
    return rounded


def squared_length(total: Reals) -> float:
    """Give the squared length of a sum of feature rows, in units in which one row has length 1."""
    return float(total @ total) / (FEATURES // 2)


def mmd2(a: Reals, n: float, b: Reals, m: float) -> float:
    """Give the unbiased squared distance of two slices from their feature sums (in units of 1) and counts; nan below two texts.

    Gretton et al. 2012, eq. 3: pairs of a text with itself, each exactly 1, are left out.
    """
    if n < 2 or m < 2:
        return float("nan")
    within = (squared_length(a) - n) / (n * (n - 1)) + (squared_length(b) - m) / (m * (m - 1))
    return within - 2 * float(a @ b) / (FEATURES // 2) / (n * m)
