"""Stage 1 by itself; `tests/ml` holds it against alt-profanity-check."""

import pytest

from llmtower_processors.toxic.linear import load_linear
from llmtower_processors.toxic.pieces import LONGEST, pieces

OF_THE_PACKAGE = {
    "": 0.03637575,
    "Have a nice day": 0.05844726,
    "The capital of France is Paris.": 0.02492364,
    "You damn fool, stop wasting my time.": 0.99396040,
    "kill the process with kill -9": 0.76691399,
    "Du bist ein Idiot": 0.99963989,
    "\u201cThat\u2019s silly\u201d \u2013 über alles\u2026": 0.73603900,
    "\x00\xff binary \ufffd\ud800": 0.01635323,
}
"""What alt-profanity-check 1.9.1 says."""
MILD = "You damn fool, stop wasting my time."
GOOD = "The order leaves our warehouse today and arrives on Friday; reply to this message if anything is missing. "


@pytest.mark.parametrize("text", OF_THE_PACKAGE)
def test_probabilities_are_those_of_the_package(text: str) -> None:
    assert load_linear().probabilities([text])[0] == pytest.approx(OF_THE_PACKAGE[text], abs=1e-6)


def test_texts_do_not_colour_each_other() -> None:
    texts = list(OF_THE_PACKAGE) * 40
    found = load_linear().worst(texts)
    assert found.tolist() == [load_linear().worst([text])[0] for text in texts]


def test_no_texts_have_no_probabilities() -> None:
    assert load_linear().worst([]).shape == (0,)


def test_the_worst_piece_counts_wherever_it_stands() -> None:
    linear = load_linear()
    for place in (0, 100, 199):
        long = GOOD * place + MILD + " " + GOOD * (199 - place)
        assert linear.worst([long])[0] > 0.5
    assert linear.worst([GOOD * 200])[0] < 0.1
    assert linear.probabilities([GOOD * 199 + MILD])[0] < 0.1


@pytest.mark.parametrize("text", ["", "a", "word " * 1_000, "x" * 5_000, "line\n" * 500, "字" * 3_000, " " * 900], ids=range(7))
def test_pieces_leave_nothing_out(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == text
    assert max(map(len, found)) <= LONGEST


def test_words_are_cut_only_where_there_is_no_gap() -> None:
    text = "fool " * 1_000
    assert {word for piece in pieces(text) for word in piece.split()} == {"fool"}
