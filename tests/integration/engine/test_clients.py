"""The ordinary clients: clickhouse-connect sync and async, and clickhouse-go as Grafana's plugin uses it."""

import asyncio
import json
import os
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.integration.engine.conftest import Target

from llmtower_processors.engine import EngineProcess, Role

pytestmark = pytest.mark.integration

DDL = (
    "(a Int64, s String, n Nullable(Int64), t DateTime64(6, 'UTC'), lc LowCardinality(String), u UUID, "
    "m Map(String, UInt64), arr Array(LowCardinality(String)), f Float64) ENGINE = MergeTree ORDER BY a "
    "SETTINGS non_replicated_deduplication_window = 1000"
)
COLUMNS = ["a", "s", "n", "t", "lc", "u", "m", "arr", "f"]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
ROWS = [
    [1, "first", None, MOMENT, "x", UUID(int=1), {"k": 1}, ["p", "q"], 0.5],
    [2, "sécond \n'\\", 7, MOMENT, "y", UUID(int=2), {}, [], -1.0],
]


def _client(target: Target, **more: Any) -> Any:
    return clickhouse_connect.get_client(host=target.host, port=target.port, username=target.user, password=target.password, **more)


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_reads_back_what_it_wrote(target: Target, database: str, compress: str | bool) -> None:
    with _client(target, database=database, compress=compress) as client:
        client.command(f"CREATE TABLE t {DDL}")
        summary = client.insert("t", ROWS, column_names=COLUMNS, settings={"insert_deduplication_token": "x"})
        assert summary.written_rows == 2
        client.insert("t", ROWS, column_names=COLUMNS, settings={"insert_deduplication_token": "x"})
        result = client.query("SELECT * FROM t ORDER BY a", column_tzs={"t": "UTC"}, tz_mode="aware")
        assert [list(row) for row in result.result_rows] == ROWS
        assert result.column_names == tuple(COLUMNS)


def test_bound_values_too_long_for_an_address_go_as_a_form(target: Target, database: str) -> None:
    words = [f"wörd {number}\r\n'\\" for number in range(2_000)]
    with _client(target, database=database) as client:
        found = client.query(
            "SELECT {words:Array(String)} AS words, length({text:String})", parameters={"words": words, "text": "x" * 50_000}
        )
        assert found.first_row == (words, 50_000)


def test_clickhouse_connect_parameters_settings_and_errors(target: Target, database: str) -> None:
    with _client(target, database=database) as client:
        assert client.query("SELECT {a:UInt8} + 1, {s:String}", parameters={"a": 4, "s": "it's\tso\\"}).first_row == (5, "it's\tso\\")
        assert client.query("SELECT %(a)s", parameters={"a": Decimal("1.5")}).first_row is not None
        assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 2}) == 2
        assert client.command("SELECT currentDatabase()") == database
        assert client.ping()
        with pytest.raises(DatabaseError) as caught:
            client.query("SELECT * FROM no_such_table")
        assert "UNKNOWN_TABLE" in str(caught.value)


def test_clickhouse_connect_streams_many_blocks(target: Target) -> None:
    with _client(target) as client:
        total = 0
        with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(300000)") as stream:
            for block in stream:
                total += sum(row[0] for row in block)
        assert total == 300_000 * 299_999 // 2
        assert client.query_np("SELECT number FROM numbers(1000)").sum() == 499_500


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_bulk_insert_of_a_block(target: Target, database: str, compress: str | bool) -> None:
    """20,000 rows are two Native blocks, and with lz4 two frames one after the other."""
    with _client(target, database=database, compress=compress) as client:
        client.command("CREATE TABLE t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
        columns = [list(range(20_000)), ["text " * 40] * 20_000]
        client.insert("t", columns, column_names=["a", "s"], column_oriented=True)
        assert client.query("SELECT count(), sum(a) FROM t").first_row == (20_000, 20_000 * 19_999 // 2)


def test_clickhouse_connect_async(target: Target, database: str) -> None:
    async def talk() -> None:
        client = await clickhouse_connect.get_async_client(
            host=target.host, port=target.port, username=target.user, password=target.password, database=database
        )
        try:
            await client.command(f"CREATE TABLE t {DDL}")
            await client.insert("t", ROWS, column_names=COLUMNS)
            answers = await asyncio.gather(*(client.query(f"SELECT a + {number} FROM t ORDER BY a") for number in range(10)))
            assert [answer.result_rows for answer in answers] == [[(1 + number,), (2 + number,)] for number in range(10)]
        finally:
            await client.close()

    asyncio.run(talk())


@pytest.mark.parametrize("role", list(Role))
def test_clickhouse_connect_as_each_role(shared_engine: EngineProcess, role: Role) -> None:
    password = shared_engine.credentials.password(role)
    with clickhouse_connect.get_client(host=shared_engine.host, port=shared_engine.port, username=role, password=password) as client:
        assert client.query("SELECT number FROM numbers(3)").result_rows == [(0,), (1,), (2,)]


def test_clickhouse_connect_without_credentials_is_a_dashboards_reader(shared_engine: EngineProcess) -> None:
    with clickhouse_connect.get_client(host=shared_engine.host, port=shared_engine.port) as client:
        assert client.command("SELECT 1") == 1
        with pytest.raises(DatabaseError, match="ACCESS_DENIED"):
            client.command("CREATE DATABASE nobody")


def _go(binary: Path, target: Target, user: str, password: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [binary, f"{target.host}:{target.port}", "default", user, *arguments],
        env={**os.environ, "GOCLIENT_PASSWORD": password},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


TYPES = """SELECT toInt64(-5) AS i, 'text' AS s, toNullable(toUInt32(7)) AS n, CAST(NULL AS Nullable(String)) AS nothing,
toLowCardinality('lc') AS lc, toLowCardinality(toNullable('lcn')) AS lcn, [1, 2]::Array(UInt8) AS arr,
['a', 'b']::Array(LowCardinality(String)) AS arrlc, map('k', 1.5) AS m, toDateTime64('2026-01-02 03:04:05.678901', 6, 'UTC') AS t,
toDate('2026-01-02') AS d, toUUID('00000000-0000-0000-0000-000000000001') AS u, toDecimal64('1.25', 2) AS dec,
true AS b, toFixedString('ab', 2) AS fs, CAST('x' AS Enum8('x' = 1)) AS e FROM numbers(2)"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd", "br", "deflate"])
def test_clickhouse_go_reads_types_blocks_and_errors(goclient: Path, target: Target, compression: str) -> None:
    seen = _go(goclient, target, target.user, target.password, compression, TYPES)
    expected = ["-5", '"text"', "7", "null", '"lc"', '"lcn"']
    assert seen["rows"][0][:6] == expected
    assert seen["rows"][0] == seen["rows"][1]
    assert seen["rows"][0][7] == '["a","b"]'
    assert seen["rows"][0][8] == '{"k":1.5}'
    assert '"2026-01-02T03:04:05.678901Z"' in seen["rows"][0]
    assert seen["columns"][-1] == "e"
    assert (seen["count"], seen["sum"]) == (200_000, 200_000 * 199_999 // 2)
    assert seen["bound"] == "it's bound"
    assert seen["error"] == 60


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4"])
def test_clickhouse_go_inserts(goclient: Path, target: Target, database: str, compression: str) -> None:
    target.raw().ok(f"CREATE TABLE {database}.t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    seen = _go(goclient, target, target.user, target.password, compression, "SELECT 1", f"{database}.t")
    assert seen["stored"] == 1000


def test_clickhouse_go_as_the_dashboards_reader(goclient: Path, shared_engine: EngineProcess, target: Target) -> None:
    password = shared_engine.credentials.password(Role.DASHBOARDS)
    seen = _go(goclient, target, Role.DASHBOARDS.value, password, "gzip", "SELECT name FROM system.databases WHERE name = 'system'")
    assert seen["rows"] == [['"system"']]
    assert seen["error"] == 60
