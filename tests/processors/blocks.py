"""What the DDL says of each table's columns, and blocks encoded by the real writer and read back by the real reader."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.insert import InsertContext
from clickhouse_connect.driver.transform import NativeTransform

from llmtower_processors.runtime.model import Block

_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)\n\(\n(.*?)\n\)\nENGINE", re.DOTALL)
_COLUMN = re.compile(r"^ {4}([a-z_]\w*) ([A-Z].*?)(?: CODEC\(.*\))?(?: COMMENT '.*')?,?$")


@cache
def ddl() -> Mapping[str, Mapping[str, ClickHouseType]]:
    """Columns and types of every table, in the order of the migrations."""
    scripts = sorted((p for p in files("llmtower_schemas.migrations").iterdir() if p.name.endswith(".sql")), key=lambda p: p.name)
    return {name: dict(_columns(body)) for p in scripts for name, body in _TABLE.findall(p.read_text())}


def _columns(body: str) -> Sequence[tuple[str, ClickHouseType]]:
    found = (_COLUMN.match(line) for line in body.splitlines())
    return [(match[1], get_from_name(match[2])) for match in found if match and "AggregateFunction" not in match[2]]


def encode(block: Block) -> bytes:
    """Encode a block as clickhouse-connect sends it; raises when a value does not fit its column."""
    types = ddl()[block.table]
    context = InsertContext(
        block.table,
        list(block.columns),
        [types[name] for name in block.columns],
        list(block.columns.values()),
        column_oriented=True,
    )
    body = b"".join(NativeTransform.build_insert(context))
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
