"""How far apart two slices are, and how far they would be by chance, from their sums over blocks of contiguous time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from llmtower_processors.drift.features import FEATURES, Reals

ROUNDS: Final = 999
FEWEST_BLOCKS: Final = 6
"""Of each slice; with fewer there are too few ways to deal them out anew."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Sums of feature rows (in units of 1) and counts of texts, a row per block of time."""

    sums: Reals
    counts: Reals

    @staticmethod
    def of(sums: Sequence[Sequence[float]], counts: Sequence[float]) -> "Blocks":
        """Make them of what the database gives; blocks without texts are left out."""
        kept = [index for index, count in enumerate(counts) if count]
        matrix = np.array([sums[index] for index in kept], dtype=np.float64) if kept else np.zeros((0, FEATURES))
        return Blocks(matrix, np.array([counts[index] for index in kept], dtype=np.float64))


def distances(sums: Reals, counts: Reals, total: Reals, count: float) -> Reals:
    """Give the unbiased MMD² between each of many slices and the rest of a total."""
    rest, left = total - sums, count - counts
    half = FEATURES // 2
    own = np.einsum("ij,ij->i", sums, sums) / half
    other = np.einsum("ij,ij->i", rest, rest) / half
    cross = np.einsum("ij,ij->i", sums, rest) / half
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Reals = (own - counts) / (counts * (counts - 1)) + (other - left) / (left * (left - 1)) - 2 * cross / (counts * left)
    return found


def chance(a: Blocks, b: Blocks, *, seed: int = 0, rounds: int = ROUNDS) -> float | None:
    """Give the share of ways to deal the blocks out anew that lie as far apart as the slices do; None for too few blocks.

    Whole blocks change sides, not texts, so that texts of the same minutes may be alike without it looking like drift.
    """
    if min(len(a.counts), len(b.counts)) < FEWEST_BLOCKS:
        return None
    sums, counts = np.concatenate([a.sums, b.sums]), np.concatenate([a.counts, b.counts])
    rng = np.random.default_rng(seed)
    order = np.argsort(rng.random((rounds, len(counts))), axis=1)[:, : len(a.counts)]
    chosen = np.zeros((rounds + 1, len(counts)))
    np.put_along_axis(chosen[1:], order, 1.0, axis=1)
    chosen[0, : len(a.counts)] = 1.0
    found = distances(chosen @ sums, chosen @ counts, sums.sum(axis=0), float(counts.sum()))
    if not np.isfinite(found).all():
        return None
    return float((found >= found[0] - 1e-15).mean())
