"""Cutting long texts: a model that dilutes, or reads only so far, is asked piece by piece, and the worst piece counts."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LONGEST: Final = 400
"""Characters of a piece: some sentences. In a longer one a single bad sentence drowns in the good ones around it."""


def pieces(text: str, longest: int = LONGEST) -> list[str]:
    """Cut a text into pieces of at most `longest` characters, between words where there are any; nothing is left out."""
    found: list[str] = []
    start, length = 0, len(text)
    while length - start > longest:
        middle, end = start + longest // 2, start + longest
        cut = max(text.rfind(" ", middle, end), text.rfind("\n", middle, end))
        end = end if cut < 0 else cut
        found.append(text[start:end])
        start = end
    found.append(text[start:])
    return found


def worst(values: npt.NDArray[Any], counts: Sequence[int]) -> npt.NDArray[Any]:
    """Give the highest value of each text, of a row (or number) per piece; every text has at least one piece."""
    starts = [0, *accumulate(counts)][:-1]
    found: npt.NDArray[Any] = np.maximum.reduceat(values, starts, axis=0) if starts else values[:0]
    return found
