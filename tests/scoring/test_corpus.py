"""Precision and recall of both corpora, above stated floors, and false alarms on ordinary texts; the benchmark `scores` prints all."""

import pytest

from tests.scoring.corpus import HELD_OUT, TUNED, classes, false_alarms, innocents, languages, outcome


@pytest.mark.parametrize(("corpus", "name"), [(corpus, name) for corpus in (TUNED, HELD_OUT) for name in classes(corpus)])
def test_a_class_is_found_and_its_neighbours_are_left_alone(corpus: str, name: str) -> None:
    of = classes(corpus)[name]
    did = outcome(of)
    assert did.precision >= of.precision, did.wrong
    assert did.recall >= of.recall, did.missed


@pytest.mark.parametrize("name", innocents())
def test_ordinary_texts_raise_no_more_false_alarms_than_were_measured(name: str) -> None:
    """These rates page people: whoever widens a detector sees here what that costs."""
    of = innocents()[name]
    hit = false_alarms(of)
    assert len(hit) <= of.most, hit


def test_languages_are_named() -> None:
    texts, did = languages()
    assert len(texts) >= 19
    assert did.precision >= 0.95, did.missed
    assert did.recall >= 0.9, did.missed


def test_no_held_out_or_ordinary_text_is_one_that_detectors_are_tuned_on() -> None:
    tuned = {text for of in classes(TUNED).values() for text in (*of.found, *of.clear)}
    apart = [(*of.found, *of.clear) for of in classes(HELD_OUT).values()] + [of.texts for of in innocents().values()]
    assert not tuned & {text for texts in apart for text in texts}
