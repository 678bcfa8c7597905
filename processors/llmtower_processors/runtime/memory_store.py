"""ClickHouse in memory, as far as inserts with deduplication tokens go: partitions, windows, views, and faults on demand."""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llmtower_processors.runtime.edges import StoreUnfitError, TopicPartition
from llmtower_processors.runtime.envelopes import LEDGER
from llmtower_processors.runtime.model import Block

Row = dict[str, Any]

WINDOW: Final = 100_000
"""Least number of blocks whose tokens a table must remember."""


@dataclass(slots=True)
class Table:
    """Rows, the tokens of the last `window` blocks, and the views that read each insert."""

    window: int = WINDOW
    partition_by: Callable[[Row], Hashable] = lambda row: 0
    rows: list[Row] = field(default_factory=list)
    blocks: dict[tuple[Hashable, str], None] = field(default_factory=dict)
    views: list["View"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class View:
    """A materialized view: what it makes of the rows of an insert, and into which table."""

    target: str
    select: Callable[[Sequence[Row]], Sequence[Row]]


class MemoryStore:
    """The store edge in memory; `fault` is called with each step ("insert", "part", "view", "inserted", "read") and may raise."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.tables = dict(tables)
        self.tables.setdefault(LEDGER, Table())
        self.fault: Callable[[str], None] = lambda step: None
        self._lock = threading.RLock()

    def check(self, tables: Sequence[str]) -> None:
        """Refuse a table, or a table behind a view, whose window is too small."""
        for name in tables:
            if name not in self.tables:
                raise StoreUnfitError(f"table {name}: does not exist; run the migrations")
            table = self.tables[name]
            if table.window < WINDOW:
                raise StoreUnfitError(f"table {name}: non_replicated_deduplication_window is {table.window}, must be at least {WINDOW}")
            self.check([view.target for view in table.views])

    def floors(self, processor: str, incarnations: Mapping[TopicPartition, str]) -> dict[TopicPartition, int]:
        """Highest ledgered offsets."""
        self.fault("read")
        rows = self._ledger(processor)
        return {p: max((row["offset"] for row in rows if _place(row)[:2] == (i, p)), default=-1) for p, i in incarnations.items()}

    def _ledger(self, processor: str) -> list[Row]:
        return [row for row in self.tables[LEDGER].rows if row["processor"] == processor]

    def highest(self, processor: str, tables: Sequence[str], after: Mapping[TopicPartition, tuple[str, int]]) -> dict[TopicPartition, int]:
        """Highest offsets in any of the tables."""
        self.fault("read")
        rows = [row for name in tables for row in self.tables[name].rows if row.get("processor", processor) == processor]
        return {
            p: max(
                (offset for row in rows for i, at, offset in [_place(row)] if (i, at) == (incarnation, p) and offset > above), default=-1
            )
            for p, (incarnation, above) in after.items()
        }

    def known(
        self, processor: str, incarnation: str, partition: TopicPartition, before: int, keys: Iterable[tuple[str, int]]
    ) -> set[tuple[str, int]]:
        """Envelopes that are in the ledger already."""
        self.fault("read")
        sought = set(keys)
        return {
            (row["producer"], row["first_seq"])
            for row in self._ledger(processor)
            if (row["topic"], row["partition"]) == partition
            and (row["incarnation"] != incarnation or row["offset"] < before)
            and (row["producer"], row["first_seq"]) in sought
        }

    def present(
        self, table: str, columns: Sequence[str], incarnation: str, partition: TopicPartition, offsets: tuple[int, int]
    ) -> set[tuple[Any, ...]]:
        """What the rows that are there have in `columns`."""
        self.fault("read")
        first, last = offsets
        return {
            tuple(row[column] for column in columns)
            for row in self.tables[table].rows
            for i, at, offset in [_place(row)]
            if (i, at) == (incarnation, partition) and first <= offset <= last
        }

    def insert(self, block: Block, token: str) -> None:
        """Insert; a fault may strike before, between two partitions, before the views, or after."""
        with self._lock:
            self.fault("insert")
            names = list(block.columns)
            self._write(block.table, [dict(zip(names, values, strict=True)) for values in zip(*block.columns.values(), strict=True)], token)
            self.fault("inserted")

    def _write(self, name: str, rows: Sequence[Row], token: str) -> None:
        table = self.tables[name]
        parts: dict[Hashable, list[Row]] = {}
        for row in rows:
            parts.setdefault(table.partition_by(row), []).append(row)
        for number, (key, part) in enumerate(parts.items()):
            if number:
                self.fault("part")
            if (key, token) not in table.blocks:
                table.rows.extend(part)
                table.blocks[key, token] = None
                if len(table.blocks) > table.window:
                    del table.blocks[next(iter(table.blocks))]
        for view in table.views:
            self.fault("view")
            self._write(view.target, view.select(rows), token)

    def close(self) -> None:
        """Nothing to let go of."""


def _place(row: Row) -> tuple[str, TopicPartition, int]:
    prefix = "kafka_" if "kafka_offset" in row else ""
    return row["incarnation"], TopicPartition(row[prefix + "topic"], row[prefix + "partition"]), row[prefix + "offset"]
