"""The faster writers write what clickhouse-connect's own do, and still stand in their place."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.datatypes.special import UUID
from clickhouse_connect.driver.insert import InsertContext
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors import native_columns


@pytest.fixture(autouse=True)
def own_writers_afterwards() -> Iterator[None]:
    yield
    native_columns.uninstall()


def write(name: str, column: list[Any]) -> bytes:
    dest, of = bytearray(), get_from_name(name)
    of.write_column(column, dest, InsertContext("t", ["x"], [of]))
    return bytes(dest)


def both(name: str, column: list[Any]) -> tuple[bytes, bytes]:
    native_columns.uninstall()
    plain = write(name, column)
    native_columns.install()
    return plain, write(name, column)


texts = st.text(max_size=5)


@given(st.lists(texts, min_size=1, max_size=400))
def test_low_cardinality(column: list[str]) -> None:
    plain, fast = both("LowCardinality(String)", column)
    assert plain == fast


@given(st.lists(st.none() | texts, min_size=1, max_size=50))
def test_nullable_low_cardinality(column: list[str | None]) -> None:
    plain, fast = both("LowCardinality(Nullable(String))", column)
    assert plain == fast


@given(st.lists(st.dictionaries(texts, texts, max_size=4), min_size=1, max_size=50))
def test_within_maps(column: list[dict[str, str]]) -> None:
    plain, fast = both("Map(LowCardinality(String), String)", column)
    assert plain == fast


@given(st.lists(st.lists(texts, max_size=4), min_size=1, max_size=50))
def test_within_arrays(column: list[list[str]]) -> None:
    plain, fast = both("Array(LowCardinality(String))", column)
    assert plain == fast


@given(st.lists(st.uuids(), min_size=1, max_size=50))
def test_uuids(column: list[uuid.UUID]) -> None:
    plain, fast = both("UUID", [str(value) for value in column])
    assert plain == fast
    assert both("UUID", list(column)) == (plain, plain)


@given(st.lists(st.none() | st.uuids().map(str), min_size=1, max_size=50))
def test_nullable_uuids(column: list[str | None]) -> None:
    plain, fast = both("Nullable(UUID)", column)
    assert plain == fast


def test_uuids_without_dashes_and_empty_ones() -> None:
    assert len(set(both("UUID", ["0" * 31 + "1", "", "00000000-0000-0000-0000-000000000001"]))) == 1


def test_the_writers_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when clickhouse-connect no longer calls what is replaced."""

    def refuse(*_: Any) -> None:
        raise LookupError

    for owner, method, name in ((ClickHouseType, "_build_lc_dictionary", "LowCardinality(String)"), (UUID, "_write_column_binary", "UUID")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, method, refuse)
            with pytest.raises(LookupError):
                write(name, ["00000000-0000-0000-0000-000000000001"])
