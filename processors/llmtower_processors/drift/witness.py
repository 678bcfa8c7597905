"""Which texts of one slice lie where the other has few: the witness of a distance (Gretton et al. 2012, section 2.3), on texts at hand."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from llmtower_processors.drift.embedders import HashedNgrams
from llmtower_processors.drift.features import Reals, features

USUAL: Final = 0.95
"""Share of the first slice's texts that count as where it usually lies."""
FEWEST_IN: Final = 3
"""Texts in which a term must be before it is named."""
_TERM: Final = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, and the share of texts in which it stands, in the first slice and in the second."""

    word: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Moved:
    """How much of the second slice lies elsewhere, and which of its texts lie farthest out."""

    share: float
    farthest: Sequence[int]


def moved(before: Sequence[str], now: Sequence[str], *, examples: int = 5) -> Moved:
    """Hold texts against the two means: half of each slice makes the means, the other half is judged, or noise would count as moved."""
    fitted, held = _projected([before[::2], now[::2]]), _projected([before[1::2], now[1::2]])
    if min(map(len, (*fitted, *held))) < FEWEST_IN:
        return Moved(0.0, ())
    direction = fitted[1].mean(axis=0) - fitted[0].mean(axis=0)
    line = float(np.quantile(held[0] @ direction, USUAL))
    beyond = held[1] @ direction
    share = (float(np.mean(beyond > line)) - (1 - USUAL)) / USUAL
    farthest = [1 + 2 * int(index) for index in np.argsort(-beyond)[:examples]]
    return Moved(max(0.0, share), farthest if share > 0 else ())


def _projected(sides: Sequence[Sequence[str]]) -> list[Reals]:
    embedder = HashedNgrams()
    drawn = features(embedder.label, embedder.dimension)
    return [drawn.of(embedder.embed(side)).astype(np.float64) for side in sides]


def terms(before: Sequence[str], now: Sequence[str], *, most: int = 10) -> list[Term]:
    """Give the words whose share of texts changed most, by its standard error: first those that came."""
    counted = [Counter(word for text in side for word in set(_TERM.findall(text.lower()))) for side in (before, now)]
    sizes = [max(1, len(side)) for side in (before, now)]
    found = []
    for word in counted[0].keys() | counted[1].keys():
        a, b = (count[word] / size for count, size in zip(counted, sizes, strict=True))
        if max(count[word] for count in counted) >= FEWEST_IN:
            middle = (counted[0][word] + counted[1][word]) / sum(sizes)
            error = float(np.sqrt(middle * (1 - middle) * (1 / sizes[0] + 1 / sizes[1]))) + 1e-9
            found.append((abs(b - a) / error, Term(word, a, b)))
    found.sort(key=lambda pair: (-pair[0], pair[1].word))
    return sorted((term for _, term in found[:most]), key=lambda term: term.before - term.now)
