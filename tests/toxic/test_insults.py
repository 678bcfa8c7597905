"""Insults of other languages than the model's: found in whatever script, and common words of other languages are none."""

import tomllib
from importlib.resources import files

import pytest

from llmtower_processors.toxic.linear import INSULT, load_linear


def listed() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(files("llmtower_processors.toxic").joinpath("insults.toml").read_text("utf-8"))


def test_every_listed_word_counts_in_a_sentence_and_in_capitals() -> None:
    linear = load_linear()
    words = [word for of in listed()["words"].values() for word in of]
    assert words == [word.lower() for word in words]
    for said in (words, [word.upper() for word in words if word.upper().lower() == word]):
        found = linear.worst([f"7 {word}, 8" for word in said])
        assert [word for word, value in zip(said, found, strict=True) if value < INSULT] == []
    within = [word for of in listed()["within"].values() for word in of]
    assert linear.worst([f"\u4e86{word}\u4e86" for word in within]).min() >= INSULT


def test_nothing_of_it_is_in_what_the_package_says() -> None:
    """`probabilities` is held against the package; only the worst piece of a text knows other languages."""
    linear = load_linear()
    assert linear.probabilities(["Du Arschloch, du bl\u00f6der Wichser."])[0] < 0.3 < INSULT <= linear.worst(["Du Arschloch."])[0]
    assert (
        linear.worst(["Die Lieferung hat heute noch nicht geklappt."])[0]
        < 0.3
        < linear.probabilities(["Die Lieferung hat heute noch nicht"])[0]
    )


@pytest.mark.parametrize("text", ["You should just die.", "Die, you fool.", "What a hoe she is."])
def test_english_stays_english(text: str) -> None:
    assert load_linear().worst([text])[0] > 0.5


def test_a_foreign_text_keeps_the_insults_that_are_english() -> None:
    assert load_linear().worst(["Die sind doch nicht ganz dicht, du dumb asshole."])[0] > 0.5
