"""Whichever way stage 1 splits a text, it finds the words that alt-profanity-check finds."""

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.toxic.linear import _split, load_linear


def known(words: Iterable[str | bytes]) -> list[int]:
    return [place for word in words if (place := load_linear().places.get(word)) is not None]


def of_the_package(text: str) -> list[int]:
    """What scikit-learn's expression finds of the list."""
    return known(re.findall(r"(?u)\b\w\w+\b", text.lower()))


def test_every_character_parts_or_joins_words_as_it_does_in_the_package() -> None:
    """Whichever way a text is split: as bytes, as bytes after its foreign letters are put aside, or as text."""
    for number in (*range(0x3100), *range(0xA9F0, 0xAB70), *range(0xD7F0, 0x10030), *range(0x1F000, 0x1FC00)):
        sign = chr(number)
        for beside in ("", "\u00e9", "\u015b", "\u0431", "\u2014"):
            text = f"Idiot{sign}FOOL {sign}damn stupid{sign} Jos{sign} {sign} Pok{sign}mon {beside} EXP\u00c9RT{beside}"
            assert known(_split(text)) == of_the_package(text), hex(number)


WORDS = ("Idiot", "JOS\u00c9", "m\u00edkka", "d\u03b1lus", "\u8fce\u60d1")
SIGNS = "a -.\u00dfx\u0152\u0130\u212a\u2014\u20ac\u0307\ud83d\U0001f642\u00ad"


@given(st.lists(st.sampled_from([*WORDS, *SIGNS])))
def test_words_are_those_of_the_package(parts: list[str]) -> None:
    assert known(_split("".join(parts))) == of_the_package("".join(parts))
