"""Doubles among texts: equal ones by a hash, similar ones by MinHash over three-word shingles (Broder 1997), looked up in bands."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

PERMUTATIONS: Final = 128
BANDS: Final = 16
"""Bands of eight: two texts that share 85 % of their shingles meet in one with 99 %, at 50 % with 6 % (and are then told apart)."""
_SEED: Final = 7
_words: Final = re.compile(r"\w+").findall
_SHINGLE: Final = 3
_MOST_WORDS: Final = 4_000
"""Words of a text that are looked at: what is alike so far is alike."""


def text_hash(*texts: str) -> bytes:
    """Hash texts as a reader sees them: case and white space apart. 16 bytes."""
    whole = "\x1f".join(" ".join(text.casefold().split()) for text in texts)
    return hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=16).digest()


def shingles(text: str) -> list[str]:
    """Give the runs of three words of a text; of a shorter one, all of it."""
    words = _words(text.casefold())[:_MOST_WORDS]
    if len(words) <= _SHINGLE:
        return [" ".join(words)]
    return [" ".join(words[start : start + _SHINGLE]) for start in range(len(words) - _SHINGLE + 1)]


class Seen:
    """Texts so far; asks of each new one whether it was there before. About 2 kB a text with `near`, 0.1 kB without."""

    def __init__(self, near: float) -> None:
        """`near` is the share of shingles (Jaccard) from which two texts count as one; 0 = only equal ones do."""
        from rensa import RMinHash

        self._sketch = RMinHash
        self._near = near
        self._equal: set[bytes] = set()
        self._count = 0
        self._sketches = np.empty((1_024, PERMUTATIONS), np.uint32)
        self._bands: dict[int, int] = {}

    def equal(self, digest: bytes) -> bool:
        """Say whether an equal text was there, and remember it."""
        if digest in self._equal:
            return True
        self._equal.add(digest)
        return False

    def similar(self, text: str) -> bool:
        """Say whether a similar text was there; remember it if not."""
        if not self._near:
            return False
        made = self._sketch(num_perm=PERMUTATIONS, seed=_SEED)
        made.update(shingles(text))
        sketch = np.array(made.digest(), np.uint32)
        keys = [hash((band, part.tobytes())) for band, part in enumerate(sketch.reshape(BANDS, -1))]
        met = {self._bands[key] for key in keys if key in self._bands}
        if any(np.mean(self._sketches[number] == sketch) >= self._near for number in met):
            return True
        self._remember(sketch, keys)
        return False

    def _remember(self, sketch: "np.ndarray[tuple[int], np.dtype[np.uint32]]", keys: Sequence[int]) -> None:
        if self._count == len(self._sketches):
            self._sketches = np.concatenate([self._sketches, np.empty_like(self._sketches)])
        self._sketches[self._count] = sketch
        for key in keys:
            self._bands.setdefault(key, self._count)
        self._count += 1
