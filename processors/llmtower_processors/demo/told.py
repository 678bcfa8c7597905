"""The demo's own receiver of alerts: a webhook on the loopback interface that checks the signature and keeps what it was told."""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from llmtower_processors.alerts.send.webhook import verify

from .scenario import PHASES

MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it arrived."""

    title: str
    measured: str
    """Value, level and sample in words."""
    firing: bool
    critical: bool
    behind_s: float
    """From the end of what was judged (all events up to there were known) to the arrival here."""
    rule: str = ""
    arrived_s: float = 0.0
    """Seconds since the epoch."""
    group: str = ""
    value: str = ""
    message: int = 0
    """Which of all messages it came in: a digest brings several."""


@dataclass(slots=True)
class Inbox:
    """What arrived, in order; `refused` counts requests that were not signed with our secret."""

    url: str = ""
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    told: list[Told] = field(default_factory=list)
    messages: int = 0
    refused: int = 0

    def environment(self) -> Mapping[str, str]:
        """What the worker must be told, so that it tells us."""
        return {"LLMTOWER_ALERTS__WEBHOOK_URL": self.url, "LLMTOWER_ALERTS__WEBHOOK_SECRET": self.secret}

    def take(self, body: bytes, signature: str, now_s: float) -> bool:
        """Keep what is signed; a digest is as many alerts as it holds."""
        if not verify(signature, self.secret, body, now_s):
            self.refused += 1
            return False
        message = orjson.loads(body)
        self.messages += 1
        self.told += [_told(one, now_s, self.messages) for one in message.get("alerts", [message])]
        return True


def _told(message: Mapping[str, Any], now_s: float, number: int) -> Told:
    measured, _, _ = str(message["text"]).partition("\n")[0].rpartition(", ")
    named = message["group"].items()
    return Told(
        message=number,
        group=" · ".join(value for name, value in sorted(named) if value and (name, value) != ("project", "default")) or "all",
        value=measured.partition(",")[0].removeprefix("Value "),
        title=str(message["title"]),
        measured=measured,
        firing=message["status"] == "firing",
        critical=message["severity"] == "critical",
        rule=str(message["rule"]),
        arrived_s=now_s,
        behind_s=max(0.0, now_s - datetime.fromisoformat(message["window_end"]).timestamp()),
    )


def together(told: Sequence[Told], *, whatever_message: bool = False) -> list[list[Told]]:
    """What one message said of a rule, or with `whatever_message` all of them: so one incident reads as one."""
    found: dict[tuple[Any, ...], list[Told]] = {}
    for one in told:
        apart = one.title if not one.rule else 0 if whatever_message else one.message
        found.setdefault((one.rule, one.critical, one.firing, apart), []).append(one)
    return list(found.values())


def behind(told: Sequence[Told]) -> tuple[float, float] | None:
    """Give the median and the longest time from event to notification, of beginnings; None when there were none."""
    times = sorted(one.behind_s for one in told if one.firing)
    return (times[len(times) // 2], times[-1]) if times else None


def scenes_told(told: Sequence[Told], began: Mapping[str, float]) -> dict[str, float | None]:
    """Give for each scene that was played, and that a rule can tell of in time, the seconds until it did; None = it did not."""
    found: dict[str, float | None] = {}
    for scene in (phase for phase in PHASES if phase.rules and phase.name in began):
        after = [one.arrived_s - began[scene.name] for one in told if one.firing and one.rule in scene.rules]
        found[scene.name] = min((seconds for seconds in after if seconds >= 0), default=None)
    return found


@contextlib.contextmanager
def receiving() -> Iterator[Inbox]:
    """Listen on a free port until the block ends."""
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(min(size, MOST_BYTES))
            taken = inbox.take(body, self.headers.get("X-Llmtower-Signature", ""), time.time())
            self.send_response(204 if taken else 401)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """The view says it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_port}/alerts"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="alerts", daemon=True).start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
