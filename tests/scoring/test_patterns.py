"""The quick way past expressions leaves out none that would hit."""

import pytest

from llmtower_processors.scoring import patterns
from llmtower_processors.scoring.patterns import Patterns, read
from llmtower_processors.scoring.plain import folded, unmasked, visible
from tests.scoring.corpus import HELD_OUT, TUNED, classes


def texts() -> list[str]:
    found = [text for corpus in (TUNED, HELD_OUT) for of in classes(corpus).values() for text in (*of.found, *of.clear)]
    plain = [folded(visible(text)) for text in found]
    return [*plain, *map(unmasked, plain)]


def slowly(known: Patterns, text: str) -> dict[str, float]:
    hits = [one for one in known.patterns if one.search(text)]
    return {one.family: max(other.weight for other in hits if other.family == one.family) for one in hits}


@pytest.mark.parametrize("file", ["attacks.toml", "refusals.toml"])
def test_what_is_looked_for_first_is_in_every_text_that_an_expression_hits(file: str) -> None:
    known = read(file)
    for text in texts():
        assert known.families(text) == slowly(known, text), text.encode("unicode_escape")


def test_the_words_that_are_kept_are_bounded_and_forgetting_them_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = read("attacks.toml")
    before = [known.families(text) for text in texts()]
    monkeypatch.setattr(patterns, "_MOST_WORDS", 7)
    known = read("attacks.toml")
    assert [known.families(text) for text in texts()] == before
    assert len(known._known) <= 7
