"""The random share: what it is when scoring is behind, and that it is fixed by range and call."""

import uuid

import pytest

from llmtower_processors.runtime.model import Situation
from llmtower_processors.toxic.share import LEAST, MOST, parameter_for, picked, share_for, share_in


def test_the_share_shrinks_when_scoring_is_behind_and_never_below_one_in_a_thousand() -> None:
    shares = [share_for(seconds) for seconds in (0, 5, 10, 20, 40, 70, 100, 1e6)]
    assert shares[0] == shares[2] == MOST
    assert shares == sorted(shares, reverse=True)
    assert shares[3] == pytest.approx(MOST / 4)
    assert shares[-1] == shares[-2] == LEAST == 0.001


def test_a_parameter_says_what_it_was_written_from() -> None:
    for behind_ms in (0, 15_000, 44_444, 10**9):
        written = parameter_for(Situation(behind_ms, 7))
        assert len(written) <= 256
        assert share_in(written) == pytest.approx(share_for(behind_ms / 1_000), rel=1e-5)


@pytest.mark.parametrize("parameter", ["", "share=", "share=x", "rate=0.5", "share=nan", "share=0"])
def test_a_range_without_a_share_gets_the_smallest(parameter: str) -> None:
    assert share_in(parameter) == LEAST


def test_of_many_calls_the_share_is_picked_and_the_same_again() -> None:
    ids = [str(uuid.UUID(int=number << 64)) for number in range(20_000)]
    chosen = {call for call in ids if picked(call, "toxicity", 0.05)}
    assert 0.045 < len(chosen) / len(ids) < 0.055
    assert chosen == {call for call in ids if picked(call, "toxicity", 0.05)}
    assert {call for call in ids if picked(call, "toxicity", 0.01)} < chosen
    assert chosen != {call for call in ids if picked(call, "input_toxicity", 0.05)}
