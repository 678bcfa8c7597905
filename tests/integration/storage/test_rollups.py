"""Rollups say exactly what the calls say: integer sums, whatever was sent again, over minutes, hours, users and 400 days."""

from datetime import UTC, datetime
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.storage.conftest import NOON, Insert
from tests.integration.storage.rows import COSTS, TOKENS, Columns, calls

pytestmark = pytest.mark.integration
DIMENSIONS = "project, app, environment, provider, request_model, operation, error_class, prompt_name, prompt_version"
SUMS = {
    "calls": "count()",
    "errors": "countIf(status != 'ok')",
    "streamed": "countIf(stream)",
    "retries": "sum(ifNull(retries, 0))",
    "priced_calls": "countIf(cost_nano_usd IS NOT NULL)",
    "unpriced_calls": "countIf(cost_nano_usd IS NULL AND cost_status != 'failed')",
    **{name: f"sum({name})" for name in (*TOKENS, "duration_us")},
    **{name: f"sum(ifNull({name}, 0))" for name in (*COSTS, "ttft_us")},
    "ttft_calls": "countIf(ttft_us IS NOT NULL)",
}
"""Each exact column of the rollups, and what it is of the calls."""

USER_SUMS = {
    "calls": "count()",
    "errors": "countIf(status != 'ok')",
    "unpriced_calls": "countIf(cost_nano_usd IS NULL AND cost_status != 'failed')",
    "total_tokens": f"sum({' + '.join(f'toUInt64({name})' for name in TOKENS)})",
    "cost_nano_usd": "sum(ifNull(cost_nano_usd, 0))",
}


def rows(client: Client, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(sql).result_rows]


def assert_rollups_equal_calls(client: Client) -> None:
    """Compare every key and every exact column of the three rollups with the calls."""
    computed, stored = ", ".join(SUMS.values()), ", ".join(f"sum(rollup.{name})" for name in SUMS)
    for table, time, function in (("rollup_1m", "minute", "toStartOfMinute"), ("rollup_1h", "hour", "toStartOfHour")):
        expected = rows(
            client, f"SELECT {function}(toDateTime(started_at, 'UTC')) AS t, {DIMENSIONS}, {computed} FROM calls GROUP BY ALL ORDER BY ALL"
        )
        found = rows(client, f"SELECT {time} AS t, {DIMENSIONS}, {stored} FROM {table} AS rollup GROUP BY ALL ORDER BY ALL")
        assert found == expected, table
        assert len(found) > 1
    keys = "project, app, environment, user_id, request_model"
    computed, stored = ", ".join(USER_SUMS.values()), ", ".join(f"sum(rollup.{name})" for name in USER_SUMS)
    expected = rows(
        client, f"SELECT toStartOfHour(toDateTime(started_at, 'UTC')) AS t, {keys}, {computed} FROM calls GROUP BY ALL ORDER BY ALL"
    )
    assert rows(client, f"SELECT hour AS t, {keys}, {stored} FROM rollup_user_1h AS rollup GROUP BY ALL ORDER BY ALL") == expected


def merge(client: Client) -> None:
    for table in ("calls", "rollup_1m", "rollup_1h", "rollup_user_1h"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")


def test_every_exact_column_of_the_rollups_is_compared(client: Client) -> None:
    for table, known in (("rollup_1m", SUMS), ("rollup_1h", SUMS), ("rollup_user_1h", USER_SUMS)):
        sql = f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '{table}'"
        assert {name for name, kind in rows(client, sql) if kind.startswith("SimpleAggregateFunction(sum,")} == set(known)


def test_sums_equal_those_of_the_calls_before_and_after_merges(client: Client, insert: Insert) -> None:
    for number in range(6):
        insert("calls", calls(500, seed=number, start_us=NOON + number * 700_000_000, span_s=5_000), f"range {number}")
    assert_rollups_equal_calls(client)
    merge(client)
    assert_rollups_equal_calls(client)
    assert client.command("SELECT sum(calls) FROM rollup_1h") == 3_000


def test_a_token_sent_again_changes_neither_table_nor_rollups(client: Client, insert: Insert) -> None:
    """The truth table: the same token four times, also after merges, and with rows over several months."""
    columns = calls(300, seed=1, start_us=NOON - 70 * 86_400_000_000, span_s=70 * 86_400)
    for number in range(4):
        insert("calls", columns, "the same")
        if number == 1:
            merge(client)
    assert client.command("SELECT count() FROM calls") == 300
    for table in ("rollup_1m", "rollup_1h", "rollup_user_1h"):
        assert client.command(f"SELECT sum(calls) FROM {table}") == 300, table
    assert_rollups_equal_calls(client)


def test_identical_rows_under_another_token_are_other_rows(client: Client, insert: Insert) -> None:
    columns = calls(50, seed=1, start_us=NOON, span_s=100)
    insert("calls", columns, "first")
    insert("calls", columns, "second")
    for source in ("count() FROM calls", "sum(calls) FROM rollup_1m", "sum(calls) FROM rollup_1h", "sum(calls) FROM rollup_user_1h"):
        assert client.command(f"SELECT {source}") == 100, source
    assert_rollups_equal_calls(client)


def test_one_insert_may_span_400_days(client: Client, insert: Insert) -> None:
    """Fourteen months of `calls`, 58 weeks of `contents`: the engine refuses an insert into more than 100 partitions."""
    start = NOON - 399 * 86_400_000_000
    columns = calls(2_000, seed=3, start_us=start, span_s=399 * 86_400)
    insert("calls", columns, "a long time")
    insert("contents", {"started_at": columns["started_at"], "app": columns["app"], "input": ["text"] * 2_000}, "a long time")
    insert("requests", {"started_at": columns["started_at"], "app": columns["app"]}, "a long time")
    for table, least in (("calls", 14), ("contents", 57), ("requests", 14)):
        assert client.command(f"SELECT count() FROM {table}") == 2_000
        assert client.command(
            f"SELECT uniqExact(partition) >= {least} FROM system.parts WHERE active AND database = currentDatabase() AND table = '{table}'"
        )
    assert_rollups_equal_calls(client)


def test_sums_beyond_32_bits_stay_exact(client: Client, insert: Insert) -> None:
    columns: Columns = {
        "started_at": [NOON] * 3,
        "input_tokens": [4_294_967_295] * 3,
        "duration_us": [(1 << 53) - 1] * 3,
        "cost_nano_usd": [4_611_686_018_427_387_903, -4_611_686_018_427_387_903, 2_305_843_009_213_693_951],
    }
    insert("calls", columns, "large")
    found = rows(client, "SELECT sum(input_tokens), sum(duration_us), sum(cost_nano_usd) FROM rollup_1h")
    assert found == [(3 * 4_294_967_295, 3 * ((1 << 53) - 1), 2_305_843_009_213_693_951)]
    assert client.command("SELECT sum(total_tokens) FROM rollup_user_1h") == 3 * 4_294_967_295


def test_minutes_and_hours_begin_where_the_clock_says(client: Client, insert: Insert) -> None:
    hour = 3_600_000_000
    insert("calls", {"started_at": [NOON - 1, NOON, NOON + 59_999_999, NOON + 60_000_000, NOON + hour - 1]}, "edges")
    found = rows(client, "SELECT toUnixTimestamp(minute), sum(calls) FROM rollup_1m GROUP BY minute ORDER BY minute")
    noon = NOON // 1_000_000
    assert found == [(noon - 60, 1), (noon, 2), (noon + 60, 1), (noon + 3_540, 1)]
    assert datetime.fromtimestamp(noon, UTC).hour == 12
    assert rows(client, "SELECT toUnixTimestamp(hour), sum(calls) FROM rollup_1h GROUP BY hour ORDER BY hour") == [
        (noon - 3_600, 1),
        (noon, 4),
    ]


def test_deleting_an_hour_deletes_it_from_the_projection_too(client: Client, insert: Insert) -> None:
    """The audit deletes and rebuilds hours; a query that the engine answers from the projection must follow."""
    insert("calls", calls(400, seed=5, start_us=NOON, span_s=3 * 3_600), "three hours")
    client.command(f"DELETE FROM rollup_1h WHERE hour = toDateTime({NOON // 1_000_000}, 'UTC')", settings={"lightweight_deletes_sync": 2})
    sql = "SELECT app, sum(calls), sum(cost_nano_usd) FROM rollup_1h GROUP BY app ORDER BY app"
    plan = str(client.command(f"EXPLAIN {sql}"))
    assert "by_model" in plan
    without = client.query(sql, settings={"optimize_use_projections": 0}).result_rows
    assert client.query(sql).result_rows == without
    remaining = rows(
        client,
        f"SELECT app, count() FROM calls WHERE started_at >= toDateTime({NOON // 1_000_000 + 3_600}, 'UTC') GROUP BY app ORDER BY app",
    )
    assert [(app, count) for app, count, _ in without] == remaining
