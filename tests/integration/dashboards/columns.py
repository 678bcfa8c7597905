"""Tables by columns: numpy for what is counted, numbered values for the rest. What the oracle computes over, and what is stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, overload
from uuid import UUID

import numpy as np

Row = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]
"""Masked (`numpy.ma`) where a value may be unknown."""
Pick = slice | Array
"""Which rows: a slice, numbers in any order."""
Key = tuple[Any, ...]


class Words:
    """A column of anything but numbers: the number of each row's value, and the values (which may be spelled out of their numbers)."""

    def __init__(self, numbers: Array, names: Sequence[Any]) -> None:
        self.numbers = numbers
        self.names = names

    @classmethod
    def of(cls, values: Iterable[Any]) -> "Words":
        """Number values in the order of their appearance; they need not be hashable."""
        names: dict[str, Any] = {}
        places: dict[str, int] = {}
        numbers = []
        for value in values:
            names.setdefault(repr(value), value)
            numbers.append(places.setdefault(repr(value), len(places)))
        return cls(np.array(numbers, dtype=np.int32), tuple(names.values()))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, pick: Pick) -> "Words":
        return Words(self.numbers[pick], self.names)

    def __eq__(self, value: object) -> Array:  # type: ignore[override]  # as numpy's: one answer a row
        return self.isin((value,))

    def __ne__(self, value: object) -> Array:  # type: ignore[override]
        return ~self.isin((value,))

    __hash__ = None  # type: ignore[assignment]

    def isin(self, values: Iterable[object]) -> Array:
        """Whether each row has one of these."""
        known = [number for value in values if (number := _place(self.names, value)) is not None]
        return np.isin(self.numbers, known) if len(known) != 1 else np.asarray(self.numbers == known[0])

    def read(self, of: Callable[[Any], Any]) -> "Words":
        """Something of each value."""
        found = Words.of(of(name) for name in self.names)
        return Words(found.numbers[self.numbers], found.names)

    def plain(self) -> list[Any]:
        """The values."""
        if self.numbers.ndim > 1:
            flat = Words(self.numbers.reshape(-1), self.names).plain()
            wide = self.numbers.shape[1]
            return [flat[start : start + wide] for start in range(0, len(flat), wide)]
        return [self.names[number] for number in self.numbers.tolist()]


def _place(names: Sequence[Any], value: object) -> int | None:
    try:
        return names.index(value)
    except ValueError:
        return None


@dataclass(frozen=True)
class Spelled(Sequence[Any]):
    """Values made of their numbers: a prefix and the number, a UUID (`kind` UUID) or its text, a moment of so many seconds."""

    kind: str

    @overload
    def __getitem__(self, number: int) -> Any: ...
    @overload
    def __getitem__(self, number: slice) -> Any: ...
    def __getitem__(self, number: int | slice) -> Any:
        assert isinstance(number, int)
        if self.kind == "uuid":
            return UUID(int=number)
        if self.kind == "call":
            return str(UUID(int=number)) if number < ANSWER else f"answer{number - ANSWER}"
        return datetime.fromtimestamp(number, UTC) if self.kind == "moment" else f"{self.kind}{number}"

    def __len__(self) -> int:
        return 1 << 62

    def index(self, value: object, start: int = 0, stop: int = 0) -> int:
        """The number of a value. Raises ValueError where it is none."""
        if isinstance(value, UUID):
            return value.int
        text = str(value)
        if self.kind == "call":
            return ANSWER + int(text.removeprefix("answer")) if text.startswith("answer") else UUID(text).int
        return int(text.removeprefix(self.kind))


ANSWER: Final = 1 << 40
"""From here on a number of `Spelled("call")` is the provider's id of the answer."""
UUIDS: Final = Spelled("uuid")
TARGETS: Final = Spelled("call")
MOMENTS: Final = Spelled("moment")
SPELLED: Final = {"target_id": TARGETS, "response_id": TARGETS}
Column = Array | Words


@dataclass(frozen=True)
class Bucket:
    """A key of groups: the start of the bucket of so many seconds that a moment (in units of so many microseconds) lies in."""

    column: str
    seconds: int
    unit: int = 1


By = str | Bucket | Column


def known(column: Column) -> Array:
    """Whether each row has a value."""
    return np.ones(len(column), dtype=bool) if isinstance(column, Words) else ~np.ma.getmaskarray(column)


def total(column: Column) -> Any:
    """The exact sum of what is known: of integers as Python's, which do not overflow."""
    assert not isinstance(column, Words)
    kept = column.compressed() if isinstance(column, np.ma.MaskedArray) else column
    if kept.dtype.kind == "f":
        return float(kept.sum())
    assert not len(kept) or float(np.abs(kept).max()) * len(kept) < 2**63, "a sum would overflow"
    return int(kept.sum(dtype=np.int64))


class Table:
    """Columns of one length. What is picked out of a table takes a column along when it is first asked for."""

    def __init__(self, columns: Mapping[str, Column], source: "Table | None" = None, pick: Pick | None = None) -> None:
        self._columns = dict(columns)
        self._source = source
        self._pick = pick
        self._orders: dict[tuple[By, ...], tuple[Array, Array, list[Key]]] = {}
        if isinstance(pick, slice):
            self._length = len(range(len(source or ()))[pick])
        else:
            self._length = len(next(iter(self._columns.values()), ()) if pick is None else pick)

    @classmethod
    def of(cls, rows: Iterable[Row], *, wide: Sequence[str] = ()) -> "Table":
        """Columns of rows that have the same keys; `wide` ones hold lists, as long in each row."""
        given = list(rows)
        columns: dict[str, Column] = {}
        for name in given[0] if given else ():
            values = [row[name] for row in given]
            columns[name] = _wide(values) if name in wide else _column(values, SPELLED.get(name))
        return cls(columns)

    def __len__(self) -> int:
        return self._length

    def __contains__(self, name: str) -> bool:
        return name in self._columns or (self._source is not None and name in self._source)

    def names(self) -> list[str]:
        """Its columns."""
        return list(dict.fromkeys([*(self._source.names() if self._source is not None else ()), *self._columns]))

    def __getitem__(self, name: str) -> Any:
        found = self._columns.get(name)
        if found is None:
            assert self._source is not None, f"no column {name}"
            found = self._columns[name] = self._source[name][self._pick]
        return found

    def where(self, keep: Array) -> "Table":
        """The rows that are to be kept."""
        kept = np.ma.filled(keep, fill_value=False)
        return self if bool(kept.all()) else self.take(np.flatnonzero(kept))

    def take(self, pick: Pick) -> "Table":
        """These rows, in this order."""
        return Table({}, self, pick)

    def with_columns(self, **columns: Column) -> "Table":
        """More columns, or others in their place."""
        return Table(columns, self, slice(None))

    def first(self, name: str) -> Any:
        """The first row's value."""
        return plain(self[name][:1])[0]

    def __iter__(self) -> Iterator[Row]:
        names = self.names()
        return (dict(zip(names, row, strict=True)) for row in zip(*(plain(self[name]) for name in names), strict=True))

    def groups(self, by: Sequence[By]) -> Iterator[tuple[Key, "Table"]]:
        """The rows of each group, in their order, and what they have in common."""
        if not len(self):
            return
        order, starts, keys = self._ordered(tuple(by))
        ordered = self.take(order)
        for key, start, end in zip(keys, starts, [*starts[1:], len(self)], strict=True):
            yield key, ordered.take(slice(int(start), int(end)))

    def _ordered(self, by: tuple[By, ...]) -> tuple[Array, Array, list[Key]]:
        cached = all(isinstance(one, (str, Bucket)) for one in by)
        if cached and by in self._orders:
            return self._orders[by]
        found = self._order(by)
        if cached:
            self._orders[by] = found
        return found

    def _order(self, by: tuple[By, ...]) -> tuple[Array, Array, list[Key]]:
        columns = [self._key(one) for one in by]
        code = np.zeros(len(self), dtype=np.int64)
        for column in columns:
            code = _combined(code, column.numbers if isinstance(column, Words) else column)
        order = np.argsort(_small(code), kind="stable")
        ordered = code[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        firsts = order[starts]
        return order, starts, list(zip(*(plain(column[firsts]) for column in columns), strict=True)) if columns else [()]

    def _key(self, one: By) -> Column:
        if isinstance(one, Bucket):
            return Words(self[one.column] * one.unit // 1_000_000 // one.seconds * one.seconds, MOMENTS)
        found: Column = self[one] if isinstance(one, str) else one
        return found


def _combined(code: Array, more: Array) -> Array:
    """One number for two: small ones, so that a third finds room."""
    low, high = int(more.min()), int(more.max())
    if high - low > 1 << 20:
        values, more = np.unique(more, return_inverse=True)
        low, high = 0, len(values)
    joined: Array = code * (high - low + 1) + (more - low)
    if int(joined.max()) > 1 << 40:
        joined = np.unique(joined, return_inverse=True)[1]
    return joined


def _small(code: Array) -> Array:
    """As few bytes as hold it: sixteen bits are sorted by counting."""
    return code.astype(np.uint16) if int(code.max()) < 1 << 16 else code


def _wide(values: list[list[Any]]) -> Column:
    flat = _column([one for row in values for one in row])
    shape = (len(values), len(values[0]))
    return Words(flat.numbers.reshape(shape), flat.names) if isinstance(flat, Words) else flat.reshape(shape)


def _column(values: list[Any], names: Spelled | None = None) -> Column:
    if names is not None:
        return Words(np.array([names.index(value) for value in values], dtype=np.int64), names)
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, UUID) for value in given):
        return Words(np.array([value.int for value in given], dtype=np.int64), UUIDS)
    if not all(isinstance(value, (bool, int, float)) for value in given):
        return Words.of(values)
    filled = np.array([0 if value is None else value for value in values])
    return np.ma.masked_array(filled, mask=[value is None for value in values]) if len(given) < len(values) else filled


def joined(*tables: Table) -> Table:
    """Rows of several tables with the columns that all of them have; values must be numbered alike or are numbered anew."""
    names = [name for name in tables[0].names() if all(name in table for table in tables)]
    return Table({name: _joined([table[name] for table in tables]) for name in names})


def _joined(columns: Sequence[Column]) -> Column:
    words = [column for column in columns if isinstance(column, Words)]
    numbers = [column for column in columns if not isinstance(column, Words)]
    assert not words or not numbers, "numbers do not go with words"
    if numbers:
        found: Array = (np.ma.concatenate if any(map(np.ma.isMaskedArray, numbers)) else np.concatenate)(numbers)
        return found
    names = words[0].names
    if not all(one.names is names for one in words):
        spelled = [one.names for one in words if isinstance(one.names, Spelled)]
        names = spelled[0] if spelled else list({repr(name): name for one in words for name in one.names}.values())
    anew = [one.numbers if one.names is names else np.array(list(map(names.index, one.names)))[one.numbers] for one in words]
    return Words(np.concatenate(anew), names)


def plain(column: Column) -> list[Any]:
    """Plain Python values; None for what is unknown."""
    found: list[Any] = column.plain() if isinstance(column, Words) else column.tolist()
    return found
