"""Compare producers' own books (heartbeats) with the events that the ledger has of them."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.audit.intervals import Books, Coverage, missing
from llmtower_processors.audit.model import HOUR_S, Finding
from llmtower_processors.audit.tables import READ, hour_ranges, select, within_hours

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SILENT_S: Final = 30
"""A producer that has sent no heartbeat for so long is not waited for."""

_BOOKS: Final = f"""
SELECT producer, toUnixTimestamp(max(at)), toUnixTimestamp(maxIf(at, at < fromUnixTimestamp({{end:UInt32}}))) AS last_at,
    argMaxIf((emitted, delivered, spooled, dropped), (at, emitted), at < fromUnixTimestamp({{end:UInt32}})), max(closing)
FROM heartbeats
WHERE producer IN (
    SELECT DISTINCT producer FROM heartbeats
    WHERE at >= fromUnixTimestamp({{start:UInt32}}) AND at < fromUnixTimestamp({{end:UInt32}})
        AND {within_hours("at")}
)
GROUP BY producer ORDER BY producer
"""  # noqa: S608 - literal

_INTERVALS: Final = """
SELECT producer, processor, first_seq, count, incarnation, topic, partition, offset FROM ledger
WHERE processor IN ('calls', 'signals') AND duplicate = 0 AND producer IN {producers:Array(String)}
ORDER BY producer, processor, first_seq, incarnation, partition, offset
"""

_OWN: Final = """
SELECT sender, count() FROM heartbeats INNER JOIN (
    SELECT producer AS sender, incarnation, topic AS kafka_topic, partition AS kafka_partition, offset AS kafka_offset
    FROM ledger WHERE processor = 'signals' AND duplicate = 0 AND producer IN {producers:Array(String)}
) AS envelopes USING (incarnation, kafka_topic, kafka_partition, kafka_offset)
GROUP BY sender
"""
"""Heartbeats among a producer's numbered events."""

PRODUCERS_AT_ONCE: Final = 80
"""Bound values travel in the address."""


def audit_books(client: "Client", hours: tuple[int, ...], now: int) -> list[Finding]:
    """Compare the books of every run that sent a heartbeat in these (closed) hours, by its last one in them or before their end."""
    end = hours[-1] + HOUR_S
    rows = select(client, _BOOKS, {"start": hours[0], "end": end, "hours": hour_ranges(hours)})
    found: list[Finding] = []
    for begin in range(0, len(rows), PRODUCERS_AT_ONCE):
        part = rows[begin : begin + PRODUCERS_AT_ONCE]
        stored = _stored(client, [str(row[0]) for row in part])
        for producer, newest, last_at, (emitted, delivered, spooled, dropped), closing in part:
            over = int(newest) < end and (bool(closing) or int(newest) < now - SILENT_S)
            books = Books(int(emitted), int(delivered), int(spooled), int(dropped), final=over)
            found += _findings(str(producer), int(last_at), books, stored.get(str(producer), Coverage()))
    return found


def _findings(producer: str, last_at: int, books: Books, stored: Coverage) -> Iterator[Finding]:
    hour = last_at // HOUR_S * HOUR_S
    lost = missing(books, stored.covered)
    if lost:
        detail = (
            f"producer {producer}: emitted {books.emitted}, delivered {books.delivered}, spooled {books.spooled},"
            f" dropped {books.dropped}, stored {stored.covered}"
        )
        yield Finding("missing_from_producers", hour, "", lost, detail)
    if stored.doubled:
        yield Finding("doubled_from_producers", hour, "", stored.doubled, f"producer {producer}: {stored.doubled} event numbers twice")


def _stored(client: "Client", producers: list[str]) -> dict[str, Coverage]:
    """Add up each producer's intervals; numbers are counted per topic, heartbeats are not counted in a producer's books."""
    own = {str(producer): int(count) for producer, count in select(client, _OWN, {"producers": producers})}
    totals: dict[str, Coverage] = {}
    for (producer, _), intervals in groupby(_intervals(client, producers), key=lambda row: (str(row[0]), str(row[1]))):
        total = totals.setdefault(producer, Coverage())
        one = Coverage()
        for (first, count, *_), _ in groupby(tuple(row[2:]) for row in intervals):
            one.add(int(first), int(count))
        total.covered += one.covered
        total.doubled += one.doubled
    for producer, count in own.items():
        if producer in totals:
            totals[producer].covered -= count
    return totals


def _intervals(client: "Client", producers: list[str]) -> Iterator[Any]:
    """Stream the intervals in order: a long run has millions of envelopes."""
    with client.query_rows_stream(_INTERVALS, parameters={"producers": producers}, settings=dict(READ)) as stream:
        yield from stream
