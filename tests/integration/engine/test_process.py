"""The engine as a process: start, stop, crash, repair, and who may talk to it."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # no stubs in the locked requirements
import pytest
from tests.integration.engine.raw import Raw

from llmtower_processors.engine import EngineProcess, EngineStartError, Role
from llmtower_processors.engine.inbox import folder_name

pytestmark = pytest.mark.integration

WINDOW = "SETTINGS non_replicated_deduplication_window = 1000"
TABLES = (
    "CREATE DATABASE llmtower",
    f"CREATE TABLE llmtower.calls (d Date, a Int64) ENGINE = MergeTree PARTITION BY toYYYYMM(d) ORDER BY a {WINDOW}",
    f"CREATE TABLE llmtower.sums (d Date, a Int64) ENGINE = SummingMergeTree PARTITION BY toYYYYMM(d) ORDER BY d {WINDOW}",
    "CREATE MATERIALIZED VIEW llmtower.mv TO llmtower.sums AS SELECT d, sum(a) AS a FROM llmtower.calls GROUP BY d",
)
ROWS = "2026-01-31,1\n2026-02-01,2\n"


def _writer(engine: EngineProcess) -> Raw:
    return Raw(engine.host, engine.port, Role.WRITER.value, engine.credentials.password(Role.WRITER))


def _insert(client: Raw, token: str, rows: str = ROWS) -> None:
    query = "INSERT INTO llmtower.calls FORMAT CSV"
    response = client.send(rows, params={"query": query, "insert_deduplication_token": token})
    assert response.status == 200, response.text


def test_start_publishes_and_stop_cleans_up(data_dir: Path) -> None:
    engine = EngineProcess(data_dir).start()
    published = json.loads((data_dir / "engine.json").read_text())
    assert published == {"port": engine.port, "pid": engine.pid}
    assert stat.S_IMODE((data_dir / "credentials.json").stat().st_mode) == 0o600
    assert sorted(json.loads((data_dir / "credentials.json").read_text())) == sorted(Role)
    assert engine.log_file.read_text().count("ready on") == 1
    assert engine.stop() == 0
    assert not (data_dir / "engine.json").exists()


def test_stop_lets_a_running_insert_finish(data_dir: Path) -> None:
    with EngineProcess(data_dir) as engine:
        client = _writer(engine)
        for statement in TABLES:
            client.ok(statement)
        slow = "INSERT INTO llmtower.calls SELECT toDate('2026-01-31') + sleepEachRow(0.2), number FROM numbers(8)"
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(client.send(slow, params={"max_block_size": "1"}).status))
        thread.start()
        time.sleep(0.4)
        assert engine.stop() == 0
        thread.join()
        assert answers == [200]
        engine.start()
        assert _writer(engine).ok("SELECT count() FROM llmtower.calls") == "8"


def test_stop_does_not_wait_for_slow_selects(data_dir: Path) -> None:
    with EngineProcess(data_dir) as engine:
        client = Raw(engine.host, engine.port)
        codes: list[int] = []
        slow = "SELECT sleepEachRow(1) FROM numbers(100)"
        thread = threading.Thread(target=lambda: codes.append(client.send(slow, params={"max_block_size": "1"}).code))
        thread.start()
        time.sleep(1)
        assert engine.stop() == 0
        thread.join()
        assert codes == [394]
        engine.start()


def test_a_killed_engine_starts_again_and_lost_nothing(data_dir: Path) -> None:
    engine = EngineProcess(data_dir).start()
    passwords = engine.credentials
    client = _writer(engine)
    for statement in TABLES:
        client.ok(statement)
    stored: list[int] = []
    stop = threading.Event()

    def insert_until_dead() -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            try:
                _insert(client, f"t{number}", f"2026-01-31,{number}\n2026-02-01,{number}\n")
            except (OSError, AssertionError):
                return
            stored.append(number)

    for _ in range(3):
        thread = threading.Thread(target=insert_until_dead)
        stored.clear()
        thread.start()
        time.sleep(0.5)
        engine.kill()
        thread.join()
        assert stored, "no insert got through before the kill"
        engine.start()
        client = _writer(engine)
        for number in (*stored, stored[-1] + 1):
            _insert(client, f"t{number}", f"2026-01-31,{number}\n2026-02-01,{number}\n")
        expected = f"{2 * (stored[-1] + 2)}\t{(stored[-1] + 1) * (stored[-1] + 2)}"
        assert client.ok("SELECT count(), sum(a) FROM llmtower.calls") == expected
        assert client.ok("SELECT sum(a) FROM llmtower.sums") == expected.split("\t")[1]
        client.ok("TRUNCATE TABLE llmtower.calls")
        client.ok("TRUNCATE TABLE llmtower.sums")
    assert engine.credentials == passwords
    assert engine.stop() == 0


@pytest.mark.parametrize("survivors", [0, 1])
def test_killed_between_log_and_rename_the_replay_is_stored(data_dir: Path, survivors: int) -> None:
    """The crash state of rule 7: the deduplication log knows a block over two partitions, its last parts were never renamed."""
    with EngineProcess(data_dir) as engine:
        client = _writer(engine)
        for statement in TABLES:
            client.ok(statement)
        client.ok("SYSTEM STOP MERGES")
        _insert(client, "before")
        _insert(client, "lost")
    tables = {path.parent for path in (data_dir / "clickhouse").glob("store/*/*/deduplication_logs")}
    assert len(tables) == 2
    for table in tables:
        log = table / "deduplication_logs" / "deduplication_log_1.txt"
        names = [line.split("\t")[1] for line in log.read_text().splitlines()]
        assert len(names) == 4
        for name in names[2 + survivors :]:
            (table / name).rename(table / f"tmp_insert_{name}")
        # The engine writes part after part: what it never reached is not in the log, and the line after that is torn.
        lines = log.read_text().splitlines()[: 3 + survivors]
        log.write_text("\n".join(lines) + "\n1\t202603_9_9")
    with EngineProcess(data_dir) as engine:
        client = _writer(engine)
        assert "Repaired a deduplication log: 1 blocks without a part, 1 torn lines." in engine.log_file.read_text()
        for token in ("before", "lost", "lost"):
            _insert(client, token)
        assert client.ok("SELECT count(), sum(a) FROM llmtower.calls") == "4\t6"
        assert client.ok("SELECT sum(a) FROM llmtower.sums") == "6"


def test_without_the_repair_the_replay_would_be_lost(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the evidence for rule 7: if the engine ever mends this itself, this test says so."""
    with EngineProcess(data_dir) as engine:
        client = _writer(engine)
        for statement in TABLES:
            client.ok(statement)
        _insert(client, "lost")
    for log in (data_dir / "clickhouse").glob("store/*/*/deduplication_logs/*.txt"):
        name = log.read_text().splitlines()[-1].split("\t")[1]
        (log.parent.parent / name).rename(log.parent.parent / f"tmp_insert_{name}")
    code = "import sys\nfrom llmtower_processors.engine import repair, __main__ as m\nrepair.repair = lambda data: []\nsys.exit(m.main())"
    arguments = [sys.executable, "-c", code, "--data-dir", str(data_dir), "--port", "0"]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
        try:
            endpoint = data_dir / "engine.json"
            deadline = time.monotonic() + 30
            while not endpoint.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            port = json.loads(endpoint.read_text())["port"]
            client = Raw("127.0.0.1", port, Role.WRITER.value, engine.credentials.password(Role.WRITER))
            _insert(client, "lost")
            assert client.ok("SELECT count() FROM llmtower.calls") == "1"
        finally:
            process.terminate()


def test_a_second_engine_on_the_same_directory_is_refused(data_dir: Path) -> None:
    with EngineProcess(data_dir) as first:
        with pytest.raises(EngineStartError, match="another engine runs on"):
            EngineProcess(data_dir).start()
        assert _writer(first).ok("SELECT 1") == "1"


def test_a_broken_credentials_file_is_named(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "credentials.json").write_text('{"writer": "x"}')
    with pytest.raises(EngineStartError, match=r"credentials\.json: must be a JSON object"):
        EngineProcess(data_dir).start()


def test_a_taken_port_is_named(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EngineStartError, match="The engine cannot start"):
        EngineProcess(data_dir, port=taken.getsockname()[1]).start()


def test_beyond_this_machine_only_when_asked_for(data_dir: Path) -> None:
    with pytest.raises(EngineStartError, match="reachable from other machines"):
        EngineProcess(data_dir, extra=("--host", "0.0.0.0")).start()
    with EngineProcess(data_dir, extra=("--host", "0.0.0.0", "--allow-remote")) as engine:
        assert _writer(engine).ok("SELECT 1") == "1"
        client = Raw(engine.host, engine.port)
        assert client.ok("SELECT 1") == "1"
        assert client.send("SELECT 1", headers={"Host": f"db.example:{engine.port}"}).code == 516


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8123"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_foreign_pages_are_refused(shared_engine: EngineProcess, headers: dict[str, str]) -> None:
    for client in (Raw(shared_engine.host, shared_engine.port), _writer(shared_engine)):
        response = client.send("SELECT 1", headers=headers)
        assert response.status == 403
        assert response.body != b"1\n"


@pytest.mark.parametrize(
    "headers", [{"Host": "localhost:1"}, {"Host": "[::1]:80"}, {"Origin": "http://localhost:8600"}, {"Origin": "http://127.0.0.1:1"}]
)
def test_pages_of_this_machine_are_served(shared_engine: EngineProcess, headers: dict[str, str]) -> None:
    assert Raw(shared_engine.host, shared_engine.port).send("SELECT 1", headers=headers).text == "1"


def test_three_ways_to_say_who_one_is(shared_engine: EngineProcess) -> None:
    nobody = Raw(shared_engine.host, shared_engine.port)
    password = shared_engine.credentials.password(Role.WRITER)
    statement = "CREATE DATABASE IF NOT EXISTS who"
    assert nobody.send(statement, params={"user": "writer", "password": password}).status == 200
    assert nobody.send(statement, headers={"X-ClickHouse-User": "writer", "X-ClickHouse-Key": password}).status == 200
    assert _writer(shared_engine).send(statement).status == 200
    assert nobody.send(statement).code == 497
    assert nobody.send(statement, params={"user": "default"}).code == 497
    for user, wrong in (("writer", ""), ("writer", "x"), ("nobody", password), ("dashboards", password), ("default", "x"), ("", "x")):
        assert nobody.send("SELECT 1", params={"user": user, "password": wrong}).code == 516, user
    assert nobody.send("SELECT 1", headers={"Authorization": "Bearer x"}).code == 516
    assert nobody.send("SELECT 1", headers={"Authorization": "Basic %%%"}).code == 516


def test_get_never_writes(shared_engine: EngineProcess) -> None:
    client = _writer(shared_engine)
    assert client.get("CREATE DATABASE got").code == 164
    assert client.get("INSERT INTO x VALUES (1)").code == 164


def test_bodies_that_end_early_store_nothing(shared_engine: EngineProcess) -> None:
    client = _writer(shared_engine)
    client.ok("CREATE TABLE default.cut (a Int64) ENGINE = MergeTree ORDER BY a")
    target = f"/?query=INSERT%20INTO%20default.cut%20FORMAT%20CSV&user=writer&password={client.password}"
    for framing in ("Content-Length: 100", "Transfer-Encoding: chunked"):
        with socket.create_connection((shared_engine.host, shared_engine.port)) as connection:
            body = "5\r\n1\n2\n3\r\n" if "chunked" in framing else "1\n2\n3\n"
            connection.sendall(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}".encode())
    time.sleep(0.5)
    assert client.ok("SELECT count() FROM default.cut") == "0"
    client.ok("DROP TABLE default.cut")


def test_too_large_bodies_are_refused_and_bombs_do_not_explode(shared_engine: EngineProcess) -> None:
    client = _writer(shared_engine)
    with socket.create_connection((shared_engine.host, shared_engine.port)) as connection:
        head = f"POST /?user=writer&password={client.password} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        piece = b"1000000\r\n" + b" " * 0x1000000 + b"\r\n"
        try:
            for _ in range(18):
                connection.sendall(piece)
        except OSError:
            return
        assert b" 413 " in connection.recv(1000)
    assert client.ok("SELECT 1") == "1"


def test_a_gzip_bomb_is_refused(shared_engine: EngineProcess) -> None:
    import gzip

    before = psutil.Process(shared_engine.pid).memory_info().rss
    bomb = gzip.compress(b" " * (300 * 2**20), compresslevel=9)
    response = _writer(shared_engine).send(bomb, headers={"Content-Encoding": "gzip"})
    assert (response.status, response.code) == (413, 191)
    assert _writer(shared_engine).send(b"not gzip", headers={"Content-Encoding": "gzip"}).code == 271
    assert _writer(shared_engine).send(b"x", headers={"Content-Encoding": "rot13"}).code == 36
    time.sleep(0.5)
    assert psutil.Process(shared_engine.pid).memory_info().rss - before < 400 * 2**20


def test_one_write_per_response(shared_engine: EngineProcess) -> None:
    """Headers and body in two writes cost 40 ms each time (delayed acknowledgement)."""
    with socket.create_connection((shared_engine.host, shared_engine.port)) as connection:
        connection.sendall(b"GET /?query=SELECT%20repeat('x',2000) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first = connection.recv(65536)
    assert first.endswith(b"x" * 2000 + b"\n")


def test_idle_it_costs_next_to_nothing(data_dir: Path) -> None:
    with EngineProcess(data_dir) as engine:
        client = _writer(engine)
        for statement in TABLES:
            client.ok(statement)
        _insert(client, "x")
        time.sleep(2)
        process = psutil.Process(engine.pid)
        before = process.cpu_times()
        time.sleep(4)
        after = process.cpu_times()
        assert (after.user + after.system - before.user - before.system) / 4 < 0.05
        assert process.memory_info().rss < 700 * 2**20
        assert client.ok("SELECT count() FROM system.tables WHERE database = 'system' AND engine LIKE '%MergeTree'") == "0"
        files = sum(path.stat().st_size for path in data_dir.rglob("*") if path.is_file())
        assert files < 200_000


def test_rows_of_an_insert_leave_no_file_behind(shared_engine: EngineProcess) -> None:
    client = _writer(shared_engine)
    client.ok("CREATE TABLE default.left (a Int64) ENGINE = MergeTree ORDER BY a")
    client.ok("INSERT INTO default.left VALUES (1)")
    assert client.send("INSERT INTO default.left FORMAT CSV\nx").status == 400
    shared = Path("/dev/shm") / folder_name(shared_engine.data_dir)
    assert shared.is_dir() == os.access("/dev/shm", os.W_OK)
    assert [*shared.glob("*"), *(shared_engine.data_dir / "inbox").iterdir()] == []
    client.ok("DROP TABLE default.left")


def test_its_clock_is_utc_wherever_the_machine_is(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with EngineProcess(data_dir) as engine:
        client = _writer(engine)
        assert client.send("SELECT 1").headers["X-ClickHouse-Timezone"] == "UTC"
        assert client.ok("SELECT timezone(), toString(toDateTime(0))") == "UTC\t1970-01-01 00:00:00"


def test_interrupt_ends_it_too(data_dir: Path) -> None:
    engine = EngineProcess(data_dir).start()
    os.kill(engine.pid, signal.SIGINT)
    assert engine.stop() == 0


def test_the_log_holds_no_statement_and_no_password(shared_engine: EngineProcess) -> None:
    client = _writer(shared_engine)
    for line in (
        b"very private text\r\n\r\n",
        b"GET /?query=very-private HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nprivate\r\n\r\n",
    ):
        with socket.create_connection((shared_engine.host, shared_engine.port)) as connection:
            connection.sendall(line)
            assert b" 400 " in connection.recv(1000)
    client.send("SELECT 'very private text' FROM nowhere")
    client.send("SELECT broken 'very private text'")
    log = shared_engine.log_file.read_text()
    assert "private" not in log
    assert client.password not in log
