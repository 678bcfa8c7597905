import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmtower_processors.local import jars
from llmtower_processors.local.errors import JarRefusedError, LocalStackError
from llmtower_processors.local.jars import LockedJar, ensure_jars, locked_jars

CONTENT = {"one": b"first jar " * 1000, "two": b"second jar " * 2000}
LOCK = tuple(LockedJar(f"org.example:{name}:1.0", hashlib.sha256(data).hexdigest(), len(data)) for name, data in CONTENT.items())


class Mirror:
    """A Maven repository on the loopback: what it serves can be altered, and it counts requests for jars."""

    def __init__(self) -> None:
        self.files = {f"/org/example/{name}/1.0/{name}-1.0.jar": data for name, data in CONTENT.items()}
        self.asked: list[str] = []
        self.cut_first = 0

    def serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path.endswith(".jar"):
            self.asked.append(handler.path)
        data = self.files.get(handler.path)
        if data is None:
            handler.send_error(404)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        cut, self.cut_first = self.cut_first > 0, self.cut_first - 1
        handler.wfile.write(data[: len(data) // 2] if cut else data)
        handler.close_connection = True


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    site = Mirror()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.serve(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\nnear = {address}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    monkeypatch.setattr("jgo.constants.MAVEN_CENTRAL_URL", f"{address}/nowhere")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LLMTOWER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "locked_jars", lambda: LOCK)
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_committed_lock_names_every_jar_once() -> None:
    lock = locked_jars()
    assert {"org.apache.kafka:kafka_2.13:4.1.1", "org.apache.kafka:kafka-clients:4.1.1"} <= {jar.coordinate for jar in lock}
    assert len({jar.file_name for jar in lock}) == len(lock) > 40
    assert all(len(bytes.fromhex(jar.sha256)) == 32 and jar.bytes > 0 for jar in lock)


def test_jars_are_fetched_once_from_the_users_mirror(mirror: Mirror, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths, fetched = ensure_jars()
    assert fetched
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "downloading Kafka 4.1.1 (2 files): 0 MB"
    assert said[-1].startswith("downloading Kafka 4.1.1 (2 files): done in ")

    assert ensure_jars() == (paths, False)
    assert len(mirror.asked) == 2
    assert capfd.readouterr().err == ""
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["kafka-4.1.1"]


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"altered")], ids=["missing", "altered"])
def test_a_damaged_jar_is_fetched_anew_and_only_that_one(mirror: Mirror, damage: Callable[[Path], None]) -> None:
    paths, _ = ensure_jars()
    mirror.asked.clear()
    damage(paths[1])
    again, fetched = ensure_jars()
    assert fetched
    assert mirror.asked == ["/org/example/two/1.0/two-1.0.jar"]
    assert again[1].read_bytes() == CONTENT["two"]


def test_a_jar_that_differs_from_the_lock_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/org/example/two/1.0/two-1.0.jar"] = b"something else"
    with pytest.raises(JarRefusedError, match=r"^the downloaded two-1\.0\.jar does not have the SHA-256 of kafka\.lock\.toml"):
        ensure_jars()
    assert not (tmp_path / "cache" / "kafka-4.1.1" / "two-1.0.jar").exists()


def test_a_cut_download_is_tried_again(mirror: Mirror) -> None:
    mirror.cut_first = 2
    paths, _ = ensure_jars()
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert len(mirror.asked) == 4


def test_a_jar_nobody_has_is_one_sentence(mirror: Mirror) -> None:
    del mirror.files["/org/example/one/1.0/one-1.0.jar"]
    with pytest.raises(LocalStackError, match=r"^could not download org\.example:one:1\.0 \(RuntimeError\): check the network"):
        ensure_jars()


def test_a_cache_that_cannot_be_written_is_one_sentence(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMTOWER_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(LocalStackError, match=r"^cannot write to the cache folder .* \(Not a directory\): set LLMTOWER_CACHE_DIR$"):
        ensure_jars()
    assert mirror.asked == []
