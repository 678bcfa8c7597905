"""A fresh, migrated database, and traffic that is sent through the processor into it."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.processors.batches import record

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.model import Batch
from llmtower_processors.sketches import sketches_processor
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import EXAMPLES
from llmtower_schemas.settings import RetentionSettings

CHAT = orjson.loads(encode_event(EXAMPLES["openai_chat"]))
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)
Send = Callable[..., None]


@pytest.fixture
def options(engine: EngineProcess, database: str) -> Iterator[dict[str, Any]]:
    """Client options of the database."""
    password = engine.credentials.password(Role.WRITER)
    address: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "password": password}
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**address, database=database) as client:
            migrate(client, KEEP_ALL)
        yield address | {"database": database}
        server.command(f"DROP DATABASE {database}")


@pytest.fixture
def client(options: dict[str, Any]) -> Iterator[Client]:
    """For reading back."""
    with clickhouse_connect.get_client(**options) as client:
        yield client


@pytest.fixture
def store(options: dict[str, Any]) -> Iterator[ClickHouseStore]:
    """The worker's own store."""
    store = ClickHouseStore(options)
    yield store
    store.close()


def made(lines: Sequence[bytes], *, first: int, at: datetime = NOON) -> Batch:
    """One range of one record."""
    now = int(at.timestamp() * 1_000) + 3_600_000
    one = record(encode(list(lines)), offset=first)._replace(timestamp_ms=now)
    return Batch("sketches", "cluster.topic", "llmtower.calls", 3, first, first, now, [one])


@pytest.fixture
def send(store: ClickHouseStore) -> Send:
    """Send calls (dictionaries of fields) as one range at an offset."""
    processor = sketches_processor()

    def send(calls: Sequence[dict[str, Any]], *, offset: int, at: datetime = NOON) -> None:
        started = int(at.timestamp()) * 10**9
        lines = [orjson.dumps(CHAT | {"started_at_ns": started} | call) for call in calls]
        for block in processor.function(made(lines, first=offset, at=at)):
            store.insert(block, f"cluster.topic:sketches:llmtower.calls:3:{offset}-{offset}")

    return send
