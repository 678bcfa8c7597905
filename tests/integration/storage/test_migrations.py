"""What migrations promise: numbered, repeatable at any point, never changed, refused by an older version; and tables fit for tokens."""

import re
from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client

from llmtower_processors.migrate import MigrationError, migrate, plan, require_current
from llmtower_schemas.migrations import Migration, column_types, migrations, read_columns
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.tables import TABLES, VIEWS

pytestmark = pytest.mark.integration
RETENTION = RetentionSettings()


class KilledError(Exception):
    """The process ends here."""


class DyingClient:
    """Passes commands on to a real client until it is killed before the one with this number."""

    def __init__(self, client: Client, lives: int) -> None:
        self._client = client
        self._lives = lives

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def command(self, sql: str, *arguments: object) -> object:
        """Run a command, or die."""
        if sql.startswith(("CREATE", "ALTER")):
            if self._lives == 0:
                raise KilledError
            self._lives -= 1
        return self._client.command(sql, *arguments)  # type: ignore[arg-type]


def tables(client: Client) -> dict[str, str]:
    """Give every table's definition."""
    rows = client.query("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()").result_rows
    return {str(name): str(query) for name, query in rows}


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_every_table_of_the_list_is_created_and_no_other(empty: Client) -> None:
    migrate(empty, RETENTION)
    views = {view for spec in TABLES.values() for view in spec.views}
    assert set(tables(empty)) == set(TABLES) | views | set(VIEWS)


def test_the_columns_that_blocks_are_packed_for_are_those_of_the_engine(empty: Client) -> None:
    migrate(empty, RETENTION)
    sql = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
    engine: dict[str, dict[str, str]] = {}
    for table, name, of in empty.query(sql).result_rows:
        engine.setdefault(str(table), {})[str(name)] = "".join(str(of).split())
    ours = {table: {name: "".join(of.split()) for name, of in columns.items()} for table, columns in column_types().items()}
    assert ours == {table: engine[table] for table in ours}
    assert set(ours) == set(TABLES) - {"migrations"}


def test_columns_added_later_are_read_too() -> None:
    created = "CREATE TABLE calls\n(\n    app LowCardinality(String),\n    n UInt8 DEFAULT 1 CODEC(T64)\n)\nENGINE = MergeTree;"
    added = "ALTER TABLE calls ADD COLUMN IF NOT EXISTS cut_off Bool DEFAULT has(a, 'b');\nALTER TABLE calls ADD COLUMN m Int8;"
    assert read_columns([created, added]) == {"calls": {"app": "LowCardinality(String)", "n": "UInt8", "cut_off": "Bool", "m": "Int8"}}


def test_a_second_run_changes_nothing(empty: Client) -> None:
    first = migrate(empty, RETENTION)
    before = tables(empty)
    second = migrate(empty, RETENTION)
    assert [migration.number for migration in first.pending] == [migration.number for migration in migrations()]
    assert (second.pending, second.retention) == ((), ())
    assert tables(empty) == before
    assert empty.command("SELECT count() = uniqExact(number) FROM migrations") == 1


@pytest.mark.parametrize("lives", [0, 3, 11, 25])
def test_killed_at_any_point_another_run_completes_it(empty: Client, lives: int) -> None:
    with pytest.raises(KilledError):
        migrate(DyingClient(empty, lives), RETENTION)  # type: ignore[arg-type]
    migrate(empty, RETENTION)
    assert set(TABLES) <= set(tables(empty))
    require_current(empty)
    assert empty.query("SELECT number, count() FROM migrations GROUP BY number ORDER BY number").result_rows == [
        (migration.number, 1) for migration in migrations()
    ]


def test_a_migration_changed_after_it_was_applied_is_refused(empty: Client) -> None:
    migrate(empty, RETENTION)
    empty.command("ALTER TABLE migrations UPDATE checksum = 'another' WHERE number = 2", settings={"mutations_sync": 2})
    with pytest.raises(MigrationError, match=r"Migration 0002 .* was changed after it was applied.*new migration"):
        migrate(empty, RETENTION)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty: Client) -> None:
    migrate(empty, RETENTION)
    empty.insert("migrations", [[99, "from_the_future", "x"]], ["number", "name", "checksum"])
    before = tables(empty)
    with pytest.raises(MigrationError, match=r"The database has migration 99.*newer version.*Upgrade llmtower"):
        migrate(empty, RetentionSettings(calls_days=7))
    with pytest.raises(MigrationError, match="newer version"):
        require_current(empty)
    assert tables(empty) == before


def test_pending_migrations_keep_the_worker_from_running(empty: Client) -> None:
    with pytest.raises(MigrationError, match=rf"{len(migrations())} migration\(s\) are pending, the first is 0001.*Run: llmtower migrate"):
        require_current(empty)
    migrate(empty, RETENTION)
    empty.command(f"DELETE FROM migrations WHERE number = {len(migrations())}")
    with pytest.raises(MigrationError, match=r"^1 migration\(s\) are pending"):
        require_current(empty)


def test_a_new_migration_is_applied_to_a_database_of_the_release_before(empty: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(empty, RETENTION)
    new = Migration(len(migrations()) + 1, "add_column", "ALTER TABLE deploys ADD COLUMN IF NOT EXISTS colour String;\n")
    monkeypatch.setattr("llmtower_processors.migrate.migrations", lambda: [*migrations(), new])
    with pytest.raises(MigrationError, match="1 migration"):
        require_current(empty)
    assert migrate(empty, RETENTION).pending == (new,)
    require_current(empty)
    assert "`colour` String" in tables(empty)["deploys"]


def test_a_dry_run_names_everything_and_does_nothing(empty: Client) -> None:
    found = plan(empty, RETENTION)
    assert [migration.number for migration in found.pending] == [migration.number for migration in migrations()]
    assert tables(empty) == {}


def test_every_table_and_every_views_target_remembers_tokens(client: Client) -> None:
    without = [
        name
        for name, query in tables(client).items()
        if "MergeTree" in query and "non_replicated_deduplication_window = 100000" not in query
    ]
    assert without == ["migrations"]


def test_on_a_server_with_keeper_every_table_is_replicated_and_remembers_by_count_and_time() -> None:
    for migration in migrations():
        for statement in migration.statements(replicated=True):
            if "ENGINE" not in statement:
                continue
            assert re.search(r"ENGINE = Replicated\w*MergeTree", statement)
            assert re.search(r"[ \n]replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800", statement)
            assert "non_replicated" not in statement


def test_the_checksum_covers_the_whole_text() -> None:
    first = migrations()[0]
    assert replace(first, sql=first.sql + "\n").checksum != first.checksum
