"""English prose without repeated documents: a word chain over Python's own documentation, as compressible as a technical book.

Calibrated on the prose of "The Rust Programming Language": zstd level 6 over one MiB gives 3.4 there and 3.2-3.4 here.
"""

import re
from functools import cache
from pydoc_data.topics import topics

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"[A-Za-z][a-z']*[.,;:]?")
_JUMP = 0.35
"""Share of words drawn without regard to the word before: without it the chain quotes its source and compresses too well."""


@cache
def _chain() -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give the vocabulary, every word of the source, the places of each word in it, and where each word's places begin."""
    words = _WORD.findall(" ".join(topics[name] for name in sorted(topics)))
    vocabulary = sorted(set(words))
    number = {word: index for index, word in enumerate(vocabulary)}
    source = np.array([number[word] for word in words], dtype=np.int64)
    places = np.argsort(source[:-1], kind="stable")
    starts = np.searchsorted(source[:-1][places], np.arange(len(vocabulary) + 1))
    return vocabulary, source, places, starts


def documents(count: int, *, size: int, seed: int) -> list[str]:
    """Give `count` texts of about `size` characters (a quarter of them up to twice as long, the rest shorter); deterministic."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(40, rng.gamma(3.0, size / 3.0, count)).astype(np.int64)
    return [text[:length] for text, length in zip(_texts(rng, count, int(sizes.max())), sizes.tolist(), strict=True)]


def _texts(rng: np.random.Generator, count: int, longest: int) -> list[str]:
    vocabulary, source, places, starts = _chain()
    steps = longest // 5 + 2
    chosen = np.empty((count, steps), dtype=np.int64)
    current = rng.choice(source[:-1], count)
    for step in range(steps):
        chosen[:, step] = current
        first, last = starts[current], starts[current + 1]
        follow = source[places[first + (rng.random(count) * np.maximum(last - first, 1)).astype(np.int64)] + 1]
        current = np.where((rng.random(count) < _JUMP) | (last == first), rng.choice(source[:-1], count), follow)
    return [" ".join([vocabulary[word] for word in row]) for row in chosen.tolist()]
