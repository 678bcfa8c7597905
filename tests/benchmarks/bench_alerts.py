"""Alert rules: a round of 500 rules over 100 groups each, and how long after an event somebody is told.

The rounds ask a real engine over HTTP, as the worker does. The second part runs the whole stack with the shipped rules: an application
that has been well fails at some moment; what counts is the time from the call that crosses the level to the notification.
"""

import random
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import clickhouse_connect
import orjson

import llmtower
from llmtower_processors.alerts.history import tracks
from llmtower_processors.alerts.incidents import Incidents
from llmtower_processors.alerts.load import load_rules, parse_rules
from llmtower_processors.alerts.measure import Meter
from llmtower_processors.alerts.questions import DAY_US, Moment
from llmtower_processors.alerts.replay import replay
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.scores import suggest
from llmtower_processors.alerts.silences import Silences
from llmtower_processors.alerts.tables import PATIENT_S, ClickHouseTables
from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.metrics import CALLS, METRICS
from llmtower_schemas.settings import RetentionSettings
from tests.benchmarks.bench_dashboard import MAKE
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.stand import Stand, stand

RULES = 500
GROUPS = 100
GROUPINGS = (
    "app, request_model, prompt_name, prompt_version, error_class",
    "app, request_model, prompt_version, error_class",
    "app, prompt_name, prompt_version, error_class, provider",
)
HOURS = 6
MONTH_HOURS = 37 * 24
CALLS_MADE = 2_000_000


def rules() -> list[Rule]:
    """Five hundred rules: every metric of calls, over five windows, of everything and of parts, in three groupings of 100 and more."""
    names = [name for name, metric in METRICS.items() if metric.source is CALLS]
    windows = ("5m", "10m", "15m", "30m", "1h")
    parts = ("", "where: {environment: [production]}, ", "where: {operation: [chat]}, ", "where: {provider: [openai, anthropic]}, ")
    shares = "levels: {warning: {above: 0.99}}, sure: 0.999999"  # a group of failed calls fails whole: certain it is not
    lines = [
        f"  - {{name: r{number}, metric: {name}, window: {window}, {part}group_by: [{GROUPINGS[number % 3]}], top: {GROUPS},"
        f" {shares if METRICS[name].unit == 'ratio' else 'levels: {warning: {above: 1e15}}'}}}"
        for number, (window, part, name) in enumerate(product(windows, parts, names))
    ]
    return list(parse_rules("rules:\n" + "\n".join(lines[:RULES])).settled().rules)


def run(quick: bool) -> list[Figure]:
    """Measure."""
    return [*_rounds(5 if quick else 15), *_backtest(), *_told(4 if quick else 20)]


def _backtest() -> list[Figure]:
    """The dearest of the shipped rules (percentiles, against the same hours of seven days) over a month, and a level suggested for it."""
    (rule,) = (rule for rule in load_rules().rules if rule.name == "latency_p95")
    with _filled(MONTH_HOURS) as options:
        tables, end_us = ClickHouseTables(options, timeout_s=PATIENT_S), time.time_ns() // 60_000_000_000 * 60_000_000
        began = time.perf_counter()
        found = tracks(tables, rule, end_us - 30 * DAY_US, end_us)
        asked = time.perf_counter()
        episodes = [episode for track in found for episode in replay(rule, track)]
        played = time.perf_counter()
        suggest(rule, found, [], 1.0)
        ended = time.perf_counter()
    note = (
        f"asking {asked - began:.1f} s, playing {played - asked:.2f} s, suggesting a level {ended - played:.1f} s; {len(episodes)} episodes"
    )
    name = f"alerts: backtest of {rule.name} over 30 days, {len(found)} groups ({CALLS_MADE // 1_000_000} M calls)"
    return [at_most(name, ended - began, "s", 10.0, note)]


def _rounds(rounds: int) -> list[Figure]:
    with _filled(HOURS) as options:
        asked = rules()
        meter = Meter(ClickHouseTables(options), asked, period_s=2)
        incidents = Incidents({rule.name: rule for rule in asked})
        taken: list[tuple[float, float]] = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            measured = meter.measure(asked, Moment(time.time_ns() // 1_000))
            between = time.perf_counter()
            assert incidents.judge(measured, Silences()) == [], "nothing is to fire: that would be another benchmark"
            taken.append((between - began, time.perf_counter() - between))
        meter.close()
    assert not measured.failed
    groups = statistics.median(len(found) for found in measured.readings.values())
    whole = sorted(ask + judge for ask, judge in taken[1:])
    asking, judging = (statistics.median(part) for part in zip(*taken[1:], strict=True))
    note = f"{measured.queries} queries {asking:.2f} s, judging {judging:.2f} s; worst of {rounds} rounds {whole[-1]:.2f} s"
    name = f"alerts: one round of {len(asked)} rules x {groups:.0f} groups ({CALLS_MADE // 1_000_000} M calls in {HOURS} h)"
    return [at_most(name, statistics.median(whole), "s", 2.0, note)]


@contextmanager
def _filled(hours: int) -> Iterator[dict[str, Any]]:
    """An engine with so many hours of calls up to now."""
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder, EngineProcess(Path(folder)) as engine:
        address: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value}
        address["password"] = engine.credentials.password(Role.WRITER)
        with clickhouse_connect.get_client(**address) as server:
            create_database(server, "llmtower")
        with clickhouse_connect.get_client(**address, database="llmtower") as client:
            migrate(client, RetentionSettings())
            start, step = time.time_ns() // 1_000 - hours * 3_600_000_000, 500_000
            for first in range(0, CALLS_MADE, step):
                spacing = hours * 3_600e6 / CALLS_MADE
                client.command(MAKE, parameters={"start_us": start, "spacing_us": spacing, "first": first, "count": step})
            client.command("OPTIMIZE TABLE rollup_1m FINAL")
        yield address | {"database": "llmtower"}


class _Receiver(BaseHTTPRequestHandler):
    """Notes when which model was told of first."""

    told: dict[str, float]

    def do_POST(self) -> None:
        """Take a notification."""
        now = time.monotonic()
        message = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in message.get("alerts", [message]):
            if alert["rule"] == "rate_limited" and alert["status"] == "firing":
                model = alert["group"]["request_model"]
                self.told[model] = min(self.told[model], now)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def _told(trials: int) -> list[Figure]:
    models = [f"model-{uuid.uuid4().hex[:8]}" for _ in range(trials)]
    told = dict.fromkeys(models, float("inf"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Receiver", (_Receiver,), {"told": told}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with stand(LLMTOWER_ALERTS__WEBHOOK_URL=f"http://127.0.0.1:{server.server_port}/") as running:
            waits = _fail_one_by_one(running, models, told)
    finally:
        server.shutdown()
        server.server_close()
    points = statistics.quantiles(waits, n=20, method="inclusive")
    note = f"p50 {statistics.median(waits):.1f} s, worst {max(waits):.1f} s of {trials}; shipped rules, producer with heartbeats, webhook"
    return [at_most("alerts: event → notification, p95", points[-1], "s", 15.0, note)]


def _fail_one_by_one(running: Stand, models: list[str], told: dict[str, float]) -> list[float]:
    """Each model is well, and at a moment of its own its provider turns two of five calls away: critical, by rule `rate_limited`."""
    rng = random.Random(1)
    failed: dict[str, float] = {}
    llmtower.configure(app="bench", bootstrap_servers=running.endpoints.kafka)
    try:
        for model in models:
            _calls(model, 200, None)
        time.sleep(12)
        for model in models:
            _calls(model, 150, RateLimitError())
            failed[model] = time.monotonic()
            time.sleep(rng.uniform(7.0, 9.0))  # below the storm control of a route, five in half a minute
        deadline = time.monotonic() + 60
        while max(told.values()) == float("inf") and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        llmtower.close()
    return [told[model] - at for model, at in failed.items()]


class RateLimitError(Exception):
    """As the provider's client raises it."""

    status_code = 429


def _calls(model: str, count: int, error: RateLimitError | None) -> None:
    for _ in range(count):
        call = llmtower.call(provider="openai", model=model)
        call.finish(error=error, output=None if error else "ok")


if __name__ == "__main__":
    main(run)
