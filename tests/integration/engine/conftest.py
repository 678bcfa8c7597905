"""One engine for the session; the suite can be pointed at a ClickHouse server instead.

LLMTOWER_TEST_CLICKHOUSE_URL=http://user:password@host:8123 (a user that may create databases) runs everything that does not concern the
engine's own roles, files and process there.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from tests.integration.engine.raw import Raw

from llmtower_processors.engine import EngineProcess, Role

SERVER_VARIABLE = "LLMTOWER_TEST_CLICKHOUSE_URL"


@dataclass(frozen=True)
class Target:
    """A ClickHouse over HTTP, with a user that may do everything."""

    host: str
    port: int
    user: str
    password: str
    is_engine: bool

    def raw(self, **overrides: str) -> Raw:
        """A bare HTTP client for it."""
        return Raw(self.host, self.port, overrides.get("user", self.user), overrides.get("password", self.password))


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """The session's own engine process."""
    if os.environ.get(SERVER_VARIABLE):
        pytest.skip(f"{SERVER_VARIABLE} is set: this test is about the engine itself")
    with EngineProcess(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The server of SERVER_VARIABLE if set, else the session's engine."""
    address = os.environ.get(SERVER_VARIABLE)
    if address:
        parts = urlsplit(address)
        return Target(
            parts.hostname or "127.0.0.1", parts.port or 8123, unquote(parts.username or "default"), unquote(parts.password or ""), False
        )
    engine: EngineProcess = request.getfixturevalue("shared_engine")
    return Target(engine.host, engine.port, Role.WRITER.value, engine.credentials.password(Role.WRITER), True)


@pytest.fixture
def database(target: Target) -> Iterator[str]:
    """A fresh database, dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    writer = target.raw()
    writer.ok(f"CREATE DATABASE {name}")
    yield name
    writer.ok(f"DROP DATABASE {name}")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory for a test that starts its own engine."""
    if os.environ.get(SERVER_VARIABLE):
        pytest.skip(f"{SERVER_VARIABLE} is set: this test is about the engine itself")
    return tmp_path / "data"
