"""The demo's scene of toxic answers moves the score, and an ordinary day does not."""

import random

import pytest

from llmtower_processors.demo.texts import DOMAINS, answer, ask
from llmtower_processors.toxic.linear import load_linear


@pytest.mark.parametrize("app", DOMAINS)
def test_insults_are_toxic_and_ordinary_answers_are_not(app: str) -> None:
    chance = random.Random(7)
    questions = [ask(app, chance) for _ in range(300)]
    ordinary = [answer(question, chance) for question in questions]
    toxic = [answer(question, chance, mood="toxic") for question in questions]
    linear = load_linear()
    assert (linear.worst(ordinary) >= 0.5).mean() < 0.01
    assert (linear.worst(toxic) >= 0.5).mean() > 0.95
