"""Packed columns are, byte for byte, what clickhouse-connect writes, however they are cut into portions; and read back as they were."""

from typing import Any

import numpy as np
import pytest
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.insert import InsertContext
from clickhouse_connect.driver.transform import NativeTransform
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtower_processors.columns import blocks
from llmtower_processors.native import Constant, UnpackableError, writer
from llmtower_processors.packed import Packed, block_bytes, pack
from llmtower_processors.runtime.work import BlockError

ID = "0192f0c1-2b3c-7def-8123-456789abcdef"
texts = st.text(max_size=5) | st.text(max_size=300) | st.sampled_from(["a", "b", ""])
words = st.text(max_size=4)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "String": texts,
    "LowCardinality(String)": words | st.integers(0, 999).map(str),
    "UUID": st.uuids().map(str),
    "Nullable(UUID)": st.none() | st.uuids().map(str),
    "Bool": st.booleans(),
    "DateTime('UTC')": st.integers(0, 2**32 - 1),
    "DateTime64(6, 'UTC')": st.integers(-(2**62), 2**62),
    "DateTime64(3)": st.integers(-(2**62), 2**62),
    "Array(Float32)": st.lists(st.floats(width=32, allow_nan=False), max_size=3),
    "Array(LowCardinality(String))": st.lists(words, max_size=3),
    "Array(String)": st.lists(words, max_size=3),
    "Map(LowCardinality(String), String)": st.dictionaries(words, texts, max_size=3),
    "Map(LowCardinality(String), UInt64)": st.dictionaries(words, st.integers(0, 2**64 - 1), max_size=3),
    "Nullable(Float64)": st.none() | st.floats(allow_nan=False),
    **{f"{sign}Int{bits}": st.integers(0, 2 ** (bits - 1) - 1) for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"Nullable({sign}Int{bits})": st.none() | st.integers(0, 2 ** (bits - 1) - 1) for sign in ("", "U") for bits in (8, 16, 32, 64)},
}


def theirs(type_: str, values: list[Any]) -> bytes:
    context = InsertContext("t", ["x"], [get_from_name(type_)], [values], column_oriented=True)
    return b"".join(NativeTransform.build_insert(context)).partition(b"FORMAT Native\n")[2]


def in_portions(type_: str, portions: list[list[Any]]) -> Packed:
    made = writer(type_)
    for portion in portions:
        made.add(portion)
    return Packed(type_, sum(map(len, portions)), [made.prefix(), *made.body()])


@pytest.mark.parametrize("type_", VALUES)
def test_bytes_and_values(type_: str) -> None:
    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.lists(VALUES[type_], min_size=1, max_size=20), min_size=1, max_size=4))
    def check(portions: list[list[Any]]) -> None:
        whole = [value for portion in portions for value in portion]
        packed = in_portions(type_, portions)
        assert block_bytes({"x": packed}) == theirs(type_, whole)
        assert packed == whole
        assert packed == pack(type_, whole)

    check()


@pytest.mark.parametrize("type_", [type_ for type_ in VALUES if "Array" not in type_ and "Map" not in type_])
@pytest.mark.parametrize("count", [1, 3])
def test_constants(type_: str, count: int) -> None:
    @settings(deadline=None, max_examples=10)
    @given(VALUES[type_], VALUES[type_])
    def check(first: Any, second: Any) -> None:
        made = writer(type_)
        made.add(Constant(first, count))
        made.add([second])
        assert Packed(type_, count + 1, [made.prefix(), *made.body()]) == pack(type_, [first] * count + [second])

    check()


@pytest.mark.parametrize("distinct", [1, 255, 256, 257, 65_536, 65_537])
def test_dictionaries_of_every_width(distinct: int) -> None:
    values = [str(number) for number in range(distinct)]
    assert block_bytes({"x": pack("LowCardinality(String)", values)}) == theirs("LowCardinality(String)", values)
    assert pack("LowCardinality(String)", values) == values


@pytest.mark.parametrize("length", [127, 128, 16_383, 16_384, 100_000])
def test_lengths(length: int) -> None:
    values = ["x" * length, "é" * length, ""]
    assert block_bytes({"x": pack("String", values)}) == theirs("String", values)
    assert pack("String", [value.encode() for value in values]) == values


def test_numbers_without_python_objects() -> None:
    assert np.asarray(pack("DateTime64(6, 'UTC')", [1, 2]), dtype=np.int64).tolist() == [1, 2]
    assert np.asarray(pack("Nullable(UInt8)", [1, 2]), dtype=np.int64).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("type_", "value"), [("UInt8", 256), ("UInt8", -1), ("Int64", 2**63), ("Int64", None), ("UUID", "1"), ("String", 1), ("Int64", "1")]
)
def test_what_does_not_fit_is_refused(type_: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError, AttributeError)):
        pack(type_, [value])


@pytest.mark.parametrize("type_", ["Decimal(9, 2)", "Enum8('a' = 1)", "LowCardinality(Nullable(String))", "Nullable(Array(String))"])
def test_types_that_are_not_written(type_: str) -> None:
    with pytest.raises(UnpackableError):
        writer(type_)


def test_a_column_that_begins_late_has_its_default_before() -> None:
    (block,) = blocks([("requests", {"call_id": [ID] * 2, "route": ["", ""]}), ("requests", {"call_id": [ID], "route": ["/a"]})])
    assert block.columns == {"call_id": [ID] * 3, "route": ["", "", "/a"]}


def test_a_value_that_does_not_fit_is_named_by_table_and_column_only() -> None:
    with pytest.raises(BlockError, match=r"^table calls, column http_status: .* Nullable\(UInt16\) \(OverflowError\)$"):
        blocks([("calls", {"http_status": [70_000]})])
