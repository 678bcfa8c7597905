"""Batches made of lines, and what a processor made of them by table."""

from collections.abc import Callable, Sequence
from typing import Any

from llmtower_processors.runtime.model import Batch, Block, Record
from llmtower_schemas.codec import EnvelopeHeaders
from llmtower_schemas.examples import AT_NS
from tests.processors.blocks import rows

NOW_MS = AT_NS // 1_000_000 + 5_000
"""Five seconds after the examples happened."""

Rows = dict[str, list[dict[str, Any]]]


def record(value: bytes | None, *, offset: int = 0, topic: str = "llmtower.calls", seq: int = 100, headers: bool = True) -> Record:
    """One record of producer `run-1`."""
    count = (value or b"").count(b"\n") + 1
    sent = EnvelopeHeaders("run-1", seq, count, "header-project", "header-app").encode() if headers else []
    return Record(topic, 3, offset, NOW_MS, None, value, tuple(sent))


def batch(*records: Record, processor: str = "calls") -> Batch:
    """One range of records."""
    topic = records[0].topic if records else "llmtower.calls"
    last = records[-1].offset if records else 0
    return Batch(processor, "cluster.topic", topic, 3, records[0].offset if records else 0, last, NOW_MS, records)


def run(function: Callable[[Batch], Sequence[Block]], made: Batch) -> Rows:
    """Rows by table; no block is empty and no table comes twice, because a table is one insert under one token."""
    blocks = function(made)
    assert all(block.rows for block in blocks)
    assert len({block.table for block in blocks}) == len(blocks)
    return {block.table: rows(block) for block in blocks}
