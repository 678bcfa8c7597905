"""The engine inside this process, in a folder of its own, migrated; blocks are Native files, as the engine's face hands them on."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.settings import RetentionSettings
from tests.benchmarks.rows import Columns, Range

VIEWS = ("rollup_1m_view", "rollup_1h_view", "rollup_user_1h_view")
KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)


@dataclass(frozen=True, slots=True)
class Block:
    """One insert: a table and the file that holds its columns."""

    table: str
    columns: tuple[str, ...]
    file: Path


@dataclass(frozen=True, slots=True)
class Storage:
    """One engine with one migrated database per name in `databases`."""

    client: Client
    folder: Path
    databases: tuple[str, ...]

    def block(self, table: str, columns: Columns, name: str) -> Block:
        """Write columns as a Native file that the engine can read again and again."""
        names = tuple(columns)
        file = self.folder / f"{name}-{table}.native"
        staging = f"{self.databases[0]}.staging_{table}"
        self.client.command(f"CREATE TABLE {staging} AS {self.databases[0]}.{table} ENGINE = Memory")
        self.client.insert(staging, list(columns.values()), column_names=names, column_oriented=True)
        self.client.command(f"SELECT {', '.join(names)} FROM {staging} INTO OUTFILE '{file}' FORMAT Native")
        self.client.command(f"DROP TABLE {staging}")
        return Block(table, names, file)

    def blocks(self, rows: Range, name: str) -> list[Block]:
        """Write one range's tables."""
        return [self.block(table, columns, name) for table, columns in rows.tables().items()]

    def insert(self, block: Block, token: str, *, database: str) -> None:
        """Insert a block under a token, with the settings of the runtime."""
        settings = f"insert_deduplication_token = '{token}', deduplicate_blocks_in_dependent_materialized_views = 1, async_insert = 0"
        target = f"{database}.{block.table} ({', '.join(block.columns)})"
        self.client.command(f"INSERT INTO {target} FROM INFILE '{block.file}' SETTINGS {settings} FORMAT Native")

    def wait_for_merges(self) -> None:
        """Return when the engine has had nothing to merge for half a second."""
        quiet = 0
        while quiet < 5:
            time.sleep(0.1)
            quiet = 0 if self.value("SELECT count() FROM system.merges") else quiet + 1

    def value(self, sql: str) -> Any:
        """Give the only value of a query."""
        return self.client.query(sql).result_rows[0][0]


@contextmanager
def storage(*databases: str) -> Iterator[Storage]:
    """Open an engine in a temporary folder and migrate the databases."""
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder:
        client = clickhouse_connect.get_client(interface="chdb", path=f"{folder}/engine")
        try:
            for database in databases or ("llmtower",):
                create_database(client, database)
                client.command(f"USE {database}")
                migrate(client, KEEP_ALL)
            yield Storage(client, Path(folder), databases or ("llmtower",))
        finally:
            client.close()
