"""Retention by expiry: what is older than the settings allow is gone after a merge, what is younger stays, and each limit is its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.storage.conftest import KEEP_ALL

from llmtower_processors.migrate import migrate
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.tables import TABLES

pytestmark = pytest.mark.integration
LIMITED = [(name, str(spec.retention), spec.time_column) for name, spec in TABLES.items() if spec.retention]


def insert_aged(client: Client, table: str, time_column: str, ages_days: list[float]) -> None:
    """Insert one row of each age; every other column stands at its default."""
    now = datetime.now(UTC).replace(microsecond=0)
    kinds = client.query(f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '{table}'").result_rows
    kind = next(str(kind) for name, kind in kinds if name == time_column)
    scale = 1 if not kind.startswith("DateTime64") else 10 ** int(kind[len("DateTime64(")])
    ticks = [int((now - timedelta(days=age)).timestamp()) * scale for age in ages_days]
    client.insert(table, [ticks], column_names=[time_column], column_oriented=True)


def ages(client: Client, table: str, time_column: str) -> list[int]:
    """Give the ages in whole days of the rows that are left after a merge."""
    client.command(f"OPTIMIZE TABLE {table} FINAL")
    rows = client.query(f"SELECT age('day', {time_column}, now('UTC')) AS age FROM {table} ORDER BY age").result_rows
    return [int(age) for (age,) in rows]


def test_rows_older_than_the_default_limit_vanish_from_every_table(empty: Client) -> None:
    migrate(empty, RetentionSettings())
    limits = {table: int(getattr(RetentionSettings(), setting)) for table, setting, _ in LIMITED}
    for table, _, time_column in LIMITED:
        empty.command(f"TRUNCATE TABLE {table}")
        insert_aged(empty, table, time_column, [0.01, limits[table] - 0.9, limits[table] + 0.1, limits[table] + 40])
        assert (table, ages(empty, table, time_column)) == (table, [0, limits[table] - 1])


def test_the_defaults_are_those_of_the_design() -> None:
    limits = RetentionSettings()
    assert (limits.contents_days, limits.dead_letter_bytes_days, limits.calls_days, limits.topics_days) == (30, 14, 400, 7)


def test_texts_expire_while_their_call_stays(empty: Client) -> None:
    migrate(empty, RetentionSettings())
    for table in ("calls", "contents"):
        insert_aged(empty, table, "started_at", [31, 1])
    assert (ages(empty, "contents", "started_at"), ages(empty, "calls", "started_at")) == ([1], [1, 31])


def test_hourly_rollups_outlive_the_calls(empty: Client) -> None:
    migrate(empty, RetentionSettings())
    insert_aged(empty, "calls", "started_at", [399, 500])
    assert ages(empty, "calls", "started_at") == [399]
    assert ages(empty, "rollup_1m", "minute") == [399]
    for rollup in ("rollup_1h", "rollup_user_1h"):
        assert ages(empty, rollup, "hour") == [399, 500]


def test_a_shorter_limit_takes_effect_on_rows_that_are_there_and_none_removes_it(empty: Client) -> None:
    migrate(empty, KEEP_ALL)
    insert_aged(empty, "calls", "started_at", [1, 20, 40])
    assert ages(empty, "calls", "started_at") == [1, 20, 40]
    migrate(empty, RetentionSettings(calls_days=30))
    assert ages(empty, "calls", "started_at") == [1, 20]
    migrate(empty, KEEP_ALL)
    insert_aged(empty, "calls", "started_at", [500])
    assert ages(empty, "calls", "started_at") == [1, 20, 500]


def test_running_it_again_with_the_same_limits_alters_nothing(empty: Client) -> None:
    migrate(empty, RetentionSettings(calls_days=30))
    said: list[Any] = []
    assert migrate(empty, RetentionSettings(calls_days=30), said.append).retention == ()
    assert said == []
