import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import clickhouse_connect
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from tests.otel.exports import span, traces
from tests.ports import ANY_PORTS

from llmtower_processors.local.endpoints import Endpoints, find_endpoints, read_credentials
from llmtower_processors.local.errors import ChildFailedError, DataDirBusyError, PortTakenError
from llmtower_processors.local.plan import PLAN, Part, StackOptions, Step
from llmtower_processors.local.stack import Stack
from llmtower_processors.roles import NICENESS
from llmtower_schemas.topics import TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CLI_UP = (sys.executable, "-m", "llmtower_processors.cli", "up", *ANY_PORTS, "--data-dir")
# The stack without its worker, whose start is most of the time: for what does not depend on it.
_SHORT_UP = """
import sys
from pathlib import Path
from llmtower_processors.errors import LlmtowerError
from llmtower_processors.local.plan import PLAN
from llmtower_processors.local.stack import StackOptions, run_up
try:
    sys.exit(run_up(StackOptions(data_dir=Path(sys.argv[1])), plan=PLAN[:1]))
except LlmtowerError as error:
    sys.exit(str(error))
"""
SHORT_UP = (sys.executable, "-c", _SHORT_UP)


@contextmanager
def running_up(data_dir: Path, said: Path, command: tuple[str, ...] = SHORT_UP) -> Iterator[tuple[subprocess.Popen[bytes], Endpoints]]:
    with (
        said.open("ab") as output,
        subprocess.Popen([*command, str(data_dir)], stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            yield process, until(lambda: find_endpoints(data_dir) if process.poll() is None else pytest.fail(said.read_text()))
        finally:
            process.kill()


Found = TypeVar("Found")


def until(probe: Callable[[], Found | None], seconds: float = 120) -> Found:
    deadline = time.monotonic() + seconds
    while (found := probe()) is None:
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def rows(data_dir: Path, endpoints: Endpoints) -> int:
    """Add a row, and count those there are."""
    asked(data_dir, endpoints, "CREATE TABLE IF NOT EXISTS llmtower.kept (a UInt8) ENGINE = MergeTree ORDER BY a")
    asked(data_dir, endpoints, "INSERT INTO llmtower.kept VALUES (1)")
    return asked(data_dir, endpoints, "SELECT count() FROM llmtower.kept")


def asked(data_dir: Path, endpoints: Endpoints, sql: str) -> int:
    """Run a statement; gives its figure, 0 for one that gives none."""
    host, port = endpoints.clickhouse.removeprefix("http://").split(":")
    password = read_credentials(data_dir)["writer"]
    with clickhouse_connect.get_client(host=host, port=int(port), username="writer", password=password) as client:
        answer = client.command(sql)
        return int(answer) if isinstance(answer, (int, str)) and str(answer).isdecimal() else 0


async def topics(address: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


def test_the_life_of_an_up(tmp_path: Path) -> None:
    data, said = tmp_path / "data", tmp_path / "said"
    with running_up(data, said) as (up, endpoints):
        assert endpoints.pids.keys() == {"up", "kafka", "clickhouse"}
        assert endpoints.pids["up"] == up.pid
        assert endpoints.web is None
        assert set(TOPICS) <= asyncio.run(topics(endpoints.kafka))
        assert rows(data, endpoints) == 1

        second = subprocess.run([*SHORT_UP, str(data)], capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert f"another llmtower up or demo (pid {up.pid}) runs on {data}: stop it, or choose another --data-dir" in second.stderr
        assert find_endpoints(data) == endpoints, "the refused one leaves the running one's files alone"

        for name in ("clickhouse", "kafka"):
            before = endpoints.pids[name]
            os.kill(before, signal.SIGKILL)
            endpoints = until(partial(changed, data, name, before))
        assert said.read_text().count("was killed by SIGKILL") == said.read_text().count("; starting it again in 0.5 s") == 2
        assert until(lambda: said.read_text().count("is ready again") == 2 or None)
        assert rows(data, endpoints) == 2

        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
    assert all(is_gone(pid) for pid in endpoints.pids.values())
    assert not (data / "endpoints.json").exists()
    assert "stopping (press Ctrl-C again to kill)\n" in said.read_text()
    assert said.read_text().endswith("\nstopped\n")

    with running_up(data, said) as (up, endpoints):
        assert rows(data, endpoints) == 3
        up.kill()
        up.wait()
        until(lambda: all(is_gone(pid) for pid in endpoints.pids.values()) or None, 15)
        assert (data / "endpoints.json").exists()
        assert find_endpoints(data) is None, "what a killed up left behind is not believed"

    with running_up(data, said) as (up, endpoints):
        assert rows(data, endpoints) == 4
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0


def test_the_command_starts_everything_with_the_worker_and_stops_it(tmp_path: Path) -> None:
    data, said = tmp_path / "data", tmp_path / "said"
    with running_up(data, said, CLI_UP) as (up, endpoints):
        assert endpoints.pids.keys() == {"up", "kafka", "clickhouse", "worker", "web", "gateway", "scoring"}
        assert set(TOPICS) <= asyncio.run(topics(endpoints.kafka))
        assert endpoints.gateway is not None
        body = traces([span({"gen_ai.operation.name": "chat"}, start_ns=time.time_ns())]).SerializeToString()
        post = urllib.request.Request(f"{endpoints.gateway}/v1/traces", body, {"content-type": "application/x-protobuf"})
        with urllib.request.urlopen(post, timeout=10) as answer:
            assert answer.status == 200
        until(lambda: asked(data, endpoints, "SELECT count() FROM llmtower.calls") or None)
        by_variable = command("doctor", LLMTOWER_DATA_DIR=str(data))
        assert (by_variable.returncode, by_variable.stdout.splitlines()[-1]) == (0, "All is well."), by_variable.stdout
        by_option = command("query", "SELECT count() FROM calls", "--data-dir", str(data), "--format", "csv")
        assert (by_option.returncode, by_option.stdout.splitlines()[0]) == (0, "count()"), by_option.stderr
        log = data / "logs" / "worker.log"
        until(lambda: "audit: 0 records of " in log.read_text() or None)
        nicer = min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        until(lambda: os.getpriority(os.PRIO_PROCESS, endpoints.pids["scoring"]) == nicer or None)
        group = Path(f"/proc/{endpoints.pids['scoring']}/autogroup")
        assert not group.exists() or group.read_text().endswith(f"nice {NICENESS}\n"), "Linux weighs sessions, not processes"
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
    assert all(is_gone(pid) for pid in endpoints.pids.values())
    lines = said.read_text().splitlines()
    assert sorted(line.partition(": ready")[0] for line in lines if ": ready" in line) == [
        "clickhouse",
        "gateway",
        "kafka",
        "migrations",
        "scoring",
        "topics",
        "web",
        "worker",
    ]
    assert lines[-1] == "stopped"


def command(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command that has no other address than a data directory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOWER_")} | env
    argv = [sys.executable, "-m", "llmtower_processors.cli", *words]
    return subprocess.run(argv, env=clean, capture_output=True, text=True, timeout=60, check=False)


def changed(data_dir: Path, name: str, before: int) -> Endpoints | None:
    found = find_endpoints(data_dir)
    return found if found and found.pids.get(name, before) != before else None


def test_a_taken_port_is_refused_with_the_option_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"port {port} for the ClickHouse engine is in use .* with --clickhouse-port"):
            Stack(StackOptions(data_dir=tmp_path, kafka_port=0, clickhouse_port=port, web_port=0))
        with pytest.raises(PortTakenError, match=rf"port {port} for Kafka is in use .* with --kafka-port"):
            Stack(StackOptions(data_dir=tmp_path, kafka_port=port, clickhouse_port=0, web_port=0))
    again = Stack(StackOptions(data_dir=tmp_path, kafka_port=0, clickhouse_port=0, web_port=0))
    with pytest.raises(DataDirBusyError):
        Stack(StackOptions(data_dir=tmp_path, kafka_port=0, clickhouse_port=0, web_port=0))
    again.close()


def test_a_step_that_fails_stops_what_has_started(tmp_path: Path) -> None:
    said: list[str] = []
    plan = (PLAN[0], ((Step("again", ("topics", "no-such-command")),),))
    stack = Stack(StackOptions(data_dir=tmp_path, kafka_port=0, clickhouse_port=0, web_port=0), say=said.append, plan=plan)
    pids: dict[str, int] = {}

    async def scenario() -> None:
        watch = asyncio.create_task(remember())
        try:
            async with stack:
                pytest.fail("it must not count as ready")
        finally:
            watch.cancel()

    async def remember() -> None:
        while True:
            pids.update(stack.supervisor.pids)
            await asyncio.sleep(0.05)

    with pytest.raises(ChildFailedError, match=r"^again ended with status 2: .*\(see .*again\.log\)$"):
        asyncio.run(scenario())
    assert pids.keys() == {"kafka", "clickhouse"}
    assert all(is_gone(pid) for pid in pids.values())
    assert not (tmp_path / "endpoints.json").exists()
    assert [line.partition(":")[0] for line in sorted(said)] == ["clickhouse", "kafka", "migrations", "topics"]


@pytest.mark.parametrize("endpoint", ["", "https://judge.example/v1"])
def test_the_judge_belongs_to_the_stack_where_an_endpoint_is_named(tmp_path: Path, endpoint: str) -> None:
    own = {"LLMTOWER_JUDGE__BASE_URL": endpoint} if endpoint else {}
    stack = Stack(StackOptions(data_dir=tmp_path, environment=own))
    (judge,) = [entry for stage in PLAN for track in stage for entry in track if isinstance(entry, Part) and entry.name == "judge"]
    try:
        assert judge.wanted is not None
        assert judge.wanted(stack._site) is bool(endpoint)
        assert judge.spec(stack._site).argv[-2:] == ("judge", "run")
    finally:
        stack.close()


def test_children_get_the_stacks_addresses_and_not_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOWER_KAFKA__BOOTSTRAP_SERVERS", "production:9092")
    monkeypatch.setenv("LLMTOWER_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("LLMTOWER_PROJECT", "kept")
    (tmp_path / "credentials.json").write_text(json.dumps({"writer": "w", "content": "c", "dashboards": "d"}))
    stack = Stack(StackOptions(data_dir=tmp_path, kafka_port=0, clickhouse_port=0, web_port=0))
    environment = stack.environment()
    stack.close()
    assert environment["LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"].startswith("127.0.0.1:")
    assert "LLMTOWER_KAFKA__SECURITY_PROTOCOL" not in environment
    assert environment["LLMTOWER_CLICKHOUSE__PASSWORD"] == "w"
    assert environment["LLMTOWER_PROJECT"] == "kept"
