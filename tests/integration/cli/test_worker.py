"""The worker as a process: it refuses what it must, says how it is, and stops cleanly."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from aiokafka import AIOKafkaProducer
from tests.contract.backends import KafkaCluster
from tests.integration.cli.conftest import Command
from tests.otel.exports import span, traces
from tests.otel.test_dialects import SEMCONV_37

from llmtower.ids import new_id
from llmtower_schemas.codec import encode_event
from llmtower_schemas.examples import EXAMPLES
from llmtower_schemas.topics import CALLS

pytestmark = pytest.mark.integration


def llmtower(settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmtower_processors.cli", *words]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False, timeout=100)


def get(settings: dict[str, str], page: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{settings['LLMTOWER_WORKER__WEB_PORT']}{page}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@contextmanager
def running(settings: dict[str, str], *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "llmtower_processors.cli", "worker", *words]
    path = Path(settings["LLMTOWER_DATA_DIR"]) / "worker.log"
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while get(settings, "/readyz")[0] != 200:
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < deadline, "the worker is not ready within 60 s"
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.wait()


def test_pending_migrations_are_refused(settings: dict[str, str]) -> None:
    result = llmtower(settings | {"LLMTOWER_CLICKHOUSE__DATABASE": "default"}, "worker")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("the first is 0001 (calls). Run: llmtower migrate")


def test_an_unknown_processor_is_refused_naming_those_there_are(settings: dict[str, str]) -> None:
    result = llmtower(settings, "worker", "--processors", "calls,toxicty")
    assert result.returncode == 2
    assert result.stderr == "No processor is called toxicty. There are: calls, signals, sketches, quality, toxicity.\n"


def test_a_worker_says_how_it_is_and_stops_cleanly(settings: dict[str, str]) -> None:
    assert llmtower(settings, "migrate").returncode == 0
    assert llmtower(settings, "topics", "create").returncode == 0
    with running(settings, "--processors", "calls") as process:
        assert get(settings, "/livez") == (200, "ok\n")
        well = {"ready": True, "processors": {"calls": {"ready": True, "lag_events": 0, "paused": {}}}}
        until(lambda: json.loads(get(settings, "/readyz")[1]) == well)  # other tests leave calls in the topic
        text = get(settings, "/metrics")[1]
        assert "# TYPE llmtower_insert_seconds histogram" in text
        assert 'llmtower_paused_partitions{processor="calls"} 0.0' in text
        assert "llmtower_collector_records" not in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


async def send(kafka: str, apps: list[str]) -> None:
    """Write one call of each app, each to the next partition."""
    async with AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True) as producer:
        count = len(await producer.partitions_for(CALLS))
        for number, app in enumerate(apps):
            event = EXAMPLES["openai_chat"].model_copy(update={"app": app, "call_id": new_id(), "started_at_ns": time.time_ns()})
            headers = [("producer", new_id().encode()), ("seq", b"0"), ("count", b"1")]
            await producer.send_and_wait(CALLS, encode_event(event), partition=number % count, headers=headers)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def test_what_the_server_refuses_pauses_its_partition_until_resume_and_nothing_is_lost(
    settings: dict[str, str], kafka: str, command: Command
) -> None:
    command("migrate")
    command("topics", "create")
    good, bad = (f"{settings['LLMTOWER_CLICKHOUSE__DATABASE']}-{which}" for which in ("good", "bad"))
    client = clickhouse_connect.get_client(**options(settings))

    def stored(app: str) -> int:
        return int(str(client.command(f"SELECT count() FROM calls WHERE app = '{app}'")))

    client.command(f"ALTER TABLE calls ADD CONSTRAINT refused CHECK app != '{bad}'")
    with running(settings, "--processors", "calls"):
        asyncio.run(send(kafka, [bad, good, good, bad]))
        until(lambda: stored(good) == 2 and get(settings, "/readyz")[0] == 503)
        paused = json.loads(get(settings, "/readyz")[1])["processors"]["calls"]["paused"]
        assert {name.split("[")[0] for name in paused} == {CALLS}
        assert all(reason.startswith("table calls, column app: ClickHouse error 469") for reason in paused.values())
        assert stored(bad) == 0
    log = (Path(settings["LLMTOWER_DATA_DIR"]) / "worker.log").read_text()
    assert "table calls, column app" in log
    assert "llmtower worker --resume" in log
    assert bad not in log
    client.command("ALTER TABLE calls DROP CONSTRAINT refused")
    with running(settings, "--processors", "calls", "--resume"):
        until(lambda: stored(bad) == 2)
        asyncio.run(send(kafka, [good]))
        until(lambda: stored(good) == 3)
    assert str(client.command("SELECT count() - uniqExact(kafka_topic, kafka_partition, kafka_offset, event_index) FROM calls")) == "0"
    client.close()


def options(settings: dict[str, str]) -> dict[str, Any]:
    names = {"host": "HOST", "port": "PORT", "username": "USER", "password": "PASSWORD", "database": "DATABASE"}
    return {name: settings[f"LLMTOWER_CLICKHOUSE__{variable}"] for name, variable in names.items()}


def test_the_worker_follows_a_collectors_topics_without_a_gateway(settings: dict[str, str]) -> None:
    """The same span twice, in two records, as a Collector sends after a time-out: one call."""
    topic, bootstrap = f"otlp_spans.{uuid.uuid4().hex}", settings["LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"]
    now_ns = time.time_ns()
    value = traces([span(SEMCONV_37, trace_id=uuid.uuid4().hex, start_ns=now_ns - 10**9, end_ns=now_ns)]).SerializeToString()

    async def send() -> None:
        await KafkaCluster(bootstrap, "g").create(topic, 2)
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for partition in (0, 1):
                await producer.send_and_wait(topic, value, partition=partition)

    asyncio.run(send())
    assert llmtower(settings, "migrate").returncode == 0
    assert llmtower(settings, "topics", "create").returncode == 0
    follows = {"LLMTOWER_COLLECTOR__TOPICS": topic, "LLMTOWER_COLLECTOR__PROJECT": "by-collector"}
    with running(settings | follows, "--processors", "calls"):
        taken = f'llmtower_collector_records_total{{outcome="accepted",reason="",topic="{topic}"}} 2.0'
        until(lambda: taken in get(settings, "/metrics")[1])
        ledger = "SELECT countIf(duplicate), countIf(NOT duplicate) FROM ledger WHERE project = 'by-collector'"
        with clickhouse_connect.get_client(**options(settings)) as client:
            until(lambda: client.query(ledger).result_rows == [(1, 1)])
            found = client.query("SELECT count(), any(request_model) FROM calls WHERE project = 'by-collector'").result_rows
        assert found == [(1, "gpt-4o")]


def test_doctor_finds_all_well_and_names_what_is_not(settings: dict[str, str]) -> None:
    before = llmtower(settings, "doctor")
    assert before.returncode == 1
    assert "do: start it, correct LLMTOWER_CLICKHOUSE__HOST, or run llmtower migrate" in before.stdout
    llmtower(settings, "migrate")
    llmtower(settings, "topics", "create")
    after = llmtower(settings, "doctor")
    assert after.returncode == 0, after.stdout
    assert "GiB free where ClickHouse keeps its data" in after.stdout
    assert after.stdout.endswith("All is well.\n")
    wrong = llmtower(settings | {"LLMTOWER_CLICKHOUSE__PASSWORD": "wrong"}, "doctor")
    assert wrong.returncode == 1
    assert "wrong" not in wrong.stdout.replace("LLMTOWER", "")


def test_a_worker_waits_for_kafka_and_says_so(settings: dict[str, str], tmp_path: Path) -> None:
    dead = settings | {"LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    path = tmp_path / "log"
    with path.open("wb") as log:
        command = [sys.executable, "-m", "llmtower_processors.cli", "worker"]
        process = subprocess.Popen(command, env={**os.environ, **dead}, stdin=subprocess.DEVNULL, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while path.read_text().count("nothing answers at 127.0.0.1:1") < 2:
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < deadline, path.read_text()
            time.sleep(0.2)
        assert "Traceback" not in path.read_text()
    finally:
        process.kill()
        process.wait()
