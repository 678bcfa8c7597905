"""The pipeline's own rows: a live producer that dropped and spooled a little, a silent one, a ledger a hundred events short, and so on."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.integration.dashboards.columns import Row

END: Final = datetime(2025, 11, 20, 12, tzinfo=UTC)
"""In the past for every clock, so that `now()` never cuts a range."""
MINUTES: Final = 60
SILENT: Final = 30
"""The second producer was last heard so many minutes ago."""


def us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return int(moment.timestamp() * 1_000_000)


def heartbeats(end: datetime) -> Iterable[Row]:
    """One a minute; the live one has emitted 6,000 events by the end."""
    for minutes in range(MINUTES):
        run = {"project": "default", "environment": "production", "at": us(end - timedelta(minutes=minutes, seconds=1)), "sdk": "py"}
        done = 6_000 - minutes * 100
        live = {"producer": "p-live", "app": "chat", "closing": False}
        yield run | live | {"emitted": done, "delivered": done - 30, "spooled": 20, "dropped": 10}
        shop = {"project": "second", "producer": "p-shop", "app": "shop", "closing": False}
        yield run | shop | {"emitted": 70, "delivered": 70, "spooled": 0, "dropped": 0}
        if minutes >= SILENT:
            silent = {"producer": "p-silent", "app": "search", "closing": False}
            yield run | silent | {"emitted": 50, "delivered": 40, "spooled": 0, "dropped": 0}


def watermarks(end: datetime) -> Iterable[Row]:
    """Later and later the further back, with more and more waiting."""
    for minutes in range(MINUTES):
        at = us(end - timedelta(minutes=minutes, seconds=1))
        yield {
            "at": at // 1_000,
            "project": "default",
            "watermark": at - (minutes + 1) * 1_000_000,
            "live_producers": 2,
            "silent_producers": 1 if minutes < SILENT else 0,
            "lag_records": minutes * 10 + 5,
        }
        second = {"project": "second", "live_producers": 1, "silent_producers": 2, "lag_records": 1_000 - minutes}
        yield {"at": at // 1_000 - 1, "watermark": at - 500_000 * (minutes % 3 + 1)} | second


def ledger(end: datetime) -> Iterable[Row]:
    """Heartbeats are events too; seven events came twice and were dropped."""
    records = (("p-live", "chat", 5_870 + MINUTES, 0), ("p-live", "chat", 7, 1), ("p-silent", "search", 40 + MINUTES - SILENT, 0))
    second = {"project": "second", "producer": "p-shop", "app": "shop", "count": 70 + MINUTES, "duplicate": 0}
    stored = {"processor": "calls", "incarnation": "i", "topic": "llmtower.calls", "partition": 0, "project": "default"}
    yield stored | {"minute": int(end.timestamp()) - 600, "offset": 9, "first_seq": 0} | second
    for number, (producer, app, count, duplicate) in enumerate(records):
        place = {"minute": int(end.timestamp()) - 600, "offset": number, "first_seq": number}
        yield stored | place | {"producer": producer, "app": app, "count": count, "duplicate": duplicate}


def dead_letters(end: datetime) -> Iterable[Row]:
    """Eleven, of three apps, for two reasons."""
    for number in range(11):
        yield {
            "processor": "calls",
            "project": "default" if number < 9 else "second",
            "app": ("chat", "search")[number % 2] if number < 9 else "shop",
            "bytes": 100 + number,
            "reason": ("not JSON", "time out of range", "not JSON")[number % 3],
            "at": us(end - timedelta(minutes=number * 5 + 1)) // 1_000,
        }


def audits(end: datetime) -> Iterable[Row]:
    """One found and mended, one found nothing, and how far the timer has come."""
    for number, (check, found) in enumerate((("missing_events", 3), ("doubled_rows", 0), ("audited_to", 1))):
        at = us(end - timedelta(minutes=number)) // 1_000 - 1
        yield {"at": at, "check": check, "hour": int(end.timestamp()) - 7_200, "found": found, "repaired": found}


def own_cost(end: datetime) -> Iterable[Row]:
    """Two pipelines, of which one is twice as busy, and ClickHouse, which refuses one query a minute.

    Six scoring processes that follow each other, one core each, and whose periods lie across minutes.
    """
    for number in range(MINUTES * 2):
        at = us(end - timedelta(seconds=number * 30 + 1)) // 1_000
        for process, instance, busy in (("pipeline", "a:1", 1), ("pipeline", "b:1", 2), ("clickhouse", "127.0.0.1", 3)):
            used = {"seconds": 30.0, "cpu_s": busy * (number % 4 + 1.0), "memory_bytes": busy * 1_000_000 + number}
            yield {"at": at, "process": process, "instance": instance, "failed_queries": (number % 2) * (busy == 3)} | used
        used = {"seconds": 30.0, "cpu_s": 30.0, "memory_bytes": 5_000_000, "failed_queries": 0}
        yield {"at": at - 7_250, "process": "scoring", "instance": f"c:{number // 20}"} | used
