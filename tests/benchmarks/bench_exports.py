"""Exports of datasets of 100,000 and of 1 M rows, each in a process of its own against a real engine: speed, and whether memory is flat."""

import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import orjson

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.storage import KEEP_ALL

ROWS: Final = (100_000, 1_000_000)
QUICK_ROWS: Final = (10_000, 50_000)
FORMS: Final = ("openai-chat", "preference", "gemini", "alpaca", "csv", "parquet")
FLAT: Final = 1.2
"""Peak memory of ten times as many rows against that of the fewer, at most."""
MAKE: Final = """
INSERT INTO llmtower.dataset_items (project, dataset, build_id, position, item_hash, call_id, app, request_model, started_at, feedback,
    input, output, correction)
WITH arrayMap(i -> concat('w', toString(i * 7919 % 9973)), range(500)) AS words, cityHash64(number) AS h
SELECT 'default', {name:String}, {build:UUID}, number, MD5(toString(number)), toUUID(UUIDNumToString(MD5(toString(number)))), 'support',
    'gpt-4o', now64(6) - number / 1000, -1,
    arrayStringConcat(arrayMap(i -> words[cityHash64(h, i) % 500 + 1], range(60)), ' '),
    arrayStringConcat(arrayMap(i -> words[cityHash64(h, i + 60) % 500 + 1], range(80)), ' '), concat('better ', toString(number))
FROM numbers({first:UInt64}, {count:UInt64})
"""
"""About 700 characters a row, each with a correction, so that every form can hold it."""
BLOCK: Final = 50_000


def run(quick: bool) -> list[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder, EngineProcess(Path(folder) / "engine") as engine:
        address = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value}
        address["password"] = engine.credentials.password(Role.WRITER)
        sizes = QUICK_ROWS if quick else ROWS
        builds = {rows: _fill(address, rows) for rows in sizes}
        figures: list[Figure] = []
        for form in FORMS:
            few, many = (_child(address, builds[rows], rows, form, Path(folder) / "out") for rows in sizes)
            figures.append(Figure(f"datasets export as {form}, {sizes[1]:,} rows", sizes[1] / many["seconds"], "rows/s"))
            memory = f"{few['rss_mib']:.0f} MiB for {sizes[0]:,} rows, {many['rss_mib']:.0f} MiB for {sizes[1]:,}"
            figures.append(
                at_most(f"its memory against that of {sizes[0]:,} rows", many["rss_mib"] / few["rss_mib"], "times", FLAT, memory)
            )
        return figures


def _fill(address: dict[str, Any], rows: int) -> str:
    build = str(uuid.uuid4())
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, "llmtower")
    with clickhouse_connect.get_client(**address, database="llmtower") as client:
        migrate(client, KEEP_ALL)
        for first in range(0, rows, BLOCK):
            client.command(MAKE, parameters={"name": "bench", "build": build, "first": first, "count": min(BLOCK, rows - first)})
    return build


def _child(address: dict[str, Any], build: str, rows: int, form: str, out: Path) -> Any:
    asked = orjson.dumps({"address": address, "build": build, "rows": rows, "form": form, "out": str(out)})
    words = [sys.executable, "-m", "tests.benchmarks.export_child"]
    return orjson.loads(subprocess.run(words, input=asked, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    main(run)
