"""A migrated database, topics of its own, and the evaluator on the real Kafka and engine."""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import clickhouse_connect
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from clickhouse_connect.driver.client import Client
from prometheus_client import CollectorRegistry

from llmtower_processors.alerts.journal import KafkaJournal
from llmtower_processors.alerts.metrics import AlertMetrics
from llmtower_processors.alerts.model import MemoryRouter, Router
from llmtower_processors.alerts.rules import Rules
from llmtower_processors.alerts.service import AlertService
from llmtower_processors.alerts.silences import KafkaSilences
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.runtime.edges import SystemClock
from llmtower_schemas.settings import AlertSettings, KafkaSettings, RetentionSettings


@dataclass(frozen=True)
class Place:
    """Where one test's alerts live."""

    kafka: KafkaSettings
    journal: str
    registry: str
    group: str
    clickhouse: dict[str, Any]
    client: Client

    def service(self, rules: Rules, router: Router | None = None) -> AlertService:
        """Put the evaluator together as the worker does."""
        return AlertService(
            rules,
            AlertSettings(),
            journal=KafkaJournal(self.kafka, self.group, topic=self.journal),
            tables=ClickHouseTables(self.clickhouse),
            silences=KafkaSilences(self.kafka, topic=self.registry),
            router=router or MemoryRouter(),
            clock=SystemClock(),
            metrics=AlertMetrics(CollectorRegistry()),
        )

    def calls(
        self, count: int, *, failed: int, at_us: int | None = None, app: str = "chat", model: str = "gpt-4o", environment: str = ""
    ) -> None:
        """Store calls of that time, or that ended a moment ago."""
        at = int((time.time() - 5) * 1e6) if at_us is None else at_us
        columns: dict[str, list[Any]] = {
            "project": ["default"] * count,
            "app": [app] * count,
            "environment": [environment] * count,
            "request_model": [model] * count,
            "started_at": [at + index for index in range(count)],
            "duration_us": [1_000_000] * count,
            "status": ["error" if index < failed else "ok" for index in range(count)],
            "error_class": ["server" if index < failed else "" for index in range(count)],
            "cost_status": ["priced"] * count,
            "cost_nano_usd": [1_000_000] * count,
        }
        self.client.insert("calls", list(columns.values()), list(columns), column_oriented=True)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask."""
        return [tuple(row) for row in self.client.query(sql).result_rows]


MakePlace = Callable[[], Any]
KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)
"""Some of these tests have a day of their own, which is ever longer ago."""


@pytest.fixture
def client(engine: EngineProcess, database: str) -> Iterator[Client]:
    """A client of a migrated database."""
    address = _address(engine)
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**address, database=database) as client:
            migrate(client, KEEP_ALL)
            yield client
        server.command(f"DROP DATABASE {database}")


@pytest.fixture
def place(kafka: str, engine: EngineProcess, database: str, client: Client) -> Callable[[], Any]:
    """`async with place() as it:` gives a Place with topics of its own."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Place]:
        name = f"t{uuid.uuid4().hex[:8]}"
        settings = KafkaSettings(bootstrap_servers=kafka)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        topics = [NewTopic(f"{name}.alerts", 1, 1), NewTopic(f"{name}.registry", 1, 1)]
        await admin.create_topics(topics)
        try:
            yield Place(settings, f"{name}.alerts", f"{name}.registry", name, _address(engine) | {"database": database}, client)
        finally:
            await admin.delete_topics([topic.name for topic in topics])
            await admin.close()

    return make


def _address(engine: EngineProcess) -> dict[str, Any]:
    return {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "password": engine.credentials.password(Role.WRITER)}
