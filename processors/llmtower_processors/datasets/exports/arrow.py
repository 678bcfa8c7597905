"""Rows as Arrow record batches: a file of them can be gone on with after an interruption, a Parquet file cannot; it becomes one at the end.

Layout of the stream: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format; one without its end mark is read to its end.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from llmtower_processors.datasets.exports.examples import Item

_TEXTS: Final = ("call_id", "app", "request_model", "prompt_name", "prompt_version", "input", "output", "correction")
_COLUMNS: Final = ("position", *_TEXTS[:5], "started_at", "feedback", *_TEXTS[5:])


def head() -> bytes:
    """Give the message that a stream begins with."""
    return bytes(_schema().serialize())


def batch(items: Sequence[Item]) -> bytes:
    """Give the message that holds these rows."""
    import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

    columns = [[getattr(item, name) for item in items] for name in _COLUMNS]
    return bytes(pa.record_batch(columns, schema=_schema()).serialize())


def to_parquet(stream: Path, out: Path) -> None:
    """Write a stream as Parquet, a batch at a time. Raises OSError."""
    import pyarrow as pa
    from pyarrow import parquet

    with pa.OSFile(str(stream)) as file, parquet.ParquetWriter(str(out), _schema(), compression="zstd") as writer:
        for one in pa.ipc.open_stream(file):
            writer.write_batch(one)


@cache
def _schema() -> Any:
    import pyarrow as pa

    kinds = {"position": pa.uint32(), "started_at": pa.timestamp("us", tz="UTC"), "feedback": pa.float64()}
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in _COLUMNS])
