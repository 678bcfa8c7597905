"""The real tables under the three roles: what the migrations make is readable, or not, as `tables.py` says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from tests.integration.engine.raw import Raw

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.tables import TABLES, VIEWS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[EngineProcess]:
    """An engine of its own whose database `llmtower` has the real tables."""
    folder: Path = tmp_path_factory.mktemp("schema")
    with EngineProcess(folder) as engine:
        password = engine.credentials.password(Role.WRITER)
        address: dict[str, Any] = {"host": engine.host, "username": Role.WRITER.value, "password": password}
        with clickhouse_connect.get_client(port=engine.port, **address) as server:
            create_database(server, "llmtower")
        with clickhouse_connect.get_client(port=engine.port, database="llmtower", **address) as client:
            migrate(client, RetentionSettings())
        yield engine


def _as(engine: EngineProcess, role: Role) -> Raw:
    return Raw(engine.host, engine.port, role.value, engine.credentials.password(role))


@pytest.mark.parametrize("table", TABLES)
def test_each_table_under_each_reader(migrated: EngineProcess, table: str) -> None:
    for database in ("llmtower", "default"):
        seen = _as(migrated, Role.CONTENT).send(f"SELECT * FROM llmtower.{table} LIMIT 1", params={"database": database})
        assert seen.status == 200, seen.text
        seen = _as(migrated, Role.DASHBOARDS).send(f"SELECT * FROM llmtower.{table} LIMIT 1", params={"database": database})
        assert seen.code == (497 if TABLES[table].restricted else 0), seen.text


@pytest.mark.parametrize("view", VIEWS)
def test_a_plain_view_is_readable_for_everybody(migrated: EngineProcess, view: str) -> None:
    for role in (Role.CONTENT, Role.DASHBOARDS):
        seen = _as(migrated, role).send(f"SELECT * FROM {view} LIMIT 1", params={"database": "llmtower"})
        assert seen.status == 200, seen.text


def test_every_view_is_readable_for_dashboards(migrated: EngineProcess) -> None:
    names = _as(migrated, Role.WRITER).ok("SELECT name FROM system.tables WHERE database = 'llmtower' AND engine LIKE '%View'").split()
    assert names
    for name in names:
        seen = _as(migrated, Role.DASHBOARDS).send(f"SELECT * FROM llmtower.{name} LIMIT 1")
        assert seen.status == 200, seen.text


def test_no_column_has_the_name_of_a_restricted_table(migrated: EngineProcess) -> None:
    """The guard keeps those names for the tables: a column called so could not be read by dashboards."""
    restricted = [name for name, table in TABLES.items() if table.restricted]
    assert set(restricted) == {"contents", "dataset_items", "late_contents", "dead_letter_bytes"}
    found = _as(migrated, Role.WRITER).ok(f"SELECT name FROM system.columns WHERE database = 'llmtower' AND name IN {tuple(restricted)!r}")
    assert found == ""
