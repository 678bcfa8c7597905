"""A corpus of bad input: every line ends as exactly one row or one dead letter, its neighbours stay, and no reason tells of its content."""

import gc
import json
import re
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtower_processors.pricing import PriceBook, book
from llmtower_processors.registry import build_processors
from llmtower_processors.roles import PIPELINE, SCORING
from llmtower_schemas.codec import encode_event
from llmtower_schemas.examples import AT_NS, EXAMPLES
from llmtower_schemas.export import TOPIC_OF
from tests.processors.batches import batch, record
from tests.processors.blocks import encode as encode_block

KNOWN = build_processors(PriceBook())
PROCESSORS = {name: KNOWN[name] for name in PIPELINE}
"""Those that store events; scoring sums them up, and leaves what it cannot read to their dead letters."""
ROW_TABLES = {"calls", "requests", "steps", "feedback", "scores", "late_contents", "deploys", "heartbeats", "dead_letters"}
GOOD = {
    name: [encode_event(event) for event in EXAMPLES.values() if TOPIC_OF[event.type] in processor.topics]
    for name, processor in PROCESSORS.items()
}
REASON = re.compile(r"[a-z0-9_, ]+( at [a-z0-9_.]+)?")
FIELDS = sorted({name for event in EXAMPLES.values() for name in type(event).model_fields})
SECRET = "Zebra-Secret-77"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 1 << 31, 1 << 53, 1 << 63, 1 << 64, 10**30, -(1 << 63), AT_NS, AT_NS + 10**18])
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "\x00", "\x00" * 40, SECRET, "😀" * 256, "😀" * 257, "x" * 5_000, "'; DROP TABLE calls; --", "{{}}", "\\", "\ud800"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just(SECRET), inner, max_size=3),
    max_leaves=8,
)
rubbish = st.one_of(
    st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b" ")),
    st.sampled_from(
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b"1",
            b'"%s"' % SECRET.encode(),
            b'{"type":"%s"}' % SECRET.encode(),
            b'{"type":"response"}',
            b'{"type":"response","app":1}',
            b'{"%s":1}' % SECRET.encode(),
            b"[" * 5_000,
            b'{"type":' * 300,
            b"\xff\xfe",
            b"\x00\x00",
            b'{"type":"request","type":"request"}',
            b"{}\r",
            b"\xef\xbb\xbf{}",
        ]
    ),
)


@st.composite
def damaged(draw: st.DrawFn, processor: str) -> bytes:
    """An example with fields changed, missing, doubled or unknown, or cut somewhere."""
    fields: dict[str, Any] = orjson.loads(draw(st.sampled_from(GOOD[processor])))
    for name in draw(st.lists(st.sampled_from([*FIELDS, SECRET, "usage"]), max_size=3)):
        fields[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=1)):
        del fields[name]
    line = json.dumps(fields, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    how = draw(st.sampled_from(["whole", "whole", "whole", "cut", "doubled", "bytes"]))
    if how == "cut":
        return line[: draw(st.integers(0, len(line)))]
    if how == "doubled":
        return line[:-1] + b',"app":"second","app":"' + draw(st.sampled_from([b"third", b"\xff", b"\\u0000"])) + b'"}'
    return line.replace(b"e", b"\x00", 1) if how == "bytes" else line


def check(name: str, lines: list[bytes]) -> None:
    made = batch(record(b"\n".join(lines), offset=41, topic=PROCESSORS[name].topics[0]), processor=name)
    blocks = {block.table: block for block in PROCESSORS[name].function(made)}
    found = sorted(index for table, block in blocks.items() if table in ROW_TABLES for index in block.columns["event_index"])
    expected = list(range(len(lines))) if any(line.strip() for line in lines) else [0]
    if lines and not lines[-1] and expected != [0]:
        expected.pop()
    assert found == expected
    for block in blocks.values():
        assert len({len(column) for column in block.columns.values()}) == 1
        assert encode_block(block)
    if "dead_letters" in blocks:
        assert list(blocks["dead_letters"].columns["event_index"]) == list(blocks["dead_letter_bytes"].columns["event_index"])
        for reason in blocks["dead_letters"].columns["reason"]:
            assert REASON.fullmatch(reason), reason
            assert SECRET.lower() not in reason.lower()


@pytest.mark.parametrize("name", PROCESSORS)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_every_line_is_one_row_or_one_dead_letter(name: str, data: st.DataObject) -> None:
    good = st.sampled_from(GOOD[name])
    check(name, data.draw(st.lists(good | damaged(name) | rubbish, min_size=1, max_size=8)))


@pytest.mark.parametrize("name", SCORING)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_scoring_takes_anything_and_makes_the_same_rows_again(name: str, data: st.DataObject) -> None:
    good = st.sampled_from(GOOD["calls"])
    lines = data.draw(st.lists(good | damaged("calls") | rubbish, min_size=1, max_size=8))
    made = batch(record(b"\n".join(lines), offset=41, topic=KNOWN[name].topics[0]), processor=name)
    blocks, again = KNOWN[name].function(made), KNOWN[name].function(made)
    assert repr(blocks) == repr(again)
    assert {block.table for block in blocks} <= set(KNOWN[name].tables)
    for block in blocks:
        assert len({len(column) for column in block.columns.values()}) == 1
        assert encode_block(block)


@pytest.mark.parametrize("bad", [b"{", b"", b'{"type":"response"}', b"\xff", b"[" * 3_000, b"\x00"], ids=repr)
@pytest.mark.parametrize("name", PROCESSORS)
def test_good_neighbours_stay_exactly_as_they_were(name: str, bad: bytes) -> None:
    topic, function = PROCESSORS[name].topics[0], PROCESSORS[name].function
    alone = {b.table: b for b in function(batch(record(b"\n".join(GOOD[name]), topic=topic), processor=name))}
    mixed = {b.table: b for b in function(batch(record(b"\n".join([*GOOD[name], bad, b"{"]), topic=topic), processor=name))}
    assert mixed["dead_letters"].rows == 2
    for table, block in alone.items():
        assert repr(dict(mixed[table].columns)) == repr(dict(block.columns))


def test_a_prompt_of_fifty_megabytes_is_stored() -> None:
    line = GOOD["calls"][1].replace(b"Be brief.", b"long " * 10_000_000)
    blocks = {b.table: b for b in PROCESSORS["calls"].function(batch(record(line + b"\n{")))}
    assert len(blocks["contents"].columns["input"][0]) > 50_000_000
    assert blocks["dead_letters"].rows == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": {"input_tokens": -1}},
        {"usage": {"input_tokens": 10**9 + 1}},
        {"usage": {"input_tokens": 1.5}},
        {"tool_fees_nano_usd": 10**15 + 1},
        {"reported_cost_nano_usd": 1 << 62},
        {"embedding": [1e39]},
        {"parent_id": "not-a-uuid-but-thirty-six-characters"},
        {"call_id": "019E70A2-0001-7000-8000-000000000001"},
        {"call_id": "019e70a2-0001-7000-8000-000000000001\n"},
        {"request_model": "m" * 257},
        {"parameters": [1]},
        {"parameters": None},
        {"retrieved": [{"id": 5}]},
        {"status": "fine"},
        {"error_class": "gremlins"},
        {"tags": {"k" * 300: "v"}},
        {"duration_us": -1},
        {"retries": 70_000},
    ],
    ids=str,
)
def test_absurd_values_are_dead_letters(changes: dict[str, Any]) -> None:
    line = json.dumps(orjson.loads(GOOD["calls"][1]) | changes).encode()
    blocks = {b.table: b for b in PROCESSORS["calls"].function(batch(record(line)))}
    assert set(blocks) == {"dead_letters", "dead_letter_bytes"}
    assert str(blocks["dead_letters"].columns["reason"][0]).partition(" at ")[2].startswith(next(iter(changes)))


@pytest.mark.parametrize(
    "model", ["", "\x00", "a\x00b", "💥" * 256, "../../etc/passwd", "${jndi:ldap://x}", "gpt-4o\n", "\u202e"], ids=ascii
)
def test_hostile_model_names_are_stored_as_they_are(model: str) -> None:
    line = json.dumps(orjson.loads(GOOD["calls"][1]) | {"request_model": model, "response_model": model}).encode()
    blocks = {b.table: b for b in PROCESSORS["calls"].function(batch(record(line)))}
    assert blocks["calls"].columns["request_model"] == [model]
    assert encode_block(blocks["calls"])


def changed(old: bytes, new: bytes) -> bytes:
    return GOOD["calls"][1].replace(old, new, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b'{"type":"response",', "json_invalid", id="broken JSON"),
        pytest.param(changed(b'"duration_us":', b'"duration_us":"x","was":'), "int_parsing at duration_us", id="wrong type"),
        pytest.param(changed(b'"app":', b'"was":'), "missing at app", id="missing field"),
        pytest.param(changed(b"Be brief.", b"a\xffb"), "json_invalid", id="invalid UTF-8"),
        pytest.param(changed(b"Be brief.", b"a\x00b"), "json_invalid", id="raw NUL byte"),
        pytest.param(changed(b"Be brief.", b"a\\u0000b"), "", id="escaped NUL"),
        pytest.param(changed(b'"type":"response"', b'"type":"thought"'), "union_tag_invalid", id="unknown event type"),
        pytest.param(changed(b'"Be brief."', b"[" * 5_000 + b"]" * 5_000), "json_invalid", id="deep nesting"),
        pytest.param(GOOD["calls"][1][:-1] + b',"app":"second"}', "", id="duplicate key"),
        pytest.param(GOOD["calls"][1][:-1] + b',"schema":99,"new":{"a":[1]}}', "", id="newer version"),
    ],
)
def test_each_kind_of_bad_line_is_a_row_or_a_dead_letter_with_its_reason(line: bytes, reason: str) -> None:
    blocks = {block.table: block for block in PROCESSORS["calls"].function(batch(record(line)))}
    assert ("calls" in blocks) is (not reason)
    assert list(blocks["dead_letters"].columns["reason"]) == [reason] if reason else "dead_letters" not in blocks


def test_an_envelope_of_an_unknown_schema_version_is_read_line_by_line() -> None:
    made = record(GOOD["calls"][1] + b'\n{"type":"thought"}')
    headers = tuple((name, b"99" if name == "schema" else value) for name, value in made.headers)
    blocks = {block.table: block for block in PROCESSORS["calls"].function(batch(made._replace(headers=headers)))}
    assert (blocks["calls"].rows, blocks["dead_letters"].rows) == (1, 1)


def test_names_without_end_do_not_grow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With little remembered of names: a thousand of them then show what a million would."""
    monkeypatch.setattr(book, "CACHED_NAMES", 100)
    function = build_processors(PriceBook())["calls"].function

    def held_after(first: int, count: int) -> int:
        for start in range(first, first + count, 500):
            lines = [changed(b'"request_model":"', b'"request_model":"%d-' % number) for number in range(start, start + 500)]
            function(batch(record(b"\n".join(lines))))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    held_after(0, 1_000)
    tracemalloc.start()
    try:
        before = held_after(1_000, 500)
        assert held_after(1_500, 2_000) - before < 50_000
    finally:
        tracemalloc.stop()
