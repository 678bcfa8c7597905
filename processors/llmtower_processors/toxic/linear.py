"""Stage 1: the linear model of `alt-profanity-check`, in numpy alone.

The package pins scikit-learn and joblib to one version each and unpickles its model. So its word list and weights are kept here as plain
arrays (`linear.npz`, made by `tests/ml/extract.py`, licence beside it), and what is computed is what scikit-learn computes: words of two or
more characters, counted, weighted by rarity, scaled to length 1, five linear classifiers, each calibrated, their mean. `tests/ml` holds it
against the package itself, to 1e-6.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from llmtower_processors.toxic.masked import second_looks
from llmtower_processors.toxic.pieces import pieces, worst

Reals = npt.NDArray[np.float64]

VERSION: Final = "1.9.1"
"""Of alt-profanity-check, whose weights these are."""
LABEL: Final = "profanity-linear"
READ_AS: Final = f"{VERSION}+masked2"
"""Version of the scorer: the weights, and that words are also read through what hides them (`masked`)."""
AT_ONCE: Final = 128
"""Pieces worked on together: their words stay in the processor's cache."""

_words = re.compile(r"(?u)\b\w\w+\b").findall
_LATIN: Final = b"".join(chr(i).lower().encode("latin-1") if _words(2 * chr(i)) else b" " for i in range(256))
"""Upper case to lower case, and what parts words to spaces, of ASCII and the letters of western Europe."""
_SIGNS: Final = "\u2000-\u206f\u20a0-\u20bf\u2122\u2190-\u23ff\u2500-\u2775\u2794-\u27bf\U0001f300-\U0001faff"
"""Typographic marks, currencies, arrows, emoji: no letters."""
_may_be_letters = re.compile(f"[^\u0000-\u00ff{_SIGNS}]").search
_further_letters = re.compile("[\u0100-\u012f\u0131-\u017f]").sub
"""Letters of central Europe (without \u0130, of which lower case makes two): in no word of the list."""
_ANY_LETTER: Final = "\u00aa"
"""Stands for them: a letter in no word of the list, either."""


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A word list with the rarity of each word, and five calibrated linear classifiers (columns)."""

    places: Mapping[str | bytes, int]
    """Each word's row, as text and as Latin-1."""
    rarity: Reals
    weights: Reals
    """Word by classifier, rarity multiplied in."""
    intercepts: Reals
    slopes: Reals
    offsets: Reals
    """Probability of a classifier = 1 / (1 + exp(slope · decision + offset)) (J. Platt, 1999)."""

    def worst(self, texts: Sequence[str]) -> Reals:
        """Give the probability that the worst piece of each text is toxic, in whatever reading."""
        cut = [[*found, *second_looks(text, found)] for text in texts for found in (pieces(text),)]
        flat = list(chain.from_iterable(cut))
        found = [self.probabilities(flat[start : start + AT_ONCE]) for start in range(0, len(flat), AT_ONCE)]
        return worst(np.concatenate(found) if found else np.zeros(0), [len(one) for one in cut])

    def probabilities(self, texts: Sequence[str]) -> Reals:
        """Give the probability that each text is toxic, texts taken whole, as the package would."""
        known = self.places.get
        found = [[place for place in map(known, _split(text)) if place is not None] for text in texts]
        count = len(texts)
        text_of = np.repeat(np.arange(count), [len(one) for one in found])
        place_of = np.fromiter(chain.from_iterable(found), np.int64, text_of.size)
        keys, times = np.unique(text_of * len(self.rarity) + place_of, return_counts=True)
        text_of, place_of = np.divmod(keys, len(self.rarity))
        length = np.sqrt(np.bincount(text_of, weights=(times * self.rarity[place_of]) ** 2, minlength=count))
        sums = [np.bincount(text_of, weights=times * column[place_of], minlength=count) for column in self.weights.T]
        decisions = np.stack(sums, axis=1) / np.where(length > 0, length, 1.0)[:, None] + self.intercepts
        probabilities: Reals = (1.0 / (1.0 + np.exp(self.slopes * decisions + self.offsets))).mean(axis=1)
        return probabilities


def _split(text: str) -> Sequence[str | bytes]:
    """Give all words that may be in the list. Latin letters are split as bytes, in a third of the time.

    What is none of them, and no other letter, becomes a question mark: it parts words, too.
    Splitting also gives words of one character, which the package leaves out: the list has none.
    """
    if text.isascii():
        return list[str | bytes](text.encode().translate(_LATIN).split())
    raw = text.encode("latin-1", "replace")
    if raw.decode("latin-1") != text and _may_be_letters(text):
        text = _further_letters(_ANY_LETTER, text)
        if _may_be_letters(text):
            return list[str | bytes](_words(text.lower()))
        raw = text.encode("latin-1", "replace")
    return list[str | bytes](raw.translate(_LATIN).split())


@cache
def load_linear() -> LinearModel:
    """Load the model that ships with Llmtower, once."""
    with as_file(files("llmtower_processors.toxic") / "linear.npz") as path, np.load(path, allow_pickle=False) as arrays:
        return from_arrays(dict(arrays))


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> LinearModel:
    """Make the model of the arrays in `linear.npz`."""
    words = arrays["words"].tobytes().decode().split("\n")
    rarity = arrays["rarity"].astype(np.float64)
    weights = np.asfortranarray(arrays["weights"].astype(np.float64) * rarity[:, None])
    intercepts, slopes, offsets = arrays["classifiers"].astype(np.float64)
    places: dict[str | bytes, int] = {word: place for place, word in enumerate(words)}
    places |= {word.encode("latin-1"): place for place, word in enumerate(words) if max(word) < "\u0100"}
    return LinearModel(places, rarity, weights, intercepts, slopes, offsets)
