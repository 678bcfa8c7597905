"""Expressions kept as facts in TOML files: read once, each with texts without which there is no hit.

Most texts hit nothing, and to find that out is what costs. So each word of a text, once, is asked for the needed texts that have their
longest word in common with it, all patterns at once; then those needed texts are looked for; only then the expression.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources
from typing import Any, Final

_START: Final = 2
"""Bytes of a word by which anchors are found."""
_MOST_WORDS: Final = 50_000
"""Words that are known at a time: a few megabytes."""
_LONGEST_WORD: Final = 64
"""Bytes of a word that is kept: a whole text without spaces comes but once."""
_LETTERS: Final = bytes(i if i >= 128 or chr(i).isalpha() else 32 for i in range(256))
_ASCII: Final = bytes(range(128))
_MARK: Final = re.compile(r"[\W\d]")
"""What parts words: a quotation mark, a dash or an emoji sticks to none."""
_FEW_MARKS: Final = 16
"""Different ones beyond ASCII up to which each is replaced by itself, in a third of the time."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_ALONE: Final = re.compile("[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")
"""Scripts in which a word may begin within a run of letters."""

_APART: Final = "\n_ _ _ _ _ _\n"
"""Stands for what was taken out: a line end, and more words than any expression skips, so no hit reaches across."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One expression, how sure a hit is (0 to 1), and texts of which one must be there (and one of `also`), all in lower case."""

    family: str
    weight: float
    literals: tuple[str, ...]
    search: Callable[[str], object]
    also: tuple[str, ...] = ()

    def found_in(self, text: str) -> bool:
        """Say whether there is a hit in a text that has one of the literals."""
        if not self.also:
            return self.search(text) is not None
        for literal in self.also:
            if literal in text:
                return self.search(text) is not None
        return False


@dataclass(frozen=True)
class Patterns:
    """The patterns of one file."""

    patterns: tuple[Pattern, ...]

    def families(self, text: str) -> dict[str, float]:
        """Give the families of which a text has a hit, each with the weight of its clearest one."""
        found: dict[str, float] = {}
        for number in self._candidates(text):
            one = self.patterns[number]
            if one.weight > found.get(one.family, 0.0) and one.found_in(text):
                found[one.family] = one.weight
        return found

    def _candidates(self, text: str) -> Iterable[int]:
        words = set(_parted(text).translate(_LETTERS).split())
        known = self._known.get
        needed = list(self._anywhere[text.isascii()])
        for word in words:
            if (found := known(word)) is None:
                found = self._learn(word)
            if found:
                needed += found
        return sorted({number for literal, number in needed if literal in text})

    def _learn(self, word: bytes) -> tuple[tuple[str, int], ...]:
        """Give the needed texts whose anchor a word begins with; most words come again and again."""
        anchored = self._by_start.get(word[:_START], ())
        found = tuple((literal, number) for anchor, literal, number in anchored if word.startswith(anchor))
        if len(word) <= _LONGEST_WORD:
            if len(self._known) >= _MOST_WORDS:
                self._known.clear()
            self._known[word] = found
        return found

    @cached_property
    def _known(self) -> dict[bytes, tuple[tuple[str, int], ...]]:
        return {}

    @cached_property
    def _by_start(self) -> dict[bytes, list[tuple[bytes, str, int]]]:
        found: dict[bytes, list[tuple[bytes, str, int]]] = {}
        for literal, number in self._needed():
            if anchor := _anchor(literal):
                found.setdefault(anchor[:_START], []).append((anchor, literal, number))
        return found

    @cached_property
    def _anywhere(self) -> dict[bool, list[tuple[str, int]]]:
        """Those to be looked for in any text, and (True) those that may be in one of ASCII."""
        found = [(literal, number) for literal, number in self._needed() if not _anchor(literal)]
        return {False: found, True: [(literal, number) for literal, number in found if literal.isascii()]}

    def _needed(self) -> Iterator[tuple[str, int]]:
        return ((literal, number) for number, one in enumerate(self.patterns) for literal in one.literals)


def _parted(text: str) -> bytes:
    """Give a text in UTF-8, with spaces for what parts words beyond ASCII."""
    raw = text.encode("utf-8", "replace")
    if text.isascii():
        return raw
    marks = set(_MARK.findall(raw.translate(None, _ASCII).decode()))
    if len(marks) > _FEW_MARKS:
        return _MARK.sub(" ", text).encode("utf-8", "replace")
    for mark in marks:
        raw = raw.replace(mark.encode(), b" ")
    return raw


def _anchor(literal: str) -> bytes:
    """Give the longest word of a needed text; nothing where that is too short to tell, or not where a word begins."""
    encoded = max(_WORD.findall(literal), key=len, default="").encode()
    return b"" if len(encoded) < _START or _ALONE.search(literal) else encoded


def read(file: str) -> Patterns:
    """Read a file of this package: tables `pattern` with `family`, `weight`, `any`, `also` and `text`; `unless` by family."""
    tables = tomllib.loads(resources.files(__package__).joinpath(file).read_text("utf-8"))
    unless = {family: re.compile("|".join(given)) for family, given in tables.get("unless", {}).items()}
    return Patterns(tuple(_made(table, unless.get(table["family"])) for table in tables["pattern"]))


def _made(table: Mapping[str, Any], unless: re.Pattern[str] | None) -> Pattern:
    search = re.compile(table["text"]).search
    found = search if unless is None else partial(_spared, search, unless)
    return Pattern(table["family"], table.get("weight", 1.0), tuple(table["any"]), found, tuple(table.get("also", ())))


def _spared(search: Callable[[str], object], unless: re.Pattern[str], text: str) -> object:
    """Look for a hit that stays one without what takes hits back."""
    return search(text) and search(unless.sub(_APART, text))
