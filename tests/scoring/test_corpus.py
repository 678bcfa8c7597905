"""Precision and recall per class of the corpus, above a stated floor; the benchmark `scores` prints them."""

import pytest

from tests.scoring.corpus import classes, outcome


@pytest.mark.parametrize("name", classes())
def test_a_class_is_found_and_its_neighbours_are_left_alone(name: str) -> None:
    of = classes()[name]
    did = outcome(of)
    assert did.precision >= of.precision, did.wrong
    assert did.recall >= of.recall, did.missed
