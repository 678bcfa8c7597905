"""Precision and recall per class of both corpora, above stated floors; the benchmark `scores` prints them."""

import pytest

from tests.scoring.corpus import HELD_OUT, TUNED, classes, languages, outcome


@pytest.mark.parametrize(("corpus", "name"), [(corpus, name) for corpus in (TUNED, HELD_OUT) for name in classes(corpus)])
def test_a_class_is_found_and_its_neighbours_are_left_alone(corpus: str, name: str) -> None:
    of = classes(corpus)[name]
    did = outcome(of)
    assert did.precision >= of.precision, did.wrong
    assert did.recall >= of.recall, did.missed


def test_languages_are_named() -> None:
    texts, did = languages()
    assert len(texts) >= 19
    assert did.precision >= 0.95, did.missed
    assert did.recall >= 0.9, did.missed


def test_no_held_out_text_is_one_that_detectors_are_tuned_on() -> None:
    tuned = {text for of in classes(TUNED).values() for text in (*of.found, *of.clear)}
    assert not tuned & {text for of in classes(HELD_OUT).values() for text in (*of.found, *of.clear)}
