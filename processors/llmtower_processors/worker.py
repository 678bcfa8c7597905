"""The worker: a Faust application that hosts the processors' loops as services and says how they are at /livez, /readyz, /metrics.

Faust gives the life cycle, the signals and the web server. The hot path is not a Faust agent: those acknowledge what a failing sink
refused (`tests/faults/test_faust_take.py` keeps the evidence).
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import faust
import mode
from faust.web import Request, Response, View
from prometheus_client import CollectorRegistry, generate_latest

from llmtower_processors import toxicity
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.connection import clickhouse_client, kafka_settings
from llmtower_processors.drift.embedders import load_embedder
from llmtower_processors.errors import NotConfigured, Unreachable
from llmtower_processors.migrate import require_current
from llmtower_processors.own_cost import keep_own_cost, name_of
from llmtower_processors.pricing import load_price_book
from llmtower_processors.registry import build_processors
from llmtower_processors.roles import NICENESS, PIPELINE, RANGE_ROWS, SCORING, STARTING
from llmtower_processors.runtime import garbage
from llmtower_processors.runtime.buffer import Limits
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.edges import SystemClock
from llmtower_processors.runtime.kafka import KafkaLog
from llmtower_processors.runtime.loop import ProcessorLoop
from llmtower_processors.runtime.metrics import Metrics
from llmtower_processors.runtime.model import Processor
from llmtower_processors.scoring_timers import ScoringTimers
from llmtower_processors.timers import Timers
from llmtower_processors.topics import check_topics
from llmtower_processors.toxic.load import choose
from llmtower_processors.toxic.strong import Strong
from llmtower_schemas.settings import KafkaSettings, Settings

log = logging.getLogger(__name__)

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Beside(Protocol):
    """Something that runs for ever beside the processors."""

    async def run(self, registry: CollectorRegistry) -> None:
        """Run, with metrics of its own."""


def run_worker(settings: Settings, names: tuple[str, ...] = (), *, resume: bool = False, beside: Iterable[Beside] = ()) -> int:
    """Run the named processors (none = all) until SIGTERM or SIGINT and give the exit code.

    Waits for Kafka and ClickHouse, saying so. Raises NotConfigured for an unknown name, MigrationError when migrations are pending.
    """
    only_scores = bool(names) and not set(names) & set(PIPELINE)
    if only_scores:
        _step_back(STARTING)
    logging.basicConfig(level=logging.WARNING, format=_LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("llmtower_processors").setLevel(logging.INFO)
    scoring = not names or bool(set(names) & set(SCORING))
    embedder = load_embedder(settings.worker.embedder) if scoring else None
    strong = _load_strong(settings) if not names or toxicity.NAME in names else None
    known = build_processors(load_price_book(settings.prices_file), embedder, strong)
    processors = select(known, names)
    _wait_until_reachable(settings)
    if only_scores:
        _step_back(NICENESS - STARTING)
    garbage.take_over()
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    loops = [build_loop(settings, processor, metrics, resume=resume) for processor in processors]
    app = build_app(settings, loops, registry)
    for timers in _timers_of({processor.name for processor in processors}, settings, known, registry):
        app.service(_service_of(timers.run))
    for one in beside:
        app.service(_service_of(partial(one.run, registry)))
    app.service(_service_of(garbage.collect))
    app.service(_service_of(_own_cost(settings, processors)))
    worker = faust.Worker(app, loglevel="warn", redirect_stdouts=False, quiet=True, override_logging=False)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _own_cost(settings: Settings, processors: Iterable[Processor]) -> Callable[[], Awaitable[None]]:
    tables = ClickHouseTables(settings.clickhouse.client_options())
    return partial(keep_own_cost, tables, name_of({processor.name for processor in processors}), SystemClock())


def _load_strong(settings: Settings) -> Strong | None:
    choice = choose(settings.toxicity, settings.data_dir)
    log.log(logging.ERROR if choice.failed else logging.INFO, "toxicity: %s", choice.sentence)
    return choice.strong


def _timers_of(
    names: set[str], settings: Settings, known: Mapping[str, Processor], registry: CollectorRegistry
) -> Iterator[Timers | ScoringTimers]:
    """Timers run beside the processors whose tables they read."""
    if names & set(PIPELINE):
        yield Timers(settings, {name: known[name] for name in PIPELINE}, registry)
    if names & set(SCORING):
        yield ScoringTimers(settings)


def _step_back(steps: int) -> None:
    """A process that only scores lets all others go first, also while it starts.

    Linux weighs whole sessions against each other (sched(7), autogroup): one of our own is told too.
    """
    niceness = os.nice(steps)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(niceness), "ascii")


def _wait_until_reachable(settings: Settings) -> None:
    delay = 1.0
    while True:
        try:
            asyncio.run(check_topics(kafka_settings(settings), settings.retention))
            require_current(clickhouse_client(settings))
        except Unreachable as error:
            log.warning("%s Trying again in %.0f s.", error, delay)
            time.sleep(delay)
            delay = min(5.0, delay * 2)
        else:
            return


def select(processors: Mapping[str, Processor], names: Iterable[str]) -> list[Processor]:
    """Give the processors of these names; none = all. Raises NotConfigured naming those there are."""
    unknown = [name for name in names if name not in processors]
    if unknown:
        raise NotConfigured(f"No processor is called {', '.join(unknown)}. There are: {', '.join(processors)}.")
    return [processors[name] for name in names] or list(processors.values())


def build_loop(settings: Settings, processor: Processor, metrics: Metrics, *, resume: bool) -> ProcessorLoop:
    """Connect a processor to Kafka and ClickHouse."""
    kafka = kafka_settings(settings)
    options = kafka.client_options() | {
        "session_timeout_ms": settings.worker.session_timeout_ms,
        "heartbeat_interval_ms": max(200, min(3_000, settings.worker.session_timeout_ms // 3)),
    }
    group = f"{settings.worker.group_prefix}.{processor.name}"
    rows = settings.worker.flush_rows if processor.name in PIPELINE else min(RANGE_ROWS, settings.worker.flush_rows)
    return ProcessorLoop(
        processor,
        log_factory=lambda: KafkaLog(options, group, processor.topics),
        store_factory=lambda: ClickHouseStore(settings.clickhouse.client_options()),
        metrics=metrics,
        limits=Limits(rows=rows, flush_s=settings.worker.flush_s),
        resume=resume,
    )


def build_app(settings: Settings, loops: list[ProcessorLoop], registry: CollectorRegistry) -> faust.App:
    """Make the Faust application around the loops."""
    kafka = kafka_settings(settings)
    part = "worker" if {loop.processor.name for loop in loops} & set(PIPELINE) else "scoring"
    app = faust.App(
        f"{settings.worker.group_prefix}.{part}",
        broker=[f"kafka://{server.strip()}" for server in str(kafka.bootstrap_servers).split(",")],
        broker_credentials=_credentials(kafka),
        autodiscover=False,
        store="memory://",
        datadir=str(settings.data_dir / "faust"),
        topic_replication_factor=1,
        web_host=settings.worker.web_host,
        web_bind=settings.worker.web_host,
        web_port=settings.worker.web_port,
    )
    app.producer_only = True  # no agents: Faust's own consumer would join a group, fetch and beat for nothing
    for loop in loops:
        app.service(_service(loop, loops))
    _pages(app, loops, registry)
    return app


def _service(loop: ProcessorLoop, loops: Iterable[ProcessorLoop]) -> type[mode.Service]:
    class Loop(mode.Service):
        """One processor. Faust stops services one after the other: the first one tells all, so that their ranges end side by side."""

        @mode.Service.task
        async def _run(self) -> None:
            await loop.run()

        async def on_stop(self) -> None:
            for one in loops:
                one.stop()

    Loop.__name__ = loop.processor.name
    return Loop


def _service_of(work: Callable[[], Awaitable[None]]) -> type[mode.Service]:
    class Work(mode.Service):
        """The timers, if this process is the leader; the garbage collector; what runs beside."""

        @mode.Service.task
        async def _run(self) -> None:
            await work()

    return Work


def _pages(app: faust.App, loops: list[ProcessorLoop], registry: CollectorRegistry) -> None:
    @app.page("/livez")
    async def livez(web: View, request: Request) -> Response:
        return web.text("ok\n")

    @app.page("/readyz")
    async def readyz(web: View, request: Request) -> Response:
        state = {loop.processor.name: condition(loop) for loop in loops}
        ready = all(entry["ready"] and not entry["paused"] for entry in state.values())
        return web.json({"ready": ready, "processors": state}, status=200 if ready else 503)

    @app.page("/metrics")
    async def metrics(web: View, request: Request) -> Response:
        body = await asyncio.to_thread(generate_latest, registry)
        return web.bytes(body, content_type="text/plain")


def condition(loop: ProcessorLoop) -> dict[str, Any]:
    """Say how one processor is: whether it is ready, its lag in events, and which partitions wait for a person."""
    return {
        "ready": loop.ready,
        "lag_events": sum(loop.lag.values()),
        "paused": {f"{partition.topic}[{partition.partition}]": reason for partition, reason in loop.halted.items()},
    }


def _credentials(kafka: KafkaSettings) -> Any:
    options = kafka.client_options()
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return faust.SSLCredentials(options["ssl_context"]) if "ssl_context" in options else None
