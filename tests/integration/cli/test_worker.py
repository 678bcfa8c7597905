"""The worker as a process: it refuses what it must, says how it is, and stops cleanly."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
    assert result.stderr == "No processor is called toxicty. There are: calls, signals, sketches, quality.\n"


def test_a_worker_says_how_it_is_and_stops_cleanly(settings: dict[str, str]) -> None:
    assert llmtower(settings, "migrate").returncode == 0
    assert llmtower(settings, "topics", "create").returncode == 0
    with running(settings, "--processors", "calls") as process:
        assert get(settings, "/livez") == (200, "ok\n")
        state: dict[str, Any] = json.loads(get(settings, "/readyz")[1])
        assert state == {"ready": True, "processors": {"calls": {"ready": True, "lag_events": 0, "paused": {}}}}
        text = get(settings, "/metrics")[1]
        assert "# TYPE llmtower_insert_seconds histogram" in text
        assert 'llmtower_paused_partitions{processor="calls"} 0.0' in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


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
        while path.read_text().count("Kafka at 127.0.0.1:1 does not answer") < 2:
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < deadline, path.read_text()
            time.sleep(0.2)
        assert "Traceback" not in path.read_text()
    finally:
        process.kill()
        process.wait()
