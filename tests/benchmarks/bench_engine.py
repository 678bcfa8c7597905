"""Insert rows per second through the engine's HTTP face, and how long a SELECT 1 takes while a slow SELECT and inserts run.

Run it alone on a quiet machine: `python -m tests.benchmarks.bench_engine [--rounds 5] [--seconds 2]`. The Native block has 15 columns and
800 characters of text a row, as in FACTS.md; rounds of the three subjects are interleaved, medians are printed.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # no stubs in the locked requirements

from llmtower_processors.engine import EngineProcess, Role
from tests.integration.engine.raw import Raw

ROWS: Final = 20_000
COLUMNS: Final = (
    "ts DateTime64(6), project LowCardinality(String), model LowCardinality(String), i1 Int64, i2 Int64, i3 Int64, i4 Int64, "
    "i5 Nullable(Int64), i6 Int64, i7 Int64, s1 String, s2 String, txt String, u UUID, f Float64"
)
WINDOW: Final = "SETTINGS non_replicated_deduplication_window = 100000"
MAKE_ROWS: Final = f"""SELECT now64(6) - number / 100, ['x', 'y', 'z'][number % 3 + 1], ['q', 'w'][number % 2 + 1], number, number * 3,
number * 7, rand(), rand() % 10, 1, 2, toString(rand64()), toString(number),
arrayStringConcat(arrayMap(x -> ['alpha', 'beta', 'gamma ray', 'delta', 'epsilon'][rand(x) % 5 + 1], range(130)), ' '),
generateUUIDv4(), 1.5 FROM numbers({ROWS})"""
ROLLUP: Final = """CREATE MATERIALIZED VIEW llmtower.mv TO llmtower.rollup AS SELECT project, model, toStartOfMinute(ts) AS minute,
count() AS n, sum(i1) AS total, quantilesTDigestState(0.5, 0.9, 0.99)(i2) AS latency FROM llmtower.viewed GROUP BY project, model, minute"""
SCHEMA: Final = (
    "CREATE DATABASE llmtower",
    f"CREATE TABLE llmtower.plain ({COLUMNS}) ENGINE = MergeTree ORDER BY (project, ts) {WINDOW}",
    f"CREATE TABLE llmtower.viewed ({COLUMNS}) ENGINE = MergeTree ORDER BY (project, ts) {WINDOW}",
    f"""CREATE TABLE llmtower.rollup (project LowCardinality(String), model LowCardinality(String), minute DateTime,
    n SimpleAggregateFunction(sum, UInt64), total SimpleAggregateFunction(sum, Int64),
    latency AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Int64))
    ENGINE = AggregatingMergeTree ORDER BY (project, model, minute) {WINDOW}""",
    ROLLUP,
)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EngineProcess(Path(folder)) as engine:
        client = Raw(engine.host, engine.port, Role.WRITER.value, engine.credentials.password(Role.WRITER))
        for statement in SCHEMA:
            client.ok(statement)
        block = client.send(f"{MAKE_ROWS} FORMAT Native").body
        _insert_rates(engine, client, block, options.rounds, options.seconds)
        _latencies(client, block, options.seconds * options.rounds)
    return 0


def _insert_rates(engine: EngineProcess, client: Raw, block: bytes, rounds: int, seconds: float) -> None:
    subjects: dict[str, Callable[[], float]] = {
        "insert": lambda: _rate(client, block, "plain", seconds, 1),
        "insert, 2 clients": lambda: _rate(client, block, "plain", seconds, 2),
        "insert with a rollup": lambda: _rate(client, block, "viewed", seconds, 1),
    }
    process = psutil.Process(engine.pid)
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, measure in subjects.items():
            rates[name].append(measure())
    for name, found in rates.items():
        _print(f"{name:<24} {statistics.median(found):>10,.0f} rows/s   (blocks of {ROWS:,} rows, {len(block) / 2**20:.0f} MiB)")
    _print(f"{'memory of the engine':<24} {process.memory_info().rss / 2**20:>10,.0f} MiB")


def _rate(client: Raw, block: bytes, table: str, seconds: float, clients: int) -> float:
    started = time.monotonic()
    done: list[int] = []

    def insert() -> None:
        while time.monotonic() - started < seconds:
            token = f"{threading.get_ident()}-{time.monotonic_ns()}"
            query = f"INSERT INTO llmtower.{table} FORMAT Native"
            response = client.send(block, params={"query": query, "insert_deduplication_token": token})
            if response.status != 200:
                raise RuntimeError(f"insert failed with code {response.code}")
            done.append(ROWS)

    threads = [threading.Thread(target=insert) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - started)


def _latencies(client: Raw, block: bytes, seconds: float) -> None:
    alone = _select_latencies(client, seconds / 2)
    stop = threading.Event()

    def select_slowly() -> None:
        while not stop.is_set():
            client.ok("SELECT sum(sipHash64(txt, number)) FROM llmtower.plain, numbers(20) AS n", max_threads="1")

    threads = [threading.Thread(target=select_slowly), threading.Thread(target=lambda: _rate(client, block, "plain", seconds, 1))]
    for thread in threads:
        thread.start()
    beside = _select_latencies(client, seconds)
    stop.set()
    for thread in threads:
        thread.join()
    for name, found in (("SELECT 1 alone", alone), ("SELECT 1 beside both", beside)):
        cuts = statistics.quantiles(found, n=100)
        p50, p99, worst = (value * 1e3 for value in (cuts[49], cuts[98], max(found)))
        _print(f"{name:<24} {p50:>10.1f} ms p50, {p99:.1f} ms p99, {worst:.1f} ms worst   ({len(found)} queries)")


def _select_latencies(client: Raw, seconds: float) -> list[float]:
    found: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.monotonic()
        client.ok("SELECT 1")
        found.append(time.monotonic() - before)
    return found


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
