"""`llmtower drift compare`: two slices over thirty days of minutes, through the real engine."""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect

from llmtower_processors.drift.compare import compare
from llmtower_processors.drift.slices import read_slice
from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.settings import RetentionSettings
from tests.benchmarks.figures import Figure, at_most, main

_FILL = """
INSERT INTO drift_ranges (minute, project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder,
    calls, texts, features, mean, incarnation, kafka_topic, kafka_partition, kafka_offset, event_index)
SELECT toDateTime({start:UInt32}, 'UTC') + 60 * intDiv(number, 2), 'default', 'shop', 'production', 'gpt-4o', 'answer',
    toString(number % 2),
    'input', 'en', 'hashed-words@1:256', 20, 20, arrayMap(x -> toInt64(rand(x) % 400000) - 200000, range(256)),
    arrayMap(x -> toInt64(rand(x + 1000) % 40000) - 20000, range(256)), 'i', 'llmtower.calls', 0, number, 0
FROM numbers({first:UInt64}, {count:UInt64})
"""


def run(quick: bool) -> list[Figure]:
    """Measure."""
    days = 3 if quick else 30
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder, EngineProcess(Path(folder)) as engine:
        password = engine.credentials.password(Role.WRITER)
        address: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "password": password}
        with clickhouse_connect.get_client(**address) as server:
            create_database(server, "bench")
        with clickhouse_connect.get_client(**address, database="bench") as client:
            migrate(client, RetentionSettings(requests_days=0, rollup_1m_days=0))
            end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
            begin = end - timedelta(days=days)
            for day in range(days):
                values = {"start": int(begin.timestamp()), "first": day * 2_880, "count": 2_880}
                client.command(_FILL, parameters=values, settings={"insert_deduplication_token": f"day {day}"})
            begin += timedelta(minutes=7)
            end -= timedelta(minutes=11)
            a, b = (read_slice(f"prompt=answer/{version}", begin, end) for version in "01")
            taken = []
            for _ in range(7):
                began = time.perf_counter()
                (found,) = compare(client, a, b)
                taken.append(time.perf_counter() - began)
            assert found.counts["texts_a"] == found.counts["texts_b"] == 20 * int((end - begin).total_seconds() // 60)
    note = f"{days} days, a row a minute and slice, median of {len(taken)}; first {taken[0]:.2f} s"
    return [at_most("drift compare, two slices", sorted(taken)[len(taken) // 2], "s", 1.0, note)]


if __name__ == "__main__":
    main(run)
