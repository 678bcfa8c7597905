"""The collector runs again when the last range is computed, and never where it was off."""

import gc
from collections.abc import Iterator

import pytest

from llmtower_processors.runtime.garbage import Collector


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    on = gc.isenabled()
    yield
    (gc.enable if on else gc.disable)()


def test_it_is_off_until_the_last_has_left_even_by_an_error() -> None:
    gc.enable()
    collector = Collector()
    with pytest.raises(ValueError, match="x"), collector.held_off():  # noqa: PT012
        with collector.held_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ValueError("x")
    assert gc.isenabled()


def test_one_that_was_off_stays_off() -> None:
    gc.disable()
    with Collector().held_off():
        assert not gc.isenabled()
    assert not gc.isenabled()
