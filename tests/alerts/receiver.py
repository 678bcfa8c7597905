"""A receiver of notifications: a real HTTP server that answers as it is told to, and keeps what it took."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llmtower_processors.alerts.model import Notification
from llmtower_processors.alerts.rules import Rule
from llmtower_schemas.alerts import Change, Severity, State, Transition


@dataclass(frozen=True)
class Request:
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float
    """Of a clock that only grows."""

    @property
    def value(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers with the next of `answers` (status, headers), then with 204."""

    url: str
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    taken: list[Request] = field(default_factory=list)
    """Those that it answered with success."""
    delay_s: float = 0.0


@contextmanager
def receiving(*answers: tuple[int, dict[str, str]], port: int = 0, delay_s: float = 0.0) -> Iterator[Receiver]:
    """Serve until the block ends; afterwards the port refuses connections."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.path, headers, body, time.monotonic())
            receiver.requests.append(request)
            time.sleep(receiver.delay_s)
            status, extra = receiver.answers.pop(0) if receiver.answers else (204, {})
            receiver.taken += [request] if status < 300 else []
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook", list(answers), delay_s=delay_s)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


AT_US = 1_795_000_020_000_000


def notification(
    app: str = "chat",
    *,
    state: State = "firing",
    severity: Severity = "critical",
    sequence: int = 1,
    rule: Rule | None = None,
    route: str = "default",
    possible_repeat: bool = False,
    **more: Any,
) -> Notification:
    """Make one as the evaluator does."""
    told = Transition(
        transition_id=f"{app}-{sequence}",
        dedup_key=f"key-{app}",
        sequence=sequence,
        rule="error_rate",
        title="Many calls fail",
        group={"project": "default", "app": app},
        severity=severity,
        from_state="firing" if state == "resolved" else "ok",
        to_state=state,
        cause="recovered" if state == "resolved" else "breach",
        value=0.4321,
        threshold=0.3,
        unit="ratio",
        sample=1234,
        completeness=0.9876,
        window_start_us=AT_US - 300_000_000,
        window_end_us=AT_US,
        at_us=AT_US + 2_000_000,
        since_us=AT_US - 180_000_000,
        reason="The level was passed.",
        coincident=(Change(kind="deploy", at_us=AT_US - 600_000_000, what="chat 1.4.2"),),
        routes=(route,),
        notify=True,
    ).model_copy(update=more)
    addresses = {"panel": "http://127.0.0.1:8600/latency?app=chat#errors", "calls": "http://127.0.0.1:8600/calls?app=chat"}
    addresses["alert"] = "http://127.0.0.1:8600/alerts?rule=error_rate"
    return Notification(told, rule, route, possible_repeat, addresses)
