"""Dynamic batching by length: what is computed together is about equally long, so that little of it is padding."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

STEP: Final = 16
"""Lengths are rounded up to this many tokens; texts of one rounded length share batches."""


def batches(lengths: Sequence[int], *, tokens: int) -> Iterator[list[int]]:
    """Give the indices of each batch, longest first: `tokens` at most, padding included, and never fewer than one text."""
    buckets: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        buckets.setdefault(-(-max(1, length) // STEP) * STEP, []).append(index)
    for rounded in sorted(buckets, reverse=True):
        bucket, size = buckets[rounded], max(1, tokens // rounded)
        for start in range(0, len(bucket), size):
            yield bucket[start : start + size]


def padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[Ids, Ids]:
    """Give token ids as one array, and its attention mask."""
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), padding, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask
