"""Cutting long texts: a model that dilutes, or reads only so far, is asked piece by piece, and the worst piece counts."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LONGEST: Final = 160
"""Characters of a piece: a sentence or two. Within 400 a bad sentence among good ones scores 0.1, within 160 0.8, for 30 % more time."""


def pieces(text: str, longest: int = LONGEST) -> list[str]:
    """Cut a text into pieces of at most `longest` characters, between sentences, else between words; nothing is left out."""
    found: list[str] = []
    start, length = 0, len(text)
    while length - start > longest:
        end = _end(text, start + longest // 3, start + longest)
        found.append(text[start:end])
        start = end
    found.append(text[start:])
    return found


def _end(text: str, least: int, most: int) -> int:
    """Give where a piece ends: after the last sentence, else after the last word, that ends between `least` and `most`."""
    for marks in (". ", "! ", "? ", "\n"), (" ",):
        cut = max(text.rfind(mark, least, most) + len(mark) if mark in text[least:most] else 0 for mark in marks)
        if cut:
            return cut
    return most


def worst(values: npt.NDArray[Any], counts: Sequence[int]) -> npt.NDArray[Any]:
    """Give the highest value of each text, of a row (or number) per piece; every text has at least one piece."""
    starts = [0, *accumulate(counts)][:-1]
    found: npt.NDArray[Any] = np.maximum.reduceat(values, starts, axis=0) if starts else values[:0]
    return found
