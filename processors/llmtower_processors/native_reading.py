"""Packed columns back to values: for the rare readers of a block that was made to be sent (replays by rows, tests)."""

import sys
import uuid
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from llmtower_processors.native import CODES, SIMPLE, WRAPPED


def read_column(type_: str, rows: int, data: bytes, read: Callable[[bytes], Any] = bytes.decode) -> Sequence[Any]:
    """Read a column of so many rows; `read` makes a value of each String."""
    reading = _Reading(data, read)
    reading.at = 8 * type_.count("LowCardinality")
    return reading.column(type_, rows)


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
