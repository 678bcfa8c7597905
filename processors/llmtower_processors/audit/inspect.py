"""Which records of a span are not as the ledger promises: three queries per slice, and no row of a healthy one leaves the server."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmtower_processors.audit.model import Ledgered, Span, prefix
from llmtower_processors.audit.tables import place_filter, select
from llmtower_schemas.tables import TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_STATES: Final = """
SELECT offset, max(minute), countIf(part = 'ledger') AS ledgered, countIf(duplicate) AS duplicates, max(count) AS expected,
    countIf(part = 'home') AS rows, groupBitmapIf(event_index, part = 'home') AS events, maxIf(event_index, part = 'home') AS highest,
    countIf(part NOT IN ('home', 'ledger')) AS side_rows, {side_events} AS side_events,
    groupBitmapIf(event_index, letter) AS letters, groupBitmapIf(event_index, part = 'dead_letter_bytes') AS letter_bytes,
    if(minIf(time, part = 'home') < {{texts_since:Int64}}, 0,
        greatest(0, maxIf(texts, part = 'ledger') - toInt64(groupBitmapIf(event_index, part = 'contents')))) AS lost_texts
FROM ({sources})
GROUP BY offset
HAVING NOT (ledgered = 1 AND ((duplicates = 1 AND rows = 0 AND side_rows = 0)
    OR (duplicates = 0 AND rows = events AND rows = highest + 1 AND rows > 0 AND expected IN (0, events) AND side_rows = side_events
        AND letters = letter_bytes AND lost_texts = 0)))
ORDER BY offset
"""
"""A dead letter without its bytes is seen too, and texts fewer than the ledger says, unless an event is old enough for them to be gone."""

_GAPS: Final = f"""
SELECT previous + 1, offset - 1, minute
FROM (
    SELECT offset, minute,
        lagInFrame(offset, 1, {{first:Int64}} - 1) OVER (ORDER BY offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS previous
    FROM (
        SELECT offset, toUnixTimestamp(max(minute)) AS minute FROM ledger WHERE {place_filter("ledger")} GROUP BY offset
        UNION ALL SELECT {{last:Int64}} + 1, 0
    )
)
WHERE offset > previous + 1
ORDER BY offset
"""  # noqa: S608 - names from literal tables

_BY_ID: Final = "(startsWith(producer, 'id-') AND length(producer) = 6)"
"""Records whose (producer, seq) is made of their event's own id (`otel.ids`): no run of numbers, and never more than one event."""

RESENT_S: Final = 32 * 86_400
"""How far apart an event's two records are looked for: nobody sends a span again after a month, and nothing older need be read."""

_OVERLAPS: Final = f"""
SELECT offset, toUnixTimestamp(minute), least(count, reached - first_seq) AS doubled
FROM (
    SELECT incarnation, topic, partition, offset, minute, first_seq, count,
        max(first_seq + count) OVER (
            PARTITION BY producer ORDER BY first_seq, incarnation = {{current:String}}, partition, offset
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
    FROM (
        SELECT DISTINCT incarnation, topic, partition, offset, minute, producer, first_seq, count
        FROM ledger WHERE processor = {{processor:String}} AND topic = {{topic:String}} AND duplicate = 0 AND producer IN (
            SELECT producer FROM ledger WHERE {place_filter("ledger")} AND duplicate = 0 AND producer != '' AND NOT {_BY_ID}
        )
    ) AS ledger INNER JOIN (
        SELECT producer, min(first_seq) AS low, max(first_seq + count) AS high
        FROM ledger WHERE {place_filter("ledger")} AND duplicate = 0 AND producer != '' AND NOT {_BY_ID} GROUP BY producer
    ) AS scope USING (producer)
    WHERE first_seq < high AND first_seq + count > low
)
WHERE reached > first_seq AND incarnation = {{incarnation:String}} AND partition = {{partition:Int32}}
    AND offset BETWEEN {{first:Int64}} AND {{last:Int64}}
ORDER BY offset
"""  # noqa: S608 - names from literal tables

_TWICE: Final = f"""
WITH (
    SELECT (min(minute) - {RESENT_S}, max(minute) + {RESENT_S}) FROM ledger WHERE {place_filter("ledger")} AND {_BY_ID}
) AS near
SELECT offset, toUnixTimestamp(max(minute)), max(count) FROM ledger
WHERE {place_filter("ledger")} AND duplicate = 0 AND {_BY_ID}
    AND (producer, first_seq, incarnation = {{current:String}}, partition, offset) NOT IN (
        SELECT producer, first_seq, first.1, first.2, first.3 FROM (
            SELECT producer, first_seq, min((incarnation = {{current:String}}, partition, offset)) AS first
            FROM ledger
            WHERE processor = {{processor:String}} AND topic = {{topic:String}} AND duplicate = 0 AND {_BY_ID}
                AND minute >= near.1 AND minute <= near.2 AND (producer, first_seq) IN (
                    SELECT producer, first_seq FROM ledger WHERE {place_filter("ledger")} AND duplicate = 0 AND {_BY_ID}
                )
            GROUP BY producer, first_seq
        )
    )
GROUP BY offset ORDER BY offset
"""  # noqa: S608 - names from literal tables
"""Memory for the slice's own keys alone, however many such records there are: they are never sorted."""

_ORPHANS: Final = f"""
SELECT offset, toUnixTimestamp(max(minute)), max(count) FROM ledger
WHERE {place_filter("ledger")} AND duplicate = 1 AND (producer, first_seq) NOT IN (
    SELECT producer, first_seq FROM ledger
    WHERE processor = {{processor:String}} AND topic = {{topic:String}} AND duplicate = 0
        AND (producer, first_seq) IN (SELECT producer, first_seq FROM ledger WHERE {place_filter("ledger")} AND duplicate = 1)
)
GROUP BY offset ORDER BY offset
"""  # noqa: S608 - names from literal tables


@dataclass(frozen=True, slots=True)
class RecordState:
    """What the tables hold of one record that is not as it should be."""

    offset: int
    minute: int
    ledgered: int
    """Ledger rows, of which `duplicates` say that the record was dropped as a duplicate."""
    duplicates: int
    expected: int
    """Events by the record's header; 0 = unknown."""
    rows: int
    events: int
    """Different event indexes among `rows`, the highest of which is `highest`."""
    highest: int
    side_rows: int
    side_events: int
    letters: int
    letter_bytes: int
    """Dead letters among the rows, and those whose bytes are there."""
    lost_texts: int
    """Rows of `contents` that the ledger counted and that are not there."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets that the ledger steps over; `minute` is that of the record after them, 0 when that lies in the next slice."""

    first: int
    last: int
    minute: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """A record of which `doubled` events are in another record of the same producer too."""

    offset: int
    minute: int
    doubled: int


def states(client: "Client", ledgered: Ledgered, span: Span, *, texts_since: int) -> list[RecordState]:
    """Give the records of a slice whose rows and ledger do not agree; texts are looked for of events from `texts_since` (seconds) on."""
    rows = select(client, _states_sql(ledgered), {**span.parameters(), "texts_since": texts_since})
    return [RecordState(*map(int, row)) for row in rows]


def gaps(client: "Client", span: Span) -> list[Gap]:
    """Give the offsets of a slice that the ledger steps over."""
    return [Gap(*map(int, row)) for row in select(client, _GAPS, span.parameters())]


def overlaps(client: "Client", span: Span, current: str) -> list[Overlap]:
    """Give the records of a slice whose events another record has too, and comes before it (older incarnation, lower offset)."""
    given = {**span.parameters(), "current": current}
    rows = [*select(client, _OVERLAPS, given), *select(client, _TWICE, given)]
    return sorted((Overlap(*map(int, row)) for row in rows), key=lambda found: found.offset)


def orphans(client: "Client", span: Span) -> list[tuple[int, int, int]]:
    """Give (offset, minute, events) of the records of a slice that were dropped as duplicates of a record that is not there."""
    return [(int(offset), int(minute), int(events)) for offset, minute, events in select(client, _ORPHANS, span.parameters())]


def _states_sql(ledgered: Ledgered) -> str:
    sources = [_source(table, "home") for table in ledgered.homes] + [_source(table, table) for table in ledgered.sides]
    sources.append(
        "SELECT offset, 'ledger' AS part, toUInt32(0) AS event_index, count, texts, duplicate, toUnixTimestamp(minute) AS minute,"  # noqa: S608 - names from literal tables
        f" toUInt8(0) AS letter, toInt64(0) AS time FROM ledger WHERE {place_filter('ledger')}"
    )
    side_events = " + ".join(f"groupBitmapIf(event_index, part = '{table}')" for table in ledgered.sides)
    return _STATES.format(sources=" UNION ALL ".join(sources), side_events=side_events)


def _source(table: str, part: str) -> str:
    time = f"toInt64(toUnixTimestamp({TABLES[table].time_column}))" if part == "home" else "toInt64(0)"
    return (
        f"SELECT {prefix(table)}offset AS offset, '{part}' AS part, event_index, toUInt32(0) AS count, toInt32(0) AS texts,"  # noqa: S608 - names from literal tables
        f" toUInt8(0) AS duplicate, toUInt32(0) AS minute, toUInt8({int(table == 'dead_letters')}) AS letter, {time} AS time"
        f" FROM {table} WHERE {place_filter(table)}"
    )
