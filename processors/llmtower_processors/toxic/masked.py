"""A second look at pieces in which words may be hidden: digits for letters, letters spelt out, invisible and look-alike characters.

Whether there is anything of the kind is asked of the text's shape, a few nanoseconds a character; only pieces that read otherwise then are
scored twice, and the worse reading counts.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from llmtower_processors.scoring.plain import folded, visible

_LEET: Final = str.maketrans("013457869@$+|", "oieastbggasti")
"""What stands for letters, in words: numbers stay what they are."""
_TOKEN: Final = re.compile(r"(?<![a-z0-9@$+|])[a-z]*[0-9@$+|][a-z0-9@$+|]*")
"""It begins where a run of such signs begins, so that no long run is tried from each of its letters."""
_NUMBER: Final = re.compile(r"\d+[a-z]{0,2}")
"""A number, with its ending or unit at most: 4th, 45s, 9am."""
_LETTER: Final = re.compile("[a-z]")
_SHAPE: Final = bytes(
    97
    if chr(i).isascii() and chr(i).isalpha()
    else 48
    if chr(i) in "013457869@$+|!"
    else 42
    if chr(i) == "*"
    else 32
    if chr(i) in " .-_/"
    else 35
    for i in range(256)
)
_masked = re.compile(rb"0(?:(?<=a0)[a0]|(?<= 0)a)|\A0a").search
"""In a shape: what stands for a letter, beside one. It begins with what is rare, and is through a text in two microseconds."""
_starred = re.compile(rb"\*(?<=a\*)a").search
_SPELT_OUT: Final = b"a a a a"
_EXCLAIMED: Final = re.compile(r"(?<=[a-z$@0-9])!(?=[a-z0-9])")
_SPELT: Final = re.compile(r"(?<![a-z])(?:[a-z][ .\-_/]{1,2}){3,}[a-z](?![a-z])")
_BETWEEN: Final = re.compile(r"[ .\-_/]")
_STAR: Final = re.compile(r"(?<=[a-z])\*(?=[a-z])")
_UNUSUAL: Final = re.compile(
    "[\u00ad\u0300-\u052f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2460-\u24ff\ufeff\uff01-\uff5e"
    "\U0001d400-\U0001d7ff\U0001f130-\U0001f189\U000e0000-\U000e007f]"
)
"""Invisible, decorated, styled and full-width characters, and the alphabets that have look-alikes of Latin letters."""
_SOFT_HYPHEN: Final = "\u00ad"
"""The only one of them in Latin-1, which is asked a hundred times as fast."""
_TWO_ALPHABETS: Final = re.compile("[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z]")
_OTHER_ALPHABET: Final = re.compile("[\u0370-\u052f]")
_MARKS: Final = re.compile("[\u0300-\u036f]")


def second_looks(text: str, pieces: Sequence[str]) -> Iterator[str]:
    """Give the other readings of those pieces of a text that have any."""
    if not text.isascii() and _hides(text):
        yield from _revealed(pieces)
    if _signs(text).any:
        for piece in pieces:
            if (signs := _signs(piece)).any:
                yield from _readings(piece.lower(), signs)


class _Signs(NamedTuple):
    """What of the kind there is in a text."""

    masked: bool
    starred: bool
    spelt: bool

    @property
    def any(self) -> bool:
        return self.masked or self.starred or self.spelt


def _signs(text: str) -> _Signs:
    shape = text.encode("utf-8", "replace").translate(_SHAPE)
    return _Signs(_masked(shape) is not None, b"*" in shape and _starred(shape) is not None, _SPELT_OUT in shape)


def _hides(text: str) -> bool:
    if text.encode("latin-1", "replace").decode("latin-1") == text:
        return _SOFT_HYPHEN in text
    return _unusual(text)


def _unusual(text: str) -> bool:
    found = _UNUSUAL.search(text)
    if found is None:
        return False
    if _OTHER_ALPHABET.match(found[0]):
        return _TWO_ALPHABETS.search(text) is not None or _UNUSUAL.search(_OTHER_ALPHABET.sub("", text)) is not None
    return True


def _revealed(pieces: Sequence[str]) -> Iterator[str]:
    """Give pieces as a reader sees them, and what is masked in those, too."""
    for piece in pieces:
        if not piece.isascii():
            plain = folded(_MARKS.sub("", visible(piece)))
            if plain != piece.lower():
                yield plain
                yield from _readings(plain, _signs(plain))


def _readings(lower: str, signs: _Signs) -> Iterator[str]:
    plain = lower
    if signs.masked:
        plain = _TOKEN.sub(_unmasked, _EXCLAIMED.sub("i", plain) if "!" in plain else plain)
    if signs.spelt:
        plain = _SPELT.sub(lambda found: _BETWEEN.sub("", found[0]), plain)
    if plain != lower:
        yield plain
    if signs.starred:
        yield _STAR.sub("u", plain)
        yield _STAR.sub("i", plain)


def _unmasked(found: re.Match[str]) -> str:
    """Read one token: where more than half of it are signs, or it is a number with a unit, it stays."""
    token = found[0]
    letters = len(_LETTER.findall(token))
    return token if 2 * letters < len(token) or _NUMBER.fullmatch(token) else token.translate(_LEET)
