"""A fresh, migrated database on the session's engine, and rows of `calls` with every figure chosen by the test."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.settings import RetentionSettings

KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)
NOON = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1_000_000)
"""Microseconds."""

Insert = Callable[..., None]


@pytest.fixture
def empty(engine: EngineProcess, database: str) -> Iterator[Client]:
    """A client of a database without tables."""
    address: dict[str, Any] = {
        "host": engine.host,
        "port": engine.port,
        "username": Role.WRITER.value,
        "password": engine.credentials.password(Role.WRITER),
    }
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**address, database=database) as client:
            yield client
        server.command(f"DROP DATABASE {database}")


@pytest.fixture
def client(empty: Client) -> Client:
    """A client of a migrated database that keeps every row for ever."""
    migrate(empty, KEEP_ALL)
    return empty


@pytest.fixture
def insert(client: Client) -> Insert:
    """Insert columns into a table under a token, with the settings of the runtime."""

    def insert(table: str, columns: dict[str, list[Any]], token: str) -> None:
        settings = {"insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": 1, "async_insert": 0}
        client.insert(table, list(columns.values()), column_names=list(columns), column_oriented=True, settings=settings)

    return insert
