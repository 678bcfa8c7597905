"""Expressions kept as facts in TOML files: read once, each with texts without which there is no hit.

Most texts hit nothing, and to find that out is what costs. So the beginnings of a text's words are compared with those of the needed texts,
all patterns at once; then the needed texts are looked for; only then the expression.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from operator import itemgetter
from typing import Any, Final

_START: Final = 5
"""Bytes of a word's beginning."""
_LETTERS: Final = bytes(i if i >= 128 or chr(i).isalpha() else 32 for i in range(256))
_begin = itemgetter(slice(_START))
_WORD: Final = re.compile(r"[^\W\d_]+")
_ALONE: Final = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
"""Scripts that write words without spaces."""


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
        if self.also and not any(literal in text for literal in self.also):
            return False
        return self.search(text) is not None


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
        starts = set(map(_begin, text.encode("utf-8", "replace").translate(_LETTERS).split()))
        needed = [pair for start in starts & self._by_start.keys() for pair in self._by_start[start]]
        return sorted({number for literal, number in (*needed, *self._anywhere) if literal in text})

    @cached_property
    def _by_start(self) -> dict[bytes, list[tuple[str, int]]]:
        found: dict[bytes, list[tuple[str, int]]] = {}
        for literal, number in self._needed():
            if start := _start(literal):
                found.setdefault(start, []).append((literal, number))
        return found

    @cached_property
    def _anywhere(self) -> tuple[tuple[str, int], ...]:
        return tuple((literal, number) for literal, number in self._needed() if not _start(literal))

    def _needed(self) -> Iterator[tuple[str, int]]:
        return ((literal, number) for number, one in enumerate(self.patterns) for literal in one.literals)


def _start(literal: str) -> bytes:
    """Give how the longest word of a needed text begins; nothing where that is too short to tell, or not where a word begins."""
    longest = max(_WORD.findall(literal), key=len, default="")
    encoded = longest.encode()
    return b"" if len(encoded) < _START or _ALONE.search(literal) else encoded[:_START]


def read(file: str) -> Patterns:
    """Read a file of this package: tables `pattern` with `family`, `weight`, `any`, `also` and `text`."""
    tables = tomllib.loads(resources.files(__package__).joinpath(file).read_text("utf-8"))["pattern"]
    return Patterns(tuple(map(_made, tables)))


def _made(table: Mapping[str, Any]) -> Pattern:
    search = re.compile(table["text"]).search
    return Pattern(table["family"], table.get("weight", 1.0), tuple(table["any"]), search, tuple(table.get("also", ())))
