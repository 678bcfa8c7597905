"""One engine for these tests, a fresh database for each."""

import uuid
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.audit.world import World

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import migrate
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.runtime.model import Processor
from llmtower_schemas.settings import RetentionSettings

KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)
"""The day of these tests is ever longer ago."""


@pytest.fixture(scope="session")
def audit_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """A real engine."""
    with EngineProcess(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(scope="session")
def processors() -> dict[str, Processor]:
    """The real processors."""
    return build_processors(PriceBook())


@pytest.fixture(scope="session")
def migrated(audit_engine: EngineProcess) -> Iterator[Client]:
    """A database with all tables (they take seconds to create)."""
    name = f"audit_{uuid.uuid4().hex[:12]}"
    address: dict[str, Any] = {
        "host": audit_engine.host,
        "port": audit_engine.port,
        "username": Role.WRITER.value,
        "password": audit_engine.credentials.password(Role.WRITER),
    }
    with clickhouse_connect.get_client(**address) as server:
        server.command(f"CREATE DATABASE {name}")
        with clickhouse_connect.get_client(**address, database=name) as client:
            migrate(client, KEEP_ALL)
            yield client
        server.command(f"DROP DATABASE {name}")


@pytest.fixture
def world(migrated: Client, processors: dict[str, Processor]) -> World:
    """Empty tables, and nothing in Kafka."""
    made = World(migrated, processors)
    made.reset()
    return made
