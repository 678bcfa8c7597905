"""What hides words is read a second time, at a bounded cost; what hides nothing is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.toxic.linear import load_linear
from llmtower_processors.toxic.masked import second_looks
from llmtower_processors.toxic.pieces import pieces

PLAIN = "Your order leaves our warehouse today at 9:40 and arrives on Friday, Nov. 27, 2026; it costs 49.90 euros! "


def looks(text: str) -> list[str]:
    return list(second_looks(text, pieces(text)))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN * 20,
        "“Das ist für Sie”, 30 Tage …",
        "Доставка займёт три дня.",
        "您的订单明天送达。",
        "",
        "a",
        "5",
        "\ud800 lone",
        "2 * 3 * 4",
    ],
    ids=range(9),
)
def test_a_text_that_hides_nothing_is_scored_once(text: str) -> None:
    assert looks(text) == []


def test_only_the_piece_that_hides_something_is_read_again() -> None:
    text = PLAIN * 20 + "You stup1d m0ron. " + PLAIN * 20
    (read,) = looks(text)
    assert "stupid moron" in read
    assert load_linear().worst([text])[0] > 0.5 > 0.2 > load_linear().worst([PLAIN * 40])[0]


@pytest.mark.parametrize(
    "text",
    [
        "The job took 45s on the 4th try.",
        "Call 1st line support: 455-1234.",
        "gpt-4o answered in 45s.",
        "We open at 9am, ring 8008 or 455.",
        "It costs 45$ until the 1st of May.",
        "Take the 4th exit in 455m; toll 45$, room 8008b.",
        "us$455, 4th of May",
        "| 1st | 455 | 45s |",
        "a455 and x8008 and 4b left of 455",
    ],
)
def test_numbers_with_their_units_stay_numbers_beside_whatever_sign(text: str) -> None:
    (bare,) = load_linear().probabilities([text])
    assert load_linear().worst([text])[0] <= bare + 0.05
    for read in looks(text):
        assert not {"ass", "boob", "boobs"} & set(read.replace("|", " ").split())


def test_a_word_is_read_beside_numbers_that_stay() -> None:
    (read,) = looks("You stup1d m0ron, it is the 4th time, 455-1234, 45$, b!tch.")
    assert read == "you stupid moron, it is the 4th time, 455-1234, 45$, bitch."


def test_a_masked_word_never_makes_a_text_look_better() -> None:
    bare = "You stupid moron, read the mail."
    linear = load_linear()
    for text in (bare, bare + " It is order 4b0x.", bare.replace("mail", "m\u200bail")):
        assert linear.worst([text])[0] >= linear.probabilities([text])[0]


@given(st.text(alphabet=st.sampled_from([*"abci 013@$!*.-_", "\u200b", "\uff49", "\u0456", "ü", "中", "\ud800"]), max_size=400))
def test_there_are_few_readings_and_none_is_longer_than_its_text_in_plain_letters(text: str) -> None:
    cut = pieces(text)
    assert len(list(second_looks(text, cut))) <= 7 * len(cut), "three as it stands, one as a reader sees it, three more of that"
