"""The environment of commands on a database of their own, and commands run in this process: imports are paid for once."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from llmtower_processors.cli.app import run
from llmtower_processors.engine.process import EngineProcess
from llmtower_processors.local.ports import PortReservation

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(kafka: str, engine: EngineProcess, database: str, tmp_path: Path, topic_prefix: str) -> Iterator[dict[str, str]]:
    """The environment of a worker on a database of its own."""
    web = PortReservation(0, purpose="a worker", option="-")
    yield {
        "LLMTOWER_DATA_DIR": str(tmp_path / "data"),
        "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "LLMTOWER_CLICKHOUSE__HOST": "127.0.0.1",
        "LLMTOWER_CLICKHOUSE__PORT": str(engine.port),
        "LLMTOWER_CLICKHOUSE__USER": "writer",
        "LLMTOWER_CLICKHOUSE__PASSWORD": engine.credentials.passwords["writer"],
        "LLMTOWER_CLICKHOUSE__DATABASE": database,
        "LLMTOWER_WORKER__WEB_PORT": str(web.port),
        "LLMTOWER_WORKER__GROUP_PREFIX": topic_prefix.rstrip("."),
    }
    web.release()


@pytest.fixture
def command(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("query", "SELECT 1")` gives exit code, output and errors."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["llmtower", *words])
        with pytest.raises(SystemExit) as ended:
            run()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return command


@pytest.fixture
def writer(settings: dict[str, str], command: Command) -> Iterator[Client]:
    """A client of the commands' own database, whose topics and tables are made."""
    command("topics", "create")
    command("migrate")
    names = {"host": "HOST", "port": "PORT", "username": "USER", "password": "PASSWORD", "database": "DATABASE"}
    address: dict[str, Any] = {name: settings[f"LLMTOWER_CLICKHOUSE__{variable}"] for name, variable in names.items()}
    with clickhouse_connect.get_client(**address | {"port": int(address["port"])}) as client:
        yield client
