"""Texts to hashed words and characters, many texts at a time: no loop over words, so a core reads tens of thousands of texts a second.

The hash of any stretch of bytes comes out of one running sum: H[i] = Σ_{j<i} v[b_j]·pʲ (mod 2⁶⁴), so bytes s..e hash to (H[e] - H[s])·p⁻ˢ.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Index = npt.NDArray[np.int64]

CHUNK_BYTES: Final = 1 << 18
"""Bytes worked on at a time: the tables of powers stay in the processor's cache."""

_P: Final = 0x9E3779B97F4A7C15


class Words(NamedTuple):
    """The words of some texts, in order: hash, text and length in bytes; and the bytes they came from."""

    hashes: Hashes
    text: Index
    length: Index
    bytes: npt.NDArray[np.uint8]
    starts: Index
    """Where each text begins in `bytes`; the next text begins one byte (a newline) after its end."""
    running: Hashes


def mix(values: Hashes) -> Hashes:
    """Spread 64-bit values evenly (the finaliser of splitmix64)."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_COUNT: Final = CHUNK_BYTES + 4 * 40_000
_UP: Final = _powers(_P, _COUNT)
_DOWN: Final = _powers(pow(_P, -1, 1 << 64), _COUNT)
_VALUE: Final = mix(np.arange(1, 257, dtype=np.uint64) * np.uint64(_P))


def _word_bytes() -> npt.NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[[*b"0123456789abcdefghijklmnopqrstuvwxyz_"]] = True
    table[0x80:] = True
    return table


_IN_WORD: Final = _word_bytes()
_ALONE: Final = np.isin(np.arange(256), np.arange(0xE3, 0xEA))
"""First bytes of characters that are words by themselves, in scripts without spaces (kana, Han)."""


def words(texts: Sequence[str]) -> Words:
    """Find the words of lower-cased texts of at most `CHUNK_BYTES` in all (or of one longer text)."""
    encoded = [text.lower().encode("utf-8", "replace") for text in texts]
    joined = np.frombuffer(b"\n".join(encoded) + b"\n", dtype=np.uint8)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths + 1)[:-1]])
    inside = _inside(joined)
    alone = _ALONE[joined] & inside
    before = np.concatenate([[False], inside[:-1]])
    begins = inside & (~before | alone)
    after = np.concatenate([inside[1:], [False]])
    ends = inside & (~after | np.concatenate([alone[1:], [False]]))
    first, last = np.flatnonzero(begins), np.flatnonzero(ends) + 1
    running = np.zeros(joined.size + 1, dtype=np.uint64)
    np.cumsum(_VALUE[joined] * _UP[: joined.size], out=running[1:])
    hashes = mix((running[last] - running[first]) * _DOWN[first])
    return Words(hashes, _text_of(first, starts), last - first, joined, starts, running)


def _inside(joined: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Tell which bytes belong to words; general and CJK punctuation (U+2000-U+203F, U+3000-U+303F) does not."""
    inside = _IN_WORD[joined]
    lead = np.flatnonzero((joined == 0xE2) | (joined == 0xE3))
    if lead.size:
        lead = lead[joined[lead + 1] == 0x80]
        for offset in range(3):
            inside[lead + offset] = False
    return inside


def _text_of(places: Index, starts: Index) -> Index:
    return np.searchsorted(starts, places, side="right").astype(np.int64) - 1


def pairs(found: Words) -> tuple[Hashes, Index]:
    """Hash every two words that stand side by side in one text."""
    same = found.text[1:] == found.text[:-1]
    hashes = mix(found.hashes[:-1] * np.uint64(3) + found.hashes[1:])
    return hashes[same], found.text[1:][same]


def grams(found: Words, size: int) -> tuple[Hashes, Index]:
    """Hash every stretch of `size` bytes within one text."""
    places = np.arange(max(0, found.bytes.size - size))
    text = _text_of(places, found.starts)
    whole = text == _text_of(places + size, found.starts)
    places, text = places[whole], text[whole]
    return mix((found.running[places + size] - found.running[places]) * _DOWN[places] + np.uint64(size)), text


def word_hash(word: str) -> int:
    """Hash one word as `words` does."""
    return int(words([word]).hashes[0])


def chunks(texts: Sequence[str]) -> list[slice]:
    """Cut a list of texts into slices that `words` can take."""
    found, start, size = [], 0, 0
    for end, text in enumerate(texts):
        length = 4 * len(text) + 1 if not text.isascii() else len(text) + 1
        if size and size + length > CHUNK_BYTES:
            found.append(slice(start, end))
            start, size = end, 0
        size += length
    if start < len(texts):
        found.append(slice(start, len(texts)))
    return found
