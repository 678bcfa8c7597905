"""ClickHouse's HTTP interface as a bare client sees it; all of it holds on a ClickHouse server too."""

import json
import socket
import threading
import time

import pytest
from tests.integration.engine.conftest import Target

from llmtower_processors.engine import compression

pytestmark = pytest.mark.integration


def test_ping_and_the_root_answer_ok(target: Target) -> None:
    for path in ("/ping", "/"):
        response = target.raw().send(method="GET", path=path)
        assert (response.status, response.body) == (200, b"Ok.\n")


def test_query_in_the_url_in_the_body_or_both(target: Target) -> None:
    raw = target.raw()
    assert raw.get("SELECT 1").text == "1"
    assert raw.send("SELECT 2").text == "2"
    assert raw.send(" + 4", params={"query": "SELECT 3"}).text == "7"


def test_formats_and_their_headers(target: Target) -> None:
    raw = target.raw()
    response = raw.send("SELECT 1 AS a FORMAT JSONCompact")
    assert json.loads(response.body)["data"] == [[1]]
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["X-ClickHouse-Format"] == "JSONCompact"
    assert raw.send("SELECT 1 AS a", params={"default_format": "JSONEachRow"}).text == '{"a":1}'
    assert raw.send("SELECT 1 AS a", headers={"X-ClickHouse-Format": "CSVWithNames"}).text == '"a"\n1'
    assert raw.send("SELECT 1 FORMAT Null").body == b""
    assert raw.send("SELECT 1 AS a FORMAT TSV SETTINGS max_threads = 1").text == "1"
    assert raw.send("SELECT 1 FORMAT NoSuchFormat").code == 73


def test_parameters_settings_and_database(target: Target, database: str) -> None:
    raw = target.raw()
    assert raw.ok("SELECT {a:UInt32} + 1, {s:String}", param_a="41", param_s="it's") == "42\tit\\'s"
    assert raw.ok("SELECT {t:Array(String)}", param_t="['x','y']") == "['x','y']"
    assert raw.send("SELECT {a:UInt32}", params={"param_a": "x"}).status == 400
    assert raw.send("SELECT {a:UInt32}").status == 400
    assert raw.ok("SELECT getSetting('max_threads')", max_threads="3") == "3"
    assert raw.send("SELECT 1", params={"no_such_setting": "1"}).code == 115
    assert raw.ok("SELECT currentDatabase()", database=database) == database
    assert raw.send("SELECT currentDatabase()", headers={"X-ClickHouse-Database": database}).text == database
    assert raw.send("SELECT 1", params={"database": "no_such_database"}).code == 81


def test_settings_of_one_request_do_not_reach_the_next(target: Target) -> None:
    raw = target.raw()
    usual = raw.ok("SELECT getSetting('max_block_size')")
    for _ in range(20):
        assert raw.ok("SELECT getSetting('max_block_size')", max_block_size="777") == "777"
        assert raw.ok("SELECT getSetting('max_block_size')") == usual
    raw.ok("SET max_block_size = 778")
    assert {raw.ok("SELECT getSetting('max_block_size')") for _ in range(20)} == {usual}


def test_exceptions_carry_code_name_and_status(target: Target) -> None:
    raw = target.raw()
    response = raw.send("SELECT * FROM no_such_table")
    assert (response.status, response.code) == (404, 60)
    assert response.text.startswith("Code: 60. DB::Exception: ")
    assert "(UNKNOWN_TABLE)" in response.text
    assert "(version " in response.text
    assert raw.send("SELEC 1").status == 400
    assert raw.send("SELECT throwIf(1)").status == 500


def test_summary_counts_rows(target: Target, database: str) -> None:
    raw = target.raw()
    raw.ok(f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a")
    written = json.loads(raw.send(f"INSERT INTO {database}.t VALUES (1),(2),(3)").headers["X-ClickHouse-Summary"])
    assert written["written_rows"] == "3"
    read = json.loads(raw.send(f"SELECT * FROM {database}.t", params={"wait_end_of_query": "1"}).headers["X-ClickHouse-Summary"])
    assert (read["read_rows"], read["result_rows"]) == ("3", "3")


def test_query_id_comes_back(target: Target) -> None:
    raw = target.raw()
    name = f"mine-{time.monotonic_ns()}"
    assert raw.send("SELECT 1", params={"query_id": name}).headers["X-ClickHouse-Query-Id"] == name
    assert len(raw.send("SELECT 1").headers["X-ClickHouse-Query-Id"]) == 36


INSERTS = [
    ("VALUES (1, 'a'), (2, 'b;c')", None),
    ("(s, a) VALUES ('a', 1), ('b;c', 2)", None),
    ('FORMAT JSONEachRow\n{"a": 1, "s": "a"}\n{"a": 2, "s": "b;c"}', None),
    ("FORMAT CSV\n1,a\n2,b;c\n", None),
    ("FORMAT TabSeparated", "1\ta\n2\tb;c\n"),
    ("SETTINGS max_threads = 1 FORMAT CSV", "1,a\n2,b;c\n"),
    ("(`a`, `s`) FORMAT Values", "(1, 'a'), (2, 'b;c')"),
    ("VALUES", "(1, 'a'), (2, 'b;c')"),
    ("SELECT number + 1, ['a', 'b;c'][number + 1] FROM numbers(2)", None),
]


@pytest.mark.parametrize(("tail", "body"), INSERTS)
def test_inserts_in_every_shape(target: Target, database: str, tail: str, body: str | None) -> None:
    raw = target.raw()
    raw.ok(f"CREATE TABLE {database}.t (a Int64, s String) ENGINE = MergeTree ORDER BY a")
    statement = f"INSERT INTO {database}.t {tail}"
    response = raw.send(statement) if body is None else raw.send(body, params={"query": statement})
    assert response.status == 200, response.text
    assert raw.ok(f"SELECT * FROM {database}.t ORDER BY a") == "1\ta\n2\tb;c"


def test_bad_rows_are_refused_whole(target: Target, database: str) -> None:
    raw = target.raw()
    raw.ok(f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a")
    for body in ('{"a": 1}\n{"a": "x"}', '{"a": 1}\n{"a":'):
        response = raw.send(body, params={"query": f"INSERT INTO {database}.t FORMAT JSONEachRow"})
        assert response.code in (6, 26, 27, 32, 117)
        assert ".rows" not in response.text
        assert response.text.count("DB::Exception") == 1
    assert raw.send(b"\x01\x02garbage", params={"query": f"INSERT INTO {database}.t FORMAT Native"}).code > 0
    assert raw.ok(f"SELECT count() FROM {database}.t") == "0"


def test_the_same_token_is_stored_once_in_the_table_and_behind_it(target: Target, database: str) -> None:
    raw = target.raw()
    window = "SETTINGS non_replicated_deduplication_window = 1000"
    raw.ok(f"CREATE TABLE {database}.t (d Date, a Int64) ENGINE = MergeTree PARTITION BY toYYYYMM(d) ORDER BY a {window}")
    raw.ok(f"CREATE TABLE {database}.sums (k Int8, a Int64) ENGINE = SummingMergeTree ORDER BY k {window}")
    raw.ok(f"CREATE MATERIALIZED VIEW {database}.mv TO {database}.sums AS SELECT 1 AS k, sum(a) AS a FROM {database}.t GROUP BY k")
    settings = {"deduplicate_blocks_in_dependent_materialized_views": "1"}
    statement = f"INSERT INTO {database}.t FORMAT CSV"
    for token in ("one", "one", "two", "one", "two"):
        raw.send("2026-01-31,5\n2026-02-01,6\n", params={"query": statement, "insert_deduplication_token": token, **settings})
    in_text = f"INSERT INTO {database}.t SETTINGS insert_deduplication_token = 'two' FORMAT CSV"
    raw.send("2026-01-31,5\n2026-02-01,6\n", params={"query": in_text, **settings})
    assert raw.ok(f"SELECT count(), sum(a) FROM {database}.t") == "4\t22"
    assert raw.ok(f"SELECT sum(a) FROM {database}.sums") == "22"


def test_two_inserts_of_one_token_at_a_time_store_it_once(target: Target, database: str) -> None:
    raw = target.raw()
    raw.ok(f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 1000")
    rows = "".join(f"{number}\n" for number in range(20_000))
    statuses: list[int] = []

    def insert() -> None:
        query = f"INSERT INTO {database}.t FORMAT CSV"
        statuses.append(raw.send(rows, params={"query": query, "insert_deduplication_token": "once"}).status)

    threads = [threading.Thread(target=insert) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert raw.ok(f"SELECT count() FROM {database}.t") == "20000"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "lz4", "br"])
def test_content_encodings_both_ways(target: Target, database: str, encoding: str) -> None:
    raw = target.raw()
    raw.ok(f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a")
    rows = "".join(f"{number}\n" for number in range(1000))
    packed = compression.ENCODERS[encoding](rows.encode())
    response = raw.send(packed, params={"query": f"INSERT INTO {database}.t FORMAT CSV"}, headers={"Content-Encoding": encoding})
    assert response.status == 200, response.text
    response = raw.send(
        f"SELECT a FROM {database}.t ORDER BY a", params={"enable_http_compression": "1"}, headers={"Accept-Encoding": encoding}
    )
    assert response.headers["Content-Encoding"] == encoding
    assert compression.decode(response.body, encoding, limit=2**20).decode() == rows


@pytest.mark.parametrize("method", ["LZ4", "ZSTD"])
def test_native_blocks_both_ways(target: Target, database: str, method: str) -> None:
    raw = target.raw()
    raw.ok(f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a")
    rows = "".join(f"{number}\n" for number in range(1000)).encode()
    query = f"INSERT INTO {database}.t FORMAT CSV"
    assert raw.send(compression.to_blocks(rows, method), params={"query": query, "decompress": "1"}).status == 200
    response = raw.send(f"SELECT a FROM {database}.t ORDER BY a", params={"compress": "1", "network_compression_method": method})
    assert compression.from_blocks(response.body, limit=2**20) == rows
    damaged = bytearray(compression.to_blocks(rows, method))
    damaged[40] ^= 1
    assert raw.send(bytes(damaged), params={"query": query, "decompress": "1"}).code > 0
    assert raw.ok(f"SELECT count() FROM {database}.t") == "1000"


def test_a_slow_select_delays_neither_inserts_nor_quick_selects(target: Target, database: str) -> None:
    raw = target.raw()
    raw.ok(f"CREATE TABLE {database}.t (a Int64) ENGINE = MergeTree ORDER BY a")
    slow = threading.Thread(target=lambda: raw.ok("SELECT sleepEachRow(1) FROM numbers(5)", max_block_size="1"))
    slow.start()
    time.sleep(0.3)
    for number in range(5):
        raw.ok(f"INSERT INTO {database}.t VALUES ({number})")
        assert raw.ok("SELECT 1") == "1"
    assert slow.is_alive(), "an insert or a SELECT 1 waited behind the slow SELECT"
    slow.join()


def test_chunked_bodies_expectations_and_keep_alive(target: Target) -> None:
    user, password = target.user, target.password
    head = f"POST /?user={user}&password={password} HTTP/1.1\r\nHost: {target.host}\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection((target.host, target.port), timeout=10) as connection:
        for _ in range(2):
            connection.sendall(f"{head}\r\n7\r\nSELECT \r\n1\r\n7\r\n0\r\n\r\n".encode())
            assert _read_response(connection).endswith(b"\r\n\r\n7\n")
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"8\r\nSELECT 8\r\n0\r\n\r\n")
        assert b"8\n" in _read_response(connection)


def _read_response(connection: socket.socket) -> bytes:
    received = b""
    while True:
        received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), None)
        if length is not None and len(body) >= length:
            return received
        if body.endswith(b"0\r\n\r\n"):
            return received


def test_wrong_credentials_are_refused(target: Target) -> None:
    response = target.raw(password="wrong").send("SELECT 1")
    assert response.status in (401, 403)
    assert response.code == 516
