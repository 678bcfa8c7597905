"""Native re-framing: the columns stay byte for byte, the framing is the later revision's."""

import pytest
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.insert import InsertContext
from clickhouse_connect.driver.transform import NativeTransform
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.engine.errors import EngineError
from llmtower_processors.engine.native import reframe

BLOCK_INFO = bytes.fromhex("010002ffffffff00")


def _native(names: dict[str, str], columns: list[list[object]]) -> bytes:
    context = InsertContext("t", list(names), [get_from_name(kind) for kind in names.values()], columns, column_oriented=True)
    pieces = NativeTransform.build_insert(context)
    return b"".join(bytes(piece) for piece in pieces).split(b"FORMAT Native\n", 1)[1]


def test_two_insertions_and_nothing_else() -> None:
    block = b"\x01\x02\x01a\x05UInt8\x07\x08"
    framed = BLOCK_INFO + b"\x01\x02\x01a\x05UInt8\x00\x07\x08"
    assert reframe(block) == framed
    assert reframe(block * 3) == framed * 3
    assert reframe(b"") == b""
    assert reframe(b"\x01\x00\x01a\x05UInt8") == BLOCK_INFO + b"\x01\x00\x01a\x05UInt8\x00"


CASES = [
    ("Int64", [1, -2, 3]),
    ("String", ["", "x" * 300, "é"]),
    ("Nullable(String)", [None, "x", None]),
    ("LowCardinality(String)", ["a", "b", "a"]),
    ("LowCardinality(Nullable(String))", ["a", None, "a"]),
    ("Array(Int32)", [[], [1], [1, 2, 3]]),
    ("Array(Array(LowCardinality(String)))", [[["a"]], [], [["b", "a"], []]]),
    ("Array(LowCardinality(String))", [[], [], []]),
    ("Map(String, Array(UInt8))", [{}, {"k": [1]}, {"a": [], "b": [2, 3]}]),
    ("Tuple(a String, b Nullable(Int8))", [("x", 1), ("y", None), ("", 0)]),
    ("FixedString(3)", [b"abc", b"def", b"ghi"]),
    ("Decimal(18, 4)", [1, 2, 3]),
    ("Array(Tuple(String, Map(String, UInt8)))", [[("a", {"x": 1})], [], []]),
]


@pytest.mark.parametrize(("kind", "values"), CASES)
def test_columns_are_measured_by_type(kind: str, values: list[object]) -> None:
    """A wrong measure would put the zero byte elsewhere; the column behind it says where it belongs."""
    block = _native({"a": kind, "end": "UInt8"}, [values, [7] * len(values)])
    tail = b"\x03end\x05UInt8"
    name = get_from_name(kind).insert_name.encode()
    head = b"\x01a" + bytes([len(name)]) + name
    assert block.count(tail) == 1
    expected = block.replace(tail, tail + b"\0").replace(head, head + b"\0", 1)
    assert reframe(block) == BLOCK_INFO + expected
    assert reframe(block + block) == (BLOCK_INFO + expected) * 2


@given(st.lists(st.lists(st.text(max_size=200), max_size=4), min_size=1, max_size=20))
def test_any_strings(values: list[list[str]]) -> None:
    block = _native({"a": "Array(String)", "z": "UInt8"}, [list(values), [0] * len(values)])
    assert len(reframe(block)) == len(block) + len(BLOCK_INFO) + 2


def test_states_of_aggregates_are_refused_with_a_remedy() -> None:
    kind = b"AggregateFunction(sum, UInt8)"
    with pytest.raises(EngineError, match="finalize aggregate states"):
        reframe(b"\x01\x01\x01a" + bytes([len(kind)]) + kind + b"\x07")
