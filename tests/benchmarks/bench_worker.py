"""Kafka record → inserted block: events per CPU-second of the worker's process, side by side with a plain Faust agent on the same records.

Both are running and assigned; both are stopped (SIGSTOP) while the records are produced, then each is let go alone until its tables hold
all of them. An event here is a call: its 1.6 kB response with contents; its request is sent, decoded and stored besides.
"""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client

from llmtower_processors.local.endpoints import read_credentials
from llmtower_schemas.codec import EnvelopeHeaders
from llmtower_schemas.topics import CALLS
from tests.benchmarks.figures import Figure, at_least, main
from tests.benchmarks.sender import MARKER, PARTITIONS, Job, make_bodies
from tests.benchmarks.stand import Stand, cpu_seconds, stand, wait_until

ASSIGN_S = 60
STORE_S = 180
PLAIN = "plain"
"""The database of the Faust agent: the same tables without the views, which the worker's inserts feed as well."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A consumer of the topic: its process and the table that shows its progress."""

    name: str
    pid: int
    table: str


def run(quick: bool) -> list[Figure]:
    """Measure."""
    with stand() as running:
        _plain_database(running.client)
        with _faust_agent(running) as agent:
            contenders = [Contender("worker", running.pid("worker"), "llmtower.calls"), Contender("faust", agent.pid, f"{PLAIN}.calls")]
            _warm_up(running, contenders)
            rounds = 2 if quick else 5
            batches = _rates(running, contenders, lines=100, calls=10_000 if quick else 20_000, rounds=rounds)
            singles = _rates(running, contenders, lines=1, calls=5_000 if quick else 10_000, rounds=rounds)
    return [*_figures("100-event envelopes", batches, 30_000, None), *_figures("single-event records", singles, None, 6.0)]


def _figures(name: str, rates: dict[str, list[float]], least: float | None, ratio: float | None) -> list[Figure]:
    worker, faust = statistics.median(rates["worker"]), statistics.median(rates["faust"])
    ours = f"worker, {name}: calls (each with its request)"
    note = "samples " + ", ".join(f"{rate:,.0f}" for rate in rates["worker"])
    times = statistics.median(a / b for a, b in zip(rates["worker"], rates["faust"], strict=True))
    return [
        at_least(ours, worker, "per CPU-second", least, note) if least else Figure(ours, worker, "per CPU-second", note=note),
        Figure(f"plain faust agent, {name}", faust, "per CPU-second"),
        at_least("the worker is faster by", times, "times", ratio) if ratio else Figure("the worker is faster by", times, "times"),
    ]


def _rates(running: Stand, contenders: list[Contender], *, lines: int, calls: int, rounds: int) -> dict[str, list[float]]:
    bodies = make_bodies(Job("", 0, 0, lines=lines, distinct_calls=calls, seed=lines))
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders:
            os.kill(contender.pid, signal.SIGSTOP)
        expected = {one.table: _count(running.client, one.table) + calls for one in contenders}
        asyncio.run(produce(running.endpoints.kafka, bodies, lines))
        for contender in contenders[:: -1 if number % 2 else 1]:
            used = _consume(running.client, contender, expected[contender.table])
            rates[contender.name].append(calls / used)
    return rates


def _consume(client: Client, contender: Contender, rows: int) -> float:
    """Let one go until its table holds so many rows, and give the CPU seconds of its process."""
    before = cpu_seconds(contender.pid)
    os.kill(contender.pid, signal.SIGCONT)
    wait_until(f"{rows:,} rows by {contender.name}", lambda: _count(client, contender.table) >= rows, STORE_S, every_s=0.1)
    return cpu_seconds(contender.pid) - before


async def produce(bootstrap: str, bodies: list[bytes], lines: int) -> None:
    """Send every envelope once, spread over the partitions."""
    run = f"bench-{time.time_ns()}"
    now = b"%d" % time.time_ns()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4", max_request_size=4 << 20) as producer:
        for number, body in enumerate(bodies):
            headers = EnvelopeHeaders(run, number * lines, body.count(b"\n") + 1, "bench", "bench").encode()
            await producer.send(CALLS, body.replace(MARKER, now), partition=number % PARTITIONS, headers=headers)
        await producer.flush()


def _plain_database(client: Client) -> None:
    client.command(f"CREATE DATABASE {PLAIN}")
    for table in ("calls", "contents", "requests"):
        client.command(f"CREATE TABLE {PLAIN}.{table} AS llmtower.{table}")


@contextmanager
def _faust_agent(running: Stand) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = [running.endpoints.kafka, running.endpoints.clickhouse, read_credentials(running.data_dir)["writer"], PLAIN]
    with (running.data_dir / "faust.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.faust_agent", *arguments], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _warm_up(running: Stand, contenders: list[Contender]) -> None:
    """Send a little until both have stored something: they are assigned, connected and have imported everything."""
    bodies = make_bodies(Job("", 0, 0, lines=100, distinct_calls=200, seed=9))

    def all_stored() -> bool:
        asyncio.run(produce(running.endpoints.kafka, bodies, 100))
        time.sleep(2)
        return all(_count(running.client, contender.table) for contender in contenders)

    wait_until("both consumers have stored something", all_stored, ASSIGN_S)
    _settle(running.client, contenders)


def _settle(client: Client, contenders: list[Contender]) -> None:
    before: list[int] = []
    while (now := [_count(client, contender.table) for contender in contenders]) != before:
        before = now
        time.sleep(3)


def _count(client: Client, table: str) -> int:
    return int(str(client.command(f"SELECT count() FROM {table}")))


if __name__ == "__main__":
    main(run)
