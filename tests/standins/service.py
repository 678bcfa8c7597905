"""A local HTTP server whose answers are scripted: what the stand-ins for providers are made of."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Cut(Exception):  # noqa: N818 - raised by a script: the connection breaks here
    """The server goes away in the middle of its answer."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """An answer: bytes, or an iterable of bytes sent one by one in chunked encoding."""

    body: bytes | Iterable[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def json_reply(answer: Any, status: int = 200, **headers: str) -> Reply:
    """Give an answer of one JSON document."""
    return Reply(json.dumps(answer).encode(), status, headers={name.replace("_", "-"): value for name, value in headers.items()})


class Service(ThreadingHTTPServer):
    """Remembers what it was asked, and whether its streams were read to their ends."""

    daemon_threads = True

    def __init__(self, script: Callable[[Asked], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.asked: list[Asked] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what the tests are about."""

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = Asked(self.path, {key.lower(): value for key, value in self.headers.items()}, json.loads(raw) if raw else None)
        self.server.asked.append(asked)
        reply = self.server.script(asked)
        with suppress(OSError):  # the client did not wait
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for chunk in reply.body:
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except Cut:
            self.close_connection = True


def slowly(chunks: Iterable[bytes], seconds: float) -> Iterator[bytes]:
    """Pause before each chunk but the first."""
    for number, chunk in enumerate(chunks):
        time.sleep(seconds if number else 0)
        yield chunk


@contextmanager
def serving(script: Callable[[Asked], Reply]) -> Iterator[Service]:
    """Run a server while the block lasts."""
    server = Service(script)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
