"""What is named as moved did move: nothing where nothing did, the new topic's own texts and words where one came."""

import random

import pytest

from llmtower_processors.demo.texts import ask
from llmtower_processors.drift.witness import moved, terms


def texts(count: int, seed: int, *, drifted: float = 0.0) -> list[str]:
    chance = random.Random(seed)
    return [ask("search-assistant", chance, drifted=chance.random() < drifted) for _ in range(count)]


def test_nothing_moves_where_nothing_changed() -> None:
    assert moved(texts(600, 1), texts(600, 2)).share < 0.06


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_moved_share_is_the_new_topics_and_so_are_the_examples(share: float) -> None:
    before, now = texts(600, 1), texts(600, 2, drifted=share)
    found = moved(before, now)
    assert share - 0.12 < found.share <= share + 0.05
    seen = set(before)
    assert len(found.farthest) == 5
    assert not [now[index] for index in found.farthest if now[index] in seen]


def test_terms_that_came_stand_first_and_terms_that_went_last() -> None:
    found = terms(["my order is late", "where is my order"] * 20, ["my knee hurts", "the knee and my order"] * 20)
    assert found[0].word == "knee"
    assert (found[0].before, found[0].now) == (0.0, 1.0)
    assert found[-1].now < found[-1].before


def test_slices_without_texts_say_nothing() -> None:
    assert moved([], []).share == 0.0
    assert terms([], []) == []
