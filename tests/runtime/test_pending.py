"""The metadata of a commit is read back as it was written, and its age decides who trusts which token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.runtime.pending import OLD_MS, SETTLE_MS, STALE_MS, Pending, parse

NOW = 1_795_000_000_000
OFFSETS = st.integers(0, 2**62)
TIMES = st.integers(0, 2**53)
PENDING = st.builds(
    lambda incarnation, first, extra, time_ms, salt, parameter: Pending(incarnation, first, first + extra, time_ms, salt, parameter),
    st.text(st.characters(exclude_characters="|"), min_size=1),
    OFFSETS,
    st.integers(-1, 10_000),
    TIMES,
    st.one_of(st.just(""), TIMES.map(str)),
    st.one_of(st.just(""), st.text()),
)


@given(PENDING)
def test_what_is_written_is_read_back(pending: Pending) -> None:
    assert parse(pending.first, pending.metadata) == pending


@given(PENDING, PENDING)
def test_two_ranges_have_two_tokens(one: Pending, other: Pending) -> None:
    tokens = [pending.token("calls", "t", 0) for pending in (one, other)]
    same = (one.incarnation, one.first, one.last, one.salt) == (other.incarnation, other.first, other.last, other.salt)
    assert (tokens[0] == tokens[1]) is same


def test_a_state_written_before_there_were_parameters_is_read() -> None:
    assert parse(5, "c.t:9:5:") == Pending("c.t", 5, 9, 5)
    assert parse(5, "c.t:9:5:7") == Pending("c.t", 5, 9, 5, "7")


def test_a_parameter_stays_with_its_range_and_out_of_its_token() -> None:
    pending = Pending("c.t", 5, 9, NOW, parameter="share=0.05")
    assert pending.salted(NOW).parameter == "share=0.05"
    assert pending.token("calls", "t", 0) == Pending("c.t", 5, 9, NOW).token("calls", "t", 0)


def test_the_token_names_incarnation_processor_topic_partition_and_range() -> None:
    assert Pending("c.t", 5, 9, NOW).token("calls", "llmtower.calls", 3) == "c.t:calls:llmtower.calls:3:5-9"
    assert Pending("c.t", 5, 9, NOW, "17").token("calls", "llmtower.calls", 3) == "c.t:calls:llmtower.calls:3:5-9:17"


@pytest.mark.parametrize("metadata", ["", "x", "a:1:2", ":9:5:", "c.t:x:5:", "c.t:9::", "c.t:9:5:later", "c.t:3:5:", "c.t:9:5:1:2"])
def test_metadata_of_somebody_else_says_nothing(metadata: str) -> None:
    found = parse(5, metadata)
    assert found is None or found.incarnation == "c.t:9"


@pytest.mark.parametrize("salt", ["", str(NOW)])
def test_age_counts_from_the_salt_where_there_is_one(salt: str) -> None:
    pending = Pending("i", 0, 5, NOW if not salt else 1, salt)
    assert not pending.old(NOW + OLD_MS)
    assert pending.old(NOW + OLD_MS + 1)
    assert not pending.stale(NOW + STALE_MS)
    assert pending.stale(NOW + STALE_MS + 1)
    assert pending.old(NOW - OLD_MS - 1)


def test_an_owner_gives_up_a_token_before_others_distrust_it() -> None:
    assert STALE_MS + SETTLE_MS < OLD_MS


def test_nothing_pending_is_never_old() -> None:
    assert not Pending("i", 5, 4, 0).old(NOW)
    assert not Pending("i", 5, 4, 0).stale(NOW)


def test_a_salt_keeps_the_functions_clock_and_waits_for_inserts_under_way() -> None:
    salted = Pending("i", 0, 5, NOW).salted(NOW + OLD_MS)
    assert (salted.time_ms, salted.by_rows, salted.runs_at_ms) == (NOW, True, NOW + OLD_MS + SETTLE_MS)
    assert Pending("i", 0, 5, NOW).runs_at_ms == 0
