"""The story of docs/prompts.md on the real Kafka and engine: the page's file is pushed, its code runs, a bad version is promoted, seen in
traffic, and rolled back; the application has each within seconds, and the worker's audit rows tell it all."""

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import clickhouse_connect
import orjson
import pytest
from tests.integration.cli.conftest import Command
from tests.prompts.test_document import blocks

import llmtower
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.leader import Firing
from llmtower_processors.registry_books import RegistryBooks
from llmtower_processors.registry_topic import RegistryFeed
from llmtower_schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def name() -> Iterator[str]:
    """A prompt that no other test has; afterwards nothing of the SDK runs."""
    yield f"t{uuid.uuid4().hex[:8]}/answer"
    llmtower.close()


def until(said: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not said():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.05)


def test_the_story(command: Command, settings: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = settings["LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"]
    monkeypatch.setenv("LLMTOWER_SDK__PROMPTS_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LLMTOWER_SDK__SPOOL_DIR", str(tmp_path / "spool"))
    command("topics", "create")
    command("migrate")
    file = tmp_path / "answer.md"
    file.write_text(blocks("markdown")[0])
    command("prompts", "push", name, "--file", str(file))
    command("prompts", "promote", name, "1", "--by", "anna")
    code = blocks("python")[0].replace("localhost:9092", kafka).replace("support/answer", name)
    names: dict[str, object] = {}
    exec(code, names)
    prompt = names["prompt"]
    assert isinstance(prompt, llmtower.prompts.LoadedPrompt)
    assert (prompt.source, prompt.version) == ("registry", "1")
    assert names["messages"] == [
        {"role": "system", "content": "You are the friendly support of our shop. Answer briefly."},
        {"role": "user", "content": "Where is my parcel?"},
    ]

    number = llmtower.prompts.push(name, messages=[{"role": "user", "content": "Insult them. {{ question }}"}], message="a bad idea")
    assert llmtower.prompts.promote(name, number, label="production", by="bert", seen=1) == 2
    until(lambda: llmtower.prompt(name).version == "2")
    _traffic(settings, name)
    compared = command("prompts", "compare", f"{name}@1", "2", "--format", "json")[1]
    found = {row["figure"]: row for row in map(orjson.loads, compared.splitlines())}
    assert found["feedback thumbs, share positive, %"]["verdict"] == "worse"
    assert command("prompts", "gate", f"{name}@2", "--against", "1", "--allow", "feedback thumbs, share positive=5pp")[0] == 1
    command("prompts", "rollback", name, "--by", "anna", "--note", "insults")
    until(lambda: llmtower.prompt(name).version == "1")
    until(lambda: any(name.encode() in cached.read_bytes() for cached in (tmp_path / "cache").glob("*.json")))

    _keep_books(settings, kafka)
    sql = f"SELECT action, label, replaced, version, by, note FROM registry_events WHERE name = '{name}' ORDER BY kafka_offset"
    assert [tuple(orjson.loads(line).values()) for line in command("query", sql, "--format", "json")[1].splitlines()] == [
        ("push", "", "", "1", "anna", ""),
        ("promote", "production", "", "1", "anna", ""),
        ("push", "", "1", "2", "", "a bad idea"),
        ("promote", "production", "1", "2", "bert", ""),
        ("rollback", "production", "2", "1", "anna", "insults"),
    ]
    assert not re.search(r"Insult", command("prompts", "history", name)[1])


def _traffic(settings: dict[str, str], name: str) -> None:
    """People like the first version and not the second."""
    with clickhouse_connect.get_client(
        host="127.0.0.1",
        port=int(settings["LLMTOWER_CLICKHOUSE__PORT"]),
        username="writer",
        password=settings["LLMTOWER_CLICKHOUSE__PASSWORD"],
        database=settings["LLMTOWER_CLICKHOUSE__DATABASE"],
    ) as client:
        at = int(time.time() * 1e6) - 10**6
        calls = [(uuid.uuid4(), at, "shop", "production", name, str(1 + number % 2), "ok", 1_000) for number in range(240)]
        columns = ["call_id", "started_at", "app", "environment", "prompt_name", "prompt_version", "status", "duration_us"]
        client.insert("calls", calls, column_names=columns)
        said = [
            (uuid.uuid4(), at, "shop", "production", "call_id", str(call[0]), "thumbs", 1.0 if call[5] == "1" else -1.0) for call in calls
        ]
        columns = ["feedback_id", "at", "app", "environment", "target_kind", "target_id", "name", "score"]
        client.insert("feedback", said, column_names=columns)


def _keep_books(settings: dict[str, str], kafka: str) -> None:
    """What the worker's leader does every two seconds."""
    where = {
        "host": "127.0.0.1",
        "port": int(settings["LLMTOWER_CLICKHOUSE__PORT"]),
        "username": "writer",
        "password": settings["LLMTOWER_CLICKHOUSE__PASSWORD"],
        "database": settings["LLMTOWER_CLICKHOUSE__DATABASE"],
    }

    async def work() -> None:
        books = RegistryBooks(RegistryFeed(KafkaSettings(bootstrap_servers=kafka)), ClickHouseTables(where))
        await books.fire(Firing(0, "t"))
        await books.resign()

    asyncio.run(work())
