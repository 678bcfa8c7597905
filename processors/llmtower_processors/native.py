"""Columns as bytes of ClickHouse's Native format, written portion by portion while the values are still in the processor's cache.

Reference: ClickHouse, "Native format" and `SerializationLowCardinality.cpp`; the bytes are those of clickhouse-connect (tests compare).
"""

import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, repeat
from typing import Any, Final, Protocol

import numpy as np

_NUMBERS: Final = ("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float32", "Float64")
CODES: Final[Mapping[str, str]] = {**dict(zip(_NUMBERS, "bBhHiIqQfd", strict=True)), "Bool": "B", "DateTime": "I", "DateTime64": "q"}
"""Types of a fixed width, as codes of `array`; times are given as ticks."""
SIMPLE: Final = re.compile(r"(\w+)(?:\((?:\d|, '\w+'|'\w+')*\))?")
WRAPPED: Final = re.compile(r"(Nullable|LowCardinality|Array|Map)\((.*)\)")
_SHORT: Final = 128
"""Lengths below this are one byte, also as UTF-8."""
_LENGTH_BYTES: Final = [chr(length) for length in range(_SHORT)]
_DICTIONARY: Final = 1 << 9 | 1 << 10
"""LowCardinality: keys of its own, and a new dictionary in each block."""


class UnpackableError(Exception):
    """A column has a type, or a value, that is not written here."""


class Constant(Sequence[Any]):
    """One value so many times."""

    def __init__(self, value: Any, rows: int) -> None:
        self.value = value
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return repeat(self.value, self._rows)

    def __getitem__(self, index: Any) -> Any:
        return [self.value] * len(range(self._rows)[index]) if isinstance(index, slice) else self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def __repr__(self) -> str:
        return repr(list(self))


def _same(values: Sequence[Any]) -> bool:
    """Whether all values are one; rarely looks further than the last."""
    if isinstance(values, Constant):
        return True
    first = values[0]
    return bool(values[-1] == first and values.count(first) == len(values))


class Writer(Protocol):
    """Takes the values of one column, portion by portion."""

    def add(self, values: Sequence[Any]) -> None:
        """Take a portion. Raises TypeError, ValueError or OverflowError for a value that does not fit."""

    def prefix(self) -> bytes:
        """Give what stands before the data of the whole column."""

    def body(self) -> Iterable[bytes]:
        """Give the data."""


class _Fixed:
    def __init__(self, code: str) -> None:
        self._code = code
        self._parts: list[bytes] = []

    def add(self, values: Sequence[Any]) -> None:
        if isinstance(values, Constant):
            self._parts.append(_little(array(self._code, [values.value])) * len(values))
        else:
            self._parts.append(_little(array(self._code, values)))

    def prefix(self) -> bytes:
        return b""

    def body(self) -> Iterable[bytes]:
        return self._parts


def _little(numbers: "array[Any]") -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


class _Strings:
    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, values: Sequence[str | bytes]) -> None:
        if not values:
            return
        if isinstance(values, Constant) or (values[0] is values[-1] and _same(values)):
            self._parts.append(sized([_bytes(values[0])]) * len(values))
            return
        self._parts.append(_short_text(values) or sized([_bytes(value) for value in values]))

    def prefix(self) -> bytes:
        return b""

    def body(self) -> Iterable[bytes]:
        return self._parts


def _short_text(values: Sequence[Any]) -> bytes:
    """Give short ASCII texts with their lengths, in one piece; nothing if they are not."""
    lengths = list(map(len, values))
    if max(lengths) >= _SHORT or not isinstance(values[0], str):
        return b""
    text = "".join(chain.from_iterable(zip(map(_LENGTH_BYTES.__getitem__, lengths), values, strict=True)))
    return text.encode() if text.isascii() else b""


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def sized(values: list[bytes]) -> bytes:
    """Give strings, each after its length."""
    return b"".join(chain.from_iterable(zip(map(varint, map(len, values)), values, strict=True)))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _SHORT:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Varints(dict[int, bytes]):
    """The lengths met so far; those of long texts are not kept."""

    def __missing__(self, number: int) -> bytes:
        made = _varint(number)
        if number < 1 << 14:
            self[number] = made
        return made


varint: Final[Callable[[int], bytes]] = _Varints().__getitem__
"""Give a length as Native writes it (LEB128)."""


class _Uuids:
    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, values: Sequence[str]) -> None:
        digits = "".join(values).replace("-", "")
        if len(digits) != 32 * len(values):
            raise ValueError("not UUIDs")
        self._parts.append(np.frombuffer(bytes.fromhex(digits), dtype=">u8").astype("<u8").tobytes())

    def prefix(self) -> bytes:
        return b""

    def body(self) -> Iterable[bytes]:
        return self._parts


class _Nullable:
    def __init__(self, inner: Writer, zero: Any) -> None:
        self._inner = inner
        self._zero = zero
        self._nulls: list[bytes] = []

    def add(self, values: Sequence[Any]) -> None:
        zero = self._zero
        if None not in values:
            self._nulls.append(bytes(len(values)))
            self._inner.add(values)
            return
        self._nulls.append(bytes([value is None for value in values]))
        self._inner.add([zero if value is None else value for value in values])

    def prefix(self) -> bytes:
        return b""

    def body(self) -> Iterable[bytes]:
        return chain(self._nulls, self._inner.body())


class _Numbers(dict[str, int]):
    """Numbers distinct values in the order of their appearance."""

    def __missing__(self, value: str) -> int:
        number = self[value] = len(self)
        return number


class _LowCardinality:
    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._keys: list[list[int]] = []

    def add(self, values: Sequence[str]) -> None:
        if not values:
            return
        if _same(values):
            self._keys.append([self._numbers[values[0]]] * len(values))
        else:
            self._keys.append(list(map(self._numbers.__getitem__, values)))

    def prefix(self) -> bytes:
        return _u64(1)

    def body(self) -> Iterable[bytes]:
        if not self._keys:
            return
        wide = (len(self._numbers).bit_length() - 1) >> 3
        yield _u64(_DICTIONARY | wide) + _u64(len(self._numbers)) + sized([text.encode() for text in self._numbers])
        yield _u64(sum(map(len, self._keys)))
        for keys in self._keys:
            yield _little(array("BHII"[wide], keys))


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


class _Array:
    def __init__(self, *inner: Writer) -> None:
        self._inner = inner
        self._offsets: list[bytes] = []
        self._total = 0

    def add(self, values: Sequence[Any]) -> None:
        ends = list(accumulate(map(len, values), initial=self._total))
        self._total = ends[-1]
        self._offsets.append(_little(array("Q", ends[1:])))
        self._inner[0].add(list(chain.from_iterable(values)))
        if len(self._inner) > 1:
            self._inner[1].add(list(chain.from_iterable(map(dict.values, values))))

    def prefix(self) -> bytes:
        return b"".join(inner.prefix() for inner in self._inner)

    def body(self) -> Iterable[bytes]:
        return chain(self._offsets, *(inner.body() for inner in self._inner))


def writer(type_: str) -> Writer:
    """Give a writer of a column of this type. Raises UnpackableError for a type that is not written here."""
    wrapped = WRAPPED.fullmatch(type_)
    if wrapped is None:
        simple = SIMPLE.fullmatch(type_)
        name = simple[1] if simple else ""
        if name in CODES:
            return _Fixed(CODES[name])
        if type_ in ("String", "UUID"):
            return _Strings() if type_ == "String" else _Uuids()
    elif wrapped[1] == "Array":
        return _Array(writer(wrapped[2]))
    elif wrapped[1] == "Map":
        key, _, value = wrapped[2].partition(", ")
        return _Array(writer(key), writer(value))
    elif wrapped[1] == "Nullable" and not WRAPPED.fullmatch(wrapped[2]):
        return _Nullable(writer(wrapped[2]), zero(wrapped[2]))
    elif wrapped[2] == "String":
        return _LowCardinality()
    raise UnpackableError(type_)


def zero(type_: str) -> Any:
    """Give the default of a type."""
    if type_.startswith("Nullable"):
        return None
    if type_.startswith(("Array", "Map")):
        return [] if type_.startswith("Array") else {}
    if type_.startswith("UUID"):
        return "00000000-0000-0000-0000-000000000000"
    return "" if "String" in type_ else False if type_ == "Bool" else 0
