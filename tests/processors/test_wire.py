"""The fast reader agrees with the models: whatever it accepts they accept, with the same values."""

import json
import sys
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors import wire
from llmtower_processors.structs import ID_FIELDS, OBJECT_FIELDS, STRUCTS
from llmtower_schemas.codec import Malformed, decode_line, encode_event
from llmtower_schemas.events import EVENTS, TOKEN_BUCKETS
from llmtower_schemas.examples import EXAMPLES

LINES = {name: encode_event(event) for name, event in EXAMPLES.items()}


def fast(line: bytes) -> Any:
    """The struct that the fast way alone gives, or None."""
    try:
        event = wire._read(line)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return None if wire.doubtful(type(event), [event]) else event


def plain(event: Any) -> Any:
    """A struct's values as JSON, for comparing."""
    values = msgspec.structs.asdict(event)
    return json.loads(msgspec.json.encode({name: value for name, value in values.items() if not is_nothing(value)}))


def is_nothing(value: Any) -> bool:
    return isinstance(value, msgspec.Raw) and bytes(value) in (b"", b"null", b"{}")


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_take_the_fast_way_and_mean_the_same(name: str) -> None:
    quick = fast(LINES[name])
    slow, unknown = wire.read_slowly(LINES[name])
    assert quick is not None
    assert type(quick) is type(slow) is STRUCTS[type(EXAMPLES[name])]
    assert plain(quick) == plain(slow)
    assert unknown == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=20) | st.just("x" * 300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
field_names = st.sampled_from(sorted({name for model in EVENTS.values() for name in model.model_fields}))


@st.composite
def changed_lines(draw: st.DrawFn) -> bytes:
    fields = orjson.loads(LINES[draw(st.sampled_from(sorted(LINES)))])
    for name in draw(st.lists(field_names, max_size=3)):
        fields[name] = draw(json_values)
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=1)):
        del fields[name]
    return json.dumps(fields, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@given(changed_lines())
def test_the_fast_way_accepts_only_what_the_models_accept_and_means_the_same(line: bytes) -> None:
    quick = fast(line)
    if quick is None or not wire._is_utf8(line):
        return
    slow, unknown = wire.read_slowly(line)
    assert not isinstance(slow, Malformed), slow
    assert unknown == ""
    assert plain(quick) == plain(slow)


@pytest.mark.parametrize("kind", STRUCTS.values(), ids=lambda kind: kind.__name__)
def test_fields_that_are_looked_at_afterwards_are_known(kind: type[msgspec.Struct]) -> None:
    model = next(model for model, struct in STRUCTS.items() if struct is kind)
    uuids = {name for name, field in model.model_fields.items() if "[0-9a-f]{12}$" in repr((field.annotation, field.metadata))}
    objects = {name for name, field in model.model_fields.items() if "dict[str, typing.Any]" in str(field.annotation)}
    assert set(ID_FIELDS[kind]) == uuids
    assert set(OBJECT_FIELDS[kind]) == objects


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"duration_us":1250000', b'"duration_us":"1250000"'),
        (b'"duration_us":1250000', b'"duration_us":1250000.0'),
        (b'"duration_us":1250000', b'"duration_us":1250000,"stream":"yes"'),
        (b'"usage_raw":{"prompt_tokens":3048', b'"more":null,"usage_raw":{"prompt_tokens":3048'),
    ],
)
def test_what_only_the_models_can_read_is_read_by_them(old: bytes, new: bytes) -> None:
    (event,), _ = wire.read_record(LINES["openai_chat"].replace(old, new))
    assert event.duration_us == 1_250_000


def test_null_where_the_contract_allows_it() -> None:
    line = LINES["openai_chat"].replace(b'"duration_us"', b'"usage_raw":null,"input":null,"duration_us"')
    slow, _ = wire.read_slowly(line)
    assert isinstance(decode_line(line), type(EXAMPLES["openai_chat"]))
    assert slow.duration_us == 1_250_000


def test_a_bad_line_leaves_its_neighbours_fast_and_whole() -> None:
    events, unknown = wire.read_record(b"\n".join([LINES["request"], b"{", LINES["thumb"][:-1] + b',"colour":1}', LINES["deploy"]]))
    assert [type(event).__name__ for event in events] == ["RequestEvent", "Malformed", "FeedbackEvent", "DeployEvent"]
    assert unknown == {2: '{"colour":1}'}


def test_buckets_of_a_newer_producer_are_kept_beside_those_we_know() -> None:
    line = LINES["openai_chat"].replace(b'"usage":{', b'"usage":{"video_tokens":7,')
    (event,), unknown = wire.read_record(line)
    known, _ = wire.read_slowly(LINES["openai_chat"])
    assert fast(line) is None
    assert unknown == {0: '{"usage":{"video_tokens":7}}'}
    assert [getattr(event.usage, name) for name in TOKEN_BUCKETS] == [getattr(known.usage, name) for name in TOKEN_BUCKETS]


def test_lines_that_would_join_into_an_event_stay_apart() -> None:
    head, _, tail = LINES["deploy"].partition(b',"version"')
    events, _ = wire.read_record(b"\n".join([LINES["deploy"] + b"," + LINES["thumb"], head, b'"version"' + tail]))
    assert [type(event) for event in events] == [Malformed] * 3


_HEAD, _, _TAIL = LINES["deploy"].partition(b",")
_PIECES = (
    LINES["request"],
    LINES["deploy"],
    _HEAD,
    _HEAD + b",",
    _TAIL,
    LINES["deploy"] * 2,
    b"",
    b" ",
    b"{",
    b"}",
    b"{}",
    b'{"a":{}',
    b"\r",
)


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6))
def test_an_envelope_is_read_as_its_lines_are(lines: list[bytes]) -> None:
    value = b"\n".join(lines)
    if not value or value.isspace():
        return
    expected = [wire._read_line(line)[0] for line in wire.split_lines(value)]
    events, _ = wire.read_record(value)
    assert [event.raw if isinstance(event, Malformed) else plain(event) for event in events] == [
        event.raw if isinstance(event, Malformed) else plain(event) for event in expected
    ]


@given(st.lists(st.lists(st.sampled_from(_PIECES), max_size=3).map(b"\n".join) | st.none(), max_size=4))
def test_many_records_are_read_as_each_is(values: list[bytes | None]) -> None:
    expected = [wire.read_record(value)[0] for value in values]
    events, counts, unknown = wire.read_records(values)
    assert counts == [len(each) for each in expected]
    assert len(unknown) == len(events)
    assert [event.raw if isinstance(event, Malformed) else plain(event) for event in events] == [
        event.raw if isinstance(event, Malformed) else plain(event) for each in expected for event in each
    ]


def test_content_that_is_no_utf8_is_found() -> None:
    events, _ = wire.read_record(LINES["openai_streaming"].replace(b"plain text", b"plain \xff text") + b"\n" + LINES["request"])
    assert [type(event).__name__ for event in events] == ["Malformed", "RequestEvent"]


@pytest.mark.parametrize("depth", [100, sys.getrecursionlimit() * 4])
def test_deep_nesting_is_a_row_or_a_dead_letter(depth: int) -> None:
    line = LINES["openai_streaming"].replace(b'"plain text"', b"[" * depth + b"]" * depth)
    (event,), _ = wire.read_record(line)
    assert isinstance(event, Malformed) is (depth > 1_000)
