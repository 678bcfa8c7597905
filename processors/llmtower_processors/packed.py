"""Columns that are bytes already, the block made of them, and the way back to their values."""

import sys
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from llmtower_processors.native import CODES, SIMPLE, WRAPPED, sized, varint, writer


class Packed(Sequence[Any]):
    """A column that is bytes already; its values are read back from them only where somebody asks."""

    def __init__(self, type_: str, rows: int, parts: Iterable[bytes], read: Callable[[bytes], Any] = bytes.decode) -> None:
        """Take the bytes and how the values of a String are read: as text, or `bytes` for those that need not be text."""
        self.type = type_
        self._read = read
        self.parts = tuple(parts)
        self._rows = rows

    @cached_property
    def _values(self) -> Sequence[Any]:
        reading = _Reading(b"".join(self.parts), self._read)
        reading.at = 8 * self.type.count("LowCardinality")
        return reading.column(self.type, self._rows)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def __repr__(self) -> str:
        return repr(list(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Give a column of fixed width as it is, without a Python number for each row."""
        simple = SIMPLE.fullmatch(self.type)
        if simple is None or simple[1] not in CODES:
            return np.array(list(self), dtype=dtype)
        return np.frombuffer(b"".join(self.parts), np.dtype(CODES[simple[1]]).newbyteorder("<")).astype(dtype)


def pack(type_: str, values: Sequence[Any]) -> Packed:
    """Pack a whole column. Raises UnpackableError, or what a value that does not fit raises."""
    if isinstance(values, Packed):
        return values
    made = writer(type_)
    made.add(values)
    return Packed(type_, len(values), [made.prefix(), *made.body()])


def block_bytes(columns: Mapping[str, Packed]) -> bytes:
    """Give one block of the Native format."""
    parts = [varint(len(columns)), varint(len(next(iter(columns.values()))))]
    for name, column in columns.items():
        parts += [sized([name.encode(), column.type.encode()]), *column.parts]
    return b"".join(parts)


class _Reading:
    """A place in the bytes of one column."""

    def __init__(self, data: bytes, read: Callable[[bytes], Any]) -> None:
        self.data = data
        self._read = read
        self.at = 0

    def column(self, type_: str, rows: int) -> list[Any]:
        """Read values of a type from here on."""
        wrapped = WRAPPED.fullmatch(type_)
        if wrapped is None:
            return self._simple(type_, rows)
        if wrapped[1] == "Nullable":
            nulls = self._take(rows)
            return [None if null else value for null, value in zip(nulls, self.column(wrapped[2], rows), strict=True)]
        if wrapped[1] == "LowCardinality":
            return self._low_cardinality(rows)
        ends = [0, *self._numbers("Q", rows)]
        if wrapped[1] == "Array":
            values = self.column(wrapped[2], ends[-1])
            return [values[start:end] for start, end in pairwise(ends)]
        key, _, value = wrapped[2].partition(", ")
        pairs = list(zip(self.column(key, ends[-1]), self.column(value, ends[-1]), strict=True))
        return [dict(pairs[start:end]) for start, end in pairwise(ends)]

    def _simple(self, type_: str, rows: int) -> list[Any]:
        if type_ == "String":
            return [self._read(self._take(self._varint())) for _ in range(rows)]
        if type_ == "UUID":
            words = self._numbers("Q", 2 * rows)
            return [str(uuid.UUID(int=high << 64 | low)) for high, low in zip(words[::2], words[1::2], strict=True)]
        simple = SIMPLE.fullmatch(type_)
        numbers = self._numbers(CODES[simple[1]] if simple else "", rows)
        return list(map(bool, numbers)) if type_ == "Bool" else numbers

    def _low_cardinality(self, rows: int) -> list[Any]:
        if not rows:
            return []
        wide, count = (self._numbers("Q", 1)[0] for _ in range(2))
        values = self._simple("String", count)
        self._numbers("Q", 1)
        return [values[key] for key in self._numbers("BHI"[wide & 0xFF], rows)]

    def _numbers(self, code: str, count: int) -> list[Any]:
        numbers = array(code)
        numbers.frombytes(self._take(count * numbers.itemsize))
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tolist()

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def _take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]
