"""Native blocks re-framed for clients that ask for a protocol revision (clickhouse-go, so Grafana's plugin).

The engine writes revision 0 whatever it is asked for; the later framing differs by two insertions only (FACTS.md). Where a column ends
follows from its type: names of types are read by clickhouse-connect's registry, and so are the columns of the rarer types.
"""

import struct
from typing import Any, Final

from clickhouse_connect.datatypes import registry
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.container import Array, Map, Tuple
from clickhouse_connect.datatypes.special import SimpleAggregateFunction
from clickhouse_connect.datatypes.string import String
from clickhouse_connect.driver.buffer import ResponseBuffer
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.query import QueryContext

from llmtower_processors.engine.errors import NOT_IMPLEMENTED, EngineError

_BLOCK_INFO: Final = bytes([1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0])
_NO_CUSTOM_SERIALIZATION: Final = b"\0"
_U64: Final = struct.Struct("<Q")


def reframe(data: bytes) -> bytes:
    """Give Native bytes of revision 0 the framing of revision 54454 and later; column bytes stay as they are.

    Raises EngineError for a type whose columns cannot be measured (states of aggregate functions).
    """
    pieces: list[bytes] = []
    position = copied = 0
    while position < len(data):
        pieces.append(_BLOCK_INFO)
        columns, position = _varint(data, position)
        rows, position = _varint(data, position)
        for _ in range(columns):
            _, position = _string(data, position)
            type_name, position = _string(data, position)
            pieces += (data[copied:position], _NO_CUSTOM_SERIALIZATION)
            copied = position
            if rows:
                position = _end_of_column(data, position, rows, type_name)
        pieces.append(data[copied:position])
        copied = position
    return b"".join(pieces)


def _end_of_column(data: bytes, position: int, rows: int, type_name: str) -> int:
    try:
        kind = registry.get_from_name(type_name)
        if _is_plain(kind):
            return _end(data, _after_prefix(kind, position), rows, kind)
        source = ResponseBuffer(_OneChunk(data[position:]))  # type: ignore[no-untyped-call]  # not annotated
        context = QueryContext()
        context.start_column("")
        kind.read_column(source, rows, context)
        return position + source.buf_loc
    except (ClickHouseError, NotImplementedError) as error:
        message = "Native at this revision is not possible for one of these column types: finalize aggregate states or ask for JSON."
        raise EngineError(NOT_IMPLEMENTED, message) from error


class _OneChunk:
    """The attributes ResponseBuffer asks of a source; bytes that are in memory already."""

    exception_tag = None
    last_message = None

    def __init__(self, data: bytes) -> None:
        self.gen = iter((data,))

    def close(self) -> None:
        """Nothing to close."""


def _is_plain(kind: Any) -> bool:
    if isinstance(kind, Array | SimpleAggregateFunction):
        return _is_plain(kind.element_type)
    if isinstance(kind, Map):
        return _is_plain(kind.key_type) and _is_plain(kind.value_type)
    if isinstance(kind, Tuple):
        return bool(kind.element_types) and not kind.nullable and all(map(_is_plain, kind.element_types))
    return isinstance(kind, String) if not kind.byte_size else True


def _after_prefix(kind: Any, position: int) -> int:
    if isinstance(kind, Array | SimpleAggregateFunction):
        return _after_prefix(kind.element_type, position)
    for part in _parts(kind):
        position = _after_prefix(part, position)
    return position + 8 if kind.low_card else position


def _parts(kind: Any) -> list[Any]:
    if isinstance(kind, Map):
        return [kind.key_type, kind.value_type]
    return list(kind.element_types) if isinstance(kind, Tuple) else []


def _end(data: bytes, position: int, rows: int, kind: Any) -> int:
    """Where the column of `rows` values that starts at `position` ends."""
    if not rows:
        return position
    if isinstance(kind, SimpleAggregateFunction):
        return _end(data, position, rows, kind.element_type)
    if isinstance(kind, Array | Map):
        position += 8 * rows
        inner = _U64.unpack_from(data, position - 8)[0]
        for part in [kind.element_type] if isinstance(kind, Array) else _parts(kind):
            position = _end(data, position, inner, part)
        return position
    if isinstance(kind, Tuple):
        for part in _parts(kind):
            position = _end(data, position, rows, part)
        return position
    if kind.low_card:
        return _end_of_dictionary(data, position, kind)
    return _end_of_values(data, position + rows if kind.nullable else position, rows, kind)


def _end_of_dictionary(data: bytes, position: int, kind: ClickHouseType) -> int:
    width, keys = struct.unpack_from("<QQ", data, position)
    position = _end_of_values(data, position + 16, keys, kind)
    indexes = _U64.unpack_from(data, position)[0]
    return int(position + 8 + (indexes << (width & 0xFF)))


def _end_of_values(data: bytes, position: int, rows: int, kind: ClickHouseType) -> int:
    if kind.byte_size:
        return position + rows * kind.byte_size
    for _ in range(rows):
        size = data[position]
        position += 1
        if size > 0x7F:
            size, position = _varint(data, position - 1)
        position += size
    return position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _string(data: bytes, position: int) -> tuple[str, int]:
    size, position = _varint(data, position)
    return data[position : position + size].decode("utf-8", "replace"), position + size
