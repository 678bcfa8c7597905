"""Stage 1 says what alt-profanity-check says, to 1e-6, of every word it knows and of texts of every kind."""

import random

import numpy as np
import pytest
from profanity_check import predict_prob
from profanity_check.profanity_check import vectorizer

from llmtower_processors.demo import texts as demo_texts
from llmtower_processors.toxic.linear import VERSION, from_arrays, load_linear
from tests.ml.extract import arrays
from tests.toxic.test_linear import OF_THE_PACKAGE

SCRIPTS = (
    "abcdefghij ABC",
    "äöüßéèçñ",
    "абвгдежз",
    "日本語テキスト",
    "هذا نص",
    "ไทย",
    "🙂🔥\U0001f469\u200d\U0001f467",
    "\u200b\u00ad\u2060",
    "'\"\u201c\u201d\u2018\u2019\u2014\u2026_-",
    "0123 4$@!",
    "\x00\x1f\ud800",
)


def fuzz(count: int) -> list[str]:
    """Known words, in any case, among characters of every script."""
    rng, words = random.Random(3), list(vectorizer.vocabulary_)
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(0, 60)):
            word = rng.choice(words)
            noise = "".join(rng.choices(rng.choice(SCRIPTS), k=rng.randint(0, 4)))
            parts.append(rng.choice((word, word.upper(), word.title(), noise, word + noise)))
        texts.append(rng.choice((" ", " ", "\n", ", ")).join(parts))
    return texts


def test_the_shipped_arrays_are_those_of_the_installed_package() -> None:
    from importlib.metadata import version

    assert version("alt-profanity-check") == VERSION, "weights may have changed: .venv-ml/bin/python -m tests.ml.extract, then VERSION"
    fresh, shipped = from_arrays(arrays()), load_linear()
    assert fresh.places == shipped.places
    assert np.array_equal(fresh.weights, shipped.weights)


@pytest.mark.parametrize("kind", ["words", "corpus", "fuzz"])
def test_probabilities_are_equal(kind: str) -> None:
    corpus = [value for value in vars(demo_texts).values() if isinstance(value, str)] + list(OF_THE_PACKAGE)
    texts = {"words": list(vectorizer.vocabulary_), "corpus": corpus, "fuzz": fuzz(2_000)}[kind]
    expected = predict_prob(texts)
    assert np.abs(load_linear().probabilities(texts) - expected).max() < 1e-6
