"""One export of a dataset, as the command does it, in a process of its own: seconds and peak memory."""

import sys
import time
from pathlib import Path

import clickhouse_connect
import orjson

from llmtower_processors.datasets.exports.write import export
from llmtower_schemas.datasets import Counts, Manifest
from tests.benchmarks.figures import peak_rss_mib


def main() -> None:
    """Read what to do from the input, and print what it took."""
    asked = orjson.loads(sys.stdin.buffer.read())
    counts = Counts(kept=asked["rows"])
    manifest = Manifest(
        name="bench", version=1, build_id=asked["build"], created_at_us=1, start_us=0, end_us=1, sha256="0" * 64, counts=counts
    )
    with clickhouse_connect.get_client(**asked["address"], database="llmtower") as client:
        began = time.perf_counter()
        done = export(client, manifest, asked["form"], Path(asked["out"]))
        seconds = time.perf_counter() - began
    assert done.lines == asked["rows"], "every row can be written"
    sys.stdout.buffer.write(orjson.dumps({"seconds": seconds, "rss_mib": peak_rss_mib()}))


if __name__ == "__main__":
    main()
