"""`llmtower audit` on a running `llmtower up`: real Kafka, engine and worker; faults planted behind their back; what the command says."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client
from tests.integration.audit.world import HOUR, request, response
from tests.ports import ANY_PORTS

from llmtower_processors.demo.figures import connect
from llmtower_processors.local.endpoints import Endpoints, find_endpoints, read_credentials
from llmtower_schemas.codec import EnvelopeHeaders, encode, encode_event
from llmtower_schemas.topics import CALLS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

CLI = (sys.executable, "-m", "llmtower_processors.cli")
ENVELOPES = 60
CALLS_EACH = 25
HOURS = 3
BROKEN = b'{"type": "response", "call_id": 7}'


@dataclass(frozen=True)
class Running:
    """A stack, its writer's connection, and the first hour that has events."""

    data_dir: Path
    endpoints: Endpoints
    client: Client
    start: int

    def audit(self, *options: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the command with JSON output; gives its exit status and findings."""
        ended = self._run("--format", "json", *options)
        assert not ended.stderr, ended.stderr
        return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]

    def say(self, *options: str) -> tuple[int, str]:
        """Run the command for people."""
        ended = self._run(*options)
        return ended.returncode, ended.stdout + ended.stderr

    def _run(self, *options: str) -> subprocess.CompletedProcess[str]:
        first = datetime.fromtimestamp(self.start, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        command = (*CLI, "audit", "--data-dir", str(self.data_dir), "--from", first, *options)
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def number(self, sql: str) -> int:
        """Run a query that gives one number."""
        return int(str(self.client.command(sql)))

    def sums(self) -> dict[str, tuple[Any, ...]]:
        """Give calls and money as the calls and every rollup say them."""
        tables = {"calls": "count()", "rollup_1m": "sum(calls)", "rollup_1h": "sum(calls)", "rollup_user_1h": "sum(calls)"}
        return {
            name: tuple(self.client.query(f"SELECT {calls}, sum(ifNull(cost_nano_usd, 0)) FROM {name}").result_rows[0])
            for name, calls in tables.items()
        }


async def _send(bootstrap: str, start: int) -> None:
    """Send envelopes of calls with their requests over three closed hours, one with an event that is none."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for number in range(ENVELOPES):
            at = start + number * HOURS * HOUR / ENVELOPES
            numbers = range(number * CALLS_EACH, (number + 1) * CALLS_EACH)
            lines = [encode_event(event) for n in numbers for event in (request(n, at), response(n, at))]
            lines += [BROKEN] if number == 7 else []
            seq = number * 2 * CALLS_EACH + (number > 7)
            headers = EnvelopeHeaders("planted", seq, len(lines), "default", "app0").encode()
            await producer.send_and_wait(CALLS, encode(lines), partition=number % 2, timestamp_ms=int(at * 1_000), headers=headers)
    finally:
        await producer.stop()


def _until(done: Any, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack that has stored some thousands of events of three closed hours."""
    data_dir = tmp_path_factory.mktemp("up") / "data"
    start = (int(time.time()) - 900) // HOUR * HOUR - HOURS * HOUR
    said = data_dir.with_suffix(".log")
    with said.open("wb") as output:
        up = subprocess.Popen((*CLI, "up", *ANY_PORTS, "--data-dir", str(data_dir)), stdout=output, stderr=output)
    try:
        _until(lambda: up.poll() is not None or find_endpoints(data_dir) is not None, 150, "the stack did not start")
        endpoints = find_endpoints(data_dir)
        assert endpoints is not None, said.read_text()
        password = read_credentials(data_dir)["writer"]
        with closing(connect(endpoints.clickhouse, database="llmtower", user="writer", password=password)) as client:
            stack = Running(data_dir, endpoints, client, start)
            asyncio.run(_send(endpoints.kafka, start))
            wanted = f"SELECT (SELECT count() FROM ledger WHERE producer = 'planted') = {ENVELOPES}"
            _until(lambda: stack.number(wanted), 60, "the worker did not store everything")
            yield stack
    finally:
        up.terminate()
        up.wait(60)


def _plant(stack: Running) -> None:
    """Lose a row, double a row, tell a rollup a nano-dollar too much, lose the bytes of a dead letter."""
    command = stack.client.command
    command(
        "DELETE FROM calls WHERE kafka_partition = 0 AND kafka_offset = 5 AND event_index = 3", settings={"lightweight_deletes_sync": 2}
    )
    command("INSERT INTO calls SELECT * FROM calls WHERE kafka_partition = 1 AND kafka_offset = 9 AND event_index = 1")
    last = stack.start + (HOURS - 1) * HOUR
    command(f"INSERT INTO rollup_1h (hour, project, cost_nano_usd) VALUES ({last}, 'default', 1)")
    command("DELETE FROM dead_letter_bytes WHERE 1", settings={"lightweight_deletes_sync": 2})


def test_the_command_finds_exactly_what_was_planted_and_mends_it(running: Running) -> None:
    calls = ENVELOPES * CALLS_EACH
    before = running.sums()
    assert set(before.values()) == {before["calls"]}
    assert before["calls"][0] == calls
    code, said = running.say()
    assert code == 0, said
    assert re.search(rf"Audited {ENVELOPES} records of \d+ hour\(s\), .* UTC: every event is stored exactly once", said)

    _plant(running)
    code, findings = running.audit()
    assert code == 1
    seen = {(row["check"], row["found"], row["repaired"]) for row in findings}
    assert seen == {
        ("missing_events", 1, 0),
        ("doubled_rows", 1, 0),
        ("rollup_1m", 1, 0),
        ("rollup_1h", 1, 0),
        ("rollup_user_1h", 1, 0),
        ("rollup_models_1h", 1, 0),
    }
    assert sum(row["found"] for row in findings if row["check"] == "missing_events") == 2
    code, said = running.say()
    assert code == 1
    assert "7 still not as promised" in said
    assert "Mend it with: llmtower audit --repair" in said

    code, findings = running.audit("--repair")
    assert code == 0
    assert findings
    assert all(row["found"] == row["repaired"] for row in findings)
    assert running.sums() == before
    assert running.number("SELECT count() FROM dead_letter_bytes") == 1
    assert running.audit() == (0, [])
