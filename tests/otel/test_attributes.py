"""Attributes are read from their bytes: the short way reads what the official class reads, and one bad attribute costs its span alone."""

import math
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from llmtower_processors.otel import json_form
from llmtower_processors.otel.model import MALFORMED, MALFORMED_RESOURCE, LogRecord, Rejected, Span
from llmtower_processors.otel.protobuf import MOST_KNOWN, Known, official, plain, read_logs, read_spans
from tests.otel.exports import as_json, logs, pairs, span, traces

WHOLE = st.integers(-(1 << 63), (1 << 63) - 1)
VALUES = st.one_of(st.text(max_size=400), WHOLE, st.integers(0, 300), st.booleans(), st.floats(), st.none(), st.binary(max_size=20))
NAMES = st.one_of(st.sampled_from(["gen_ai.system", "gen_ai.prompt.0.content", ""]), st.text(max_size=150))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.recursive(
    st.one_of(st.text(max_size=40), WHOLE, st.booleans(), FINITE, st.none(), st.binary(max_size=9)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(NAMES.filter(bool), ANY, max_size=5)
"""No empty names: JSON leaves them out, and a pair without a name is malformed."""
SIMPLE = ("", "text", "ä" * 100, "x" * 127, "x" * 128, "x" * 20_000, 0, 1, 127, 128, 1 << 62, True, False, 0.5, -0.0, math.inf)


def same(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    """Say whether two attributes are equal, in type as well, as written (-0.0 is not 0.0, nan is nan)."""
    return (type(one[1]), repr(one)) == (type(other[1]), repr(other))


@given(NAMES, VALUES)
def test_an_attribute_read_the_short_way_is_what_the_official_class_reads(name: str, value: Any) -> None:
    raw = pairs({name: value})[0].SerializeToString()
    read = plain(raw)
    assert read is None or same(read, official(raw))


@settings(max_examples=40)
@given(st.lists(st.tuples(ATTRIBUTES, ATTRIBUTES, st.text(max_size=9)), max_size=3), ATTRIBUTES)
def test_any_export_says_the_same_in_protobuf_as_in_json(
    spans: list[tuple[dict[str, Any], dict[str, Any], str]], resource: dict[str, Any]
) -> None:
    described = [
        span(attributes, span_id=f"{number + 1:016x}", name=name, events=[(name, number, of_event)])
        for number, (attributes, of_event, name) in enumerate(spans)
    ]
    request = traces(described, resource)
    found = list(read_spans(request.SerializeToString()))
    assert found == list(json_form.read_spans(as_json(request)))
    assert all(isinstance(one, Span) for one in found)
    assert len(found) == len(spans)


@pytest.mark.parametrize("value", SIMPLE)
def test_what_exporters_send_is_read_the_short_way(value: Any) -> None:
    raw = pairs({"gen_ai.request.model": value})[0].SerializeToString()
    read = plain(raw)
    assert (read is None) == (value == SIMPLE[5])  # beyond 16 kB the official class takes no longer
    assert same(read or official(raw), ("gen_ai.request.model", value))


@given(NAMES, VALUES, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=3), st.integers(0, 3))
@example("k", "v", [(1, 0x80)], 0)
@example("k", "v", [(5, 0xFF)], 0)
@example("k", 1, [(6, 0x80)], 0)
@example("k", True, [(6, 2)], 0)
def test_no_bytes_are_read_otherwise_than_by_the_official_class(name: str, value: Any, changes: list[tuple[int, int]], cut: int) -> None:
    raw = bytearray(pairs({name: value})[0].SerializeToString())
    for place, byte in changes:
        if place < len(raw):
            raw[place] = byte
    given_bytes = bytes(raw[: len(raw) - cut])
    read = plain(given_bytes)
    if read is not None:
        assert same(read, official(given_bytes))


def test_numbers_written_longer_than_needed_are_read_as_they_are() -> None:
    raw = b"\x0a\x01k\x12\x03\x18\x85\x00"
    assert plain(raw) == official(raw) == ("k", 5)


def test_a_value_in_two_parts_is_left_to_the_official_class() -> None:
    raw = b"\x0a\x01k\x12\x03\x0a\x01a\x12\x03\x0a\x01b"
    assert plain(raw) is None
    assert official(raw) == ("k", "b")


def test_lists_of_one_span_are_not_those_of_another() -> None:
    one, other = read_spans(traces([span({"a": [1]}, span_id="1" * 16), span({"a": [1]}, span_id="2" * 16)]).SerializeToString())
    assert isinstance(one, Span)
    assert isinstance(other, Span)
    one.attributes["a"].append(2)
    assert other.attributes["a"] == [1]


def _with_bad_text(body: bytes) -> bytes:
    """Break the UTF-8 of one text, marked by `bad!`."""
    assert body.count(b"bad!") == 1
    return body.replace(b"bad!", b"bad\xff")


def test_a_malformed_attribute_costs_its_span_and_no_other() -> None:
    given_spans = [span({"a": text}, span_id=digit * 16) for text, digit in (("good", "1"), ("bad!", "2"), ("good", "3"))]
    found = list(read_spans(_with_bad_text(traces(given_spans).SerializeToString())))
    assert [type(one) for one in found] == [Span, Rejected, Span]
    assert found[1] == MALFORMED
    records = [{"name": "n", "attributes": {"a": text}} for text in ("good", "bad!")]
    read = list(read_logs(_with_bad_text(logs(records).SerializeToString())))
    assert [type(one) for one in read] == [LogRecord, Rejected]
    assert read[1] == MALFORMED


def test_a_malformed_name_costs_its_span_and_no_other() -> None:
    given_spans = [span(name=name, span_id=digit * 16) for name, digit in (("good", "1"), ("bad!", "2"), ("good", "3"))]
    found = list(read_spans(_with_bad_text(traces(given_spans).SerializeToString())))
    assert [type(one) for one in found] == [Span, Rejected, Span]
    records = [{"name": name} for name in ("good", "bad!")]
    assert [type(one) for one in read_logs(_with_bad_text(logs(records).SerializeToString()))] == [LogRecord, Rejected]


def test_a_malformed_resource_costs_its_own_records_alone() -> None:
    request = traces([span(span_id="1" * 16), span(span_id="2" * 16)], {"service.name": "bad!"})
    request.MergeFrom(traces([span(span_id="3" * 16)]))
    found = list(read_spans(_with_bad_text(request.SerializeToString())))
    assert found[:2] == [MALFORMED_RESOURCE, MALFORMED_RESOURCE]
    assert isinstance(found[2], Span)
    in_json = as_json(request).replace(b'{"stringValue": "bad!"}', b'{"intValue": "bad!"}')
    assert list(json_form.read_spans(in_json)) == found


def test_the_official_class_refuses_what_is_no_attribute() -> None:
    assert official(KeyValue(key="k").SerializeToString()) == ("k", None)
    with pytest.raises(DecodeError):
        official(b"\x0a\x05k")


def test_only_so_much_is_remembered_and_nothing_long_or_changeable() -> None:
    known = Known()
    for value in ("x" * 200, [1], {"a": 1}):
        raw = pairs({"k": value})[0].SerializeToString()
        assert known[raw] == ("k", value)
    assert not known
    for number in range(MOST_KNOWN + 1):
        raw = pairs({"k": number})[0].SerializeToString()
        assert known[raw] == known[raw] == ("k", number)
        assert raw in known
    assert len(known) == 1
