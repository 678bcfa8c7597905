"""Apply the numbered migrations, then the retention that the settings ask for. Running it twice changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmtower_processors.errors import LlmtowerError
from llmtower_schemas.migrations import Migration, migrations
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.tables import TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_BOOKS = """
CREATE TABLE IF NOT EXISTS migrations (number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = {engine} ORDER BY number
"""


class MigrationError(LlmtowerError):
    """The database does not fit this version of Llmtower."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `migrate` would do: the migrations to apply, in order, and the statements that set retention."""

    pending: tuple[Migration, ...]
    retention: tuple[str, ...]


def create_database(client: "Client", database: str) -> None:
    """Create the database; `client` must not name it as its own."""
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}")


def plan_anew() -> Plan:
    """Give what `migrate` would do first where there is no database yet; retention is set behind it."""
    return Plan(tuple(migrations()), ())


def has_database(client: "Client", database: str) -> bool:
    """Say whether it exists; `client` must not name it as its own."""
    return bool(int(str(client.command("SELECT count() FROM system.databases WHERE name = {name:String}", parameters={"name": database}))))


def is_replicated(client: "Client") -> bool:
    """Say whether the server has a Keeper, so that tables can be replicated (the embedded engine has none)."""
    return bool(client.command("SELECT count() FROM system.tables WHERE database = 'system' AND name = 'zookeeper'"))


def plan(client: "Client", retention: RetentionSettings) -> Plan:
    """Compare the database with this version. Raises MigrationError when it is newer or a migration was changed after it was applied."""
    applied = _applied(client)
    known = {migration.number: migration for migration in migrations()}
    newer = sorted(set(applied) - set(known))
    if newer:
        raise MigrationError(
            f"The database has migration {newer[-1]}, this version of Llmtower knows {max(known)}: "
            "it was written by a newer version. Upgrade llmtower (pip install -U llmtower) or choose another data directory."
        )
    for number, checksum in applied.items():
        if known[number].checksum != checksum:
            raise MigrationError(
                f"Migration {number:04} ({known[number].name}) was changed after it was applied to this database. "
                "Restore the file, and write the change as a new migration."
            )
    pending = tuple(migration for number, migration in sorted(known.items()) if number not in applied)
    return Plan(pending, tuple(_retention_statements(client, retention)))


def migrate(client: "Client", retention: RetentionSettings, say: Callable[[str], None] = lambda _: None) -> Plan:
    """Apply what is pending and give what was done. Each statement is safe to repeat, so a crash in the middle only needs another run."""
    replicated = is_replicated(client)
    client.command(_BOOKS.format(engine="ReplicatedMergeTree" if replicated else "MergeTree"))
    done = plan(client, retention).pending
    for migration in done:
        say(f"applying {migration.number:04} {migration.name}")
        for statement in migration.statements(replicated=replicated):
            client.command(statement)
        client.insert("migrations", [[migration.number, migration.name, migration.checksum]], ["number", "name", "checksum"])
    statements = tuple(_retention_statements(client, retention))
    for statement in statements:
        say(statement)
        client.command(statement)
    return Plan(done, statements)


def require_current(client: "Client") -> None:
    """Refuse to go on when migrations are pending. Raises MigrationError."""
    pending = plan(client, RetentionSettings()).pending
    if pending:
        raise MigrationError(
            f"{len(pending)} migration(s) are pending, the first is {pending[0].number:04} ({pending[0].name}). Run: llmtower migrate"
        )


def _applied(client: "Client") -> dict[int, str]:
    if not int(str(client.command("EXISTS TABLE migrations"))):
        return {}
    rows = client.query("SELECT number, checksum FROM migrations ORDER BY number").result_rows
    return {int(number): str(checksum) for number, checksum in rows}


def _retention_statements(client: "Client", retention: RetentionSettings) -> list[str]:
    """Give the ALTERs by which tables that exist differ from the settings."""
    rows = client.query("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()").result_rows
    existing = {str(name): str(query) for name, query in rows}
    statements = []
    for spec in TABLES.values():
        if spec.retention is None or spec.name not in existing:
            continue
        days = int(getattr(retention, spec.retention))
        has_ttl = " TTL " in existing[spec.name]
        if days and f"TTL toDateTime({spec.time_column}) + toIntervalDay({days})" not in existing[spec.name]:
            statements.append(f"ALTER TABLE {spec.name} MODIFY TTL toDateTime({spec.time_column}) + toIntervalDay({days})")
        elif not days and has_ttl:
            statements.append(f"ALTER TABLE {spec.name} REMOVE TTL")
    return statements
