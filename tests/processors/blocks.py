"""What the DDL says of each table's columns, and blocks encoded by the real writer and read back by the real reader."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.insert import InsertContext
from clickhouse_connect.driver.transform import NativeTransform

from llmtower_processors.packed import block_bytes, pack
from llmtower_processors.runtime.model import Block
from llmtower_schemas.migrations import column_types


@cache
def ddl() -> Mapping[str, Mapping[str, ClickHouseType]]:
    """Columns and types of every table, in the order of the migrations."""
    return {
        table: {name: get_from_name(of) for name, of in columns.items() if "AggregateFunction" not in of}
        for table, columns in column_types().items()
    }


def encode(block: Block) -> bytes:
    """Encode a block as the store sends it, and see that clickhouse-connect would send the same; raises when a value does not fit."""
    types = column_types()[block.table]
    body = block_bytes({name: pack(types[name], column) for name, column in block.columns.items()})
    assert body == theirs(block)
    return body


def theirs(block: Block) -> bytes:
    """Encode a block by clickhouse-connect."""
    types = ddl()[block.table]
    context = InsertContext(
        block.table,
        list(block.columns),
        [types[name] for name in block.columns],
        [list(column) for column in block.columns.values()],
        column_oriented=True,
    )
    body = b"".join(NativeTransform.build_insert(context)).partition(b"FORMAT Native\n")[2]
    failed = context.insert_exception
    vars(context).clear()  # as the store does: it refers to itself
    if failed is not None:
        raise failed
    return body


def rows(block: Block) -> list[dict[str, Any]]:
    """A block's rows as dictionaries, with the defaults of the columns it leaves out."""
    left_out = {name: _default(of) for name, of in ddl()[block.table].items() if name not in block.columns}
    return [left_out | dict(zip(block.columns, row, strict=True)) for row in zip(*block.columns.values(), strict=True)]


def _default(of: ClickHouseType) -> Any:
    if of.nullable:
        return None
    return {"Array": [], "Map": {}, "String": ""}.get(of.base_type or "", 0)
