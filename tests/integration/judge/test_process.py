"""`llmtower judge run` as processes: real Kafka, real engine, a stand-in for the endpoint; two judges, one of them killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.gateway.topics import read_all
from tests.integration.judge.test_tables import call, client, options, store
from tests.judge.test_endpoint import completion
from tests.standins.service import Asked, Reply, serving

from llmtower_processors.judge.model import APP
from llmtower_processors.topics import create_topics
from llmtower_schemas.settings import KafkaSettings, RetentionSettings
from llmtower_schemas.topics import CALLS, REGISTRY, SIGNALS

__all__ = ["client", "options"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
COMMAND = (sys.executable, "-m", "llmtower_processors.cli", "judge", "run")


def settings(kafka: str, options: dict[str, Any], folder: Path) -> dict[str, str]:
    """Give the environment of a judge on this Kafka and this database."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LLMTOWER_")} | {
        "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "LLMTOWER_CLICKHOUSE__HOST": options["host"],
        "LLMTOWER_CLICKHOUSE__PORT": str(options["port"]),
        "LLMTOWER_CLICKHOUSE__USER": options["username"],
        "LLMTOWER_CLICKHOUSE__PASSWORD": options["password"],
        "LLMTOWER_CLICKHOUSE__DATABASE": options["database"],
        "LLMTOWER_DATA_DIR": str(folder),
        "LLMTOWER_SDK__SPOOL_DIR": str(folder / "spool"),
    }


def until(true: Callable[[], bool], said: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)


def events(kafka: str, topic: str, **like: str) -> list[dict[str, Any]]:
    found = [orjson.loads(line) for value in asyncio.run(read_all(kafka, topic, 4)) if value for line in value.splitlines()]
    return [one for one in found if all(one.get(name) == value for name, value in like.items())]


def test_two_judges_ask_once_each_and_one_goes_on_when_the_other_is_killed(
    options: dict[str, Any], client: Client, kafka: str, tmp_path: Path
) -> None:
    asyncio.run(create_topics(KafkaSettings(bootstrap_servers=kafka), RetentionSettings()))
    project = f"p{time.time_ns()}"
    start_ns = time.time_ns() - 60 * 10**9
    store(options, [call(number, project=project, started_at_ns=start_ns + number * 10**6) for number in range(30)])
    said = tmp_path / "judges.log"

    def script(asked: Asked) -> Reply:
        return completion('{"reason": "r", "score": 1}')

    with serving(script) as service, said.open("wb") as log:
        environment = settings(kafka, options, tmp_path) | {
            "LLMTOWER_WORKER__GROUP_PREFIX": project,
            "LLMTOWER_JUDGE__BASE_URL": f"{service.url}/v1",
            "LLMTOWER_JUDGE__RUBRICS": "helpfulness",
            "LLMTOWER_JUDGE__PERIOD_S": "1",
            "LLMTOWER_JUDGE__SETTLE_S": "1",
            "LLMTOWER_JUDGE__PER_ROUND": "100",
            "LLMTOWER_JUDGE__BUDGET_USD": "100",
        }

        def scores() -> list[dict[str, Any]]:
            return events(kafka, SIGNALS, type="score", project=project)

        def start() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(COMMAND, env=environment, stdout=log, stderr=log)

        # The first round looks back one period only: the plan of an earlier judge makes it begin before the calls.
        plan = {"from_ms": 0, "until_ms": start_ns // 10**6 - 1_000, "quotas": {}, "done": True}
        asyncio.run(_write(kafka, "judge/plan", orjson.dumps(plan)))
        first, second = start(), start()
        try:
            until(lambda: len(scores()) >= 30, said)
            assert len(service.asked) == 30, "each call is asked about once, whoever leads"
            assert {one["target_id"] for one in scores()} == {call(number)["call_id"] for number in range(30)}
            until(lambda: len(events(kafka, CALLS, type="response", app=APP)) >= 30, said)
            until(lambda: client.query("SELECT sum(scored) FROM judge_rounds").result_rows == [(30,)], said)
            first.send_signal(signal.SIGKILL)
            first.wait(20)
            now_ns = time.time_ns()
            store(options, [call(number, project=project, started_at_ns=now_ns + number * 10**6) for number in range(100, 104)])
            until(lambda: len(scores()) >= 34, said)
            assert len(service.asked) == 34
            spent = [orjson.loads(value)["nano_usd"] for value in asyncio.run(read_all(kafka, REGISTRY, 1)) if b"nano_usd" in value]
            assert spent
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0, said.read_text()
        finally:
            for process in (first, second):
                process.kill()
                process.wait(20)


async def _write(kafka: str, key: str, value: bytes) -> None:
    from llmtower_processors.registry_topic import publish

    await publish(KafkaSettings(bootstrap_servers=kafka), key, value)


def test_a_judge_without_endpoint_or_price_says_what_to_set(tmp_path: Path, kafka: str, options: dict[str, Any]) -> None:
    environment = settings(kafka, options, tmp_path)
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "No endpoint is named for the judge: set LLMTOWER_JUDGE__BASE_URL (docs/judge.md).\n")
    environment |= {"LLMTOWER_JUDGE__BASE_URL": "http://127.0.0.1:9/v1", "LLMTOWER_JUDGE__MODEL": "my-own-model"}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "No price is known for the judge's model my-own-model" in done.stderr
    assert "Traceback" not in done.stderr
