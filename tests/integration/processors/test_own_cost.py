"""ClickHouse's own count on the real engine, and the row that it makes."""

import asyncio
from typing import Any

import clickhouse_connect
import pytest

from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.own_cost import CostBook, engine_count, write_cost
from llmtower_processors.runtime.edges import SystemClock
from llmtower_schemas.settings import RetentionSettings

pytestmark = pytest.mark.integration


def test_what_the_engine_takes_becomes_a_row(engine: EngineProcess, database: str) -> None:
    address: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": "writer"}
    address["password"] = engine.credentials.password(Role.WRITER)
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
    with clickhouse_connect.get_client(**address, database=database) as client:
        migrate(client, RetentionSettings())
        tables, clock = ClickHouseTables(address | {"database": database}), SystemClock()
        book = CostBook(tables, "clickhouse", clock, instance=engine.host)
        for _ in range(2):
            client.query("SELECT sum(sipHash64(number)) FROM numbers(20000000)")
            asyncio.run(write_cost(book, lambda: engine_count(tables, clock)))
        ((process, seconds, cpu_s, memory),) = client.query("SELECT process, seconds, cpu_s, memory_bytes FROM own_cost").result_rows
        client.command(f"DROP DATABASE {database}")
    assert process == "clickhouse"
    assert seconds > 0
    assert cpu_s > 0
    assert memory > 0
