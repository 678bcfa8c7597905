"""Which hours and which offsets an audit looks at.

An audit without a range goes on where the last one ended: by offset, so that a record that was stored late is looked at in its turn
whatever its time says; and it looks again at hours in which something was found and not repaired.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmtower_processors.audit.model import AUDITED_TO, HOUR_S, Ledgered, Place, Span
from llmtower_processors.audit.records import LogEnds, Records
from llmtower_processors.audit.tables import hour_ranges, select, within_hours
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.tables import TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DAY_S: Final = 86_400
GRACE_S: Final = 600
"""An hour counts as closed this long after its end."""

_LEDGERED: Final = f"""
SELECT incarnation, partition, max(offset), min(offset),
    minIf(offset, {within_hours("minute")}) AS first, maxIf(offset, {within_hours("minute")}) AS last,
    countIf({within_hours("minute")}) AS within
FROM ledger WHERE processor = {{processor:String}} AND topic = {{topic:String}} GROUP BY incarnation, partition ORDER BY ALL
"""  # noqa: S608 - literal
_BEFORE: Final = """
SELECT maxOrNull(offset) FROM ledger
WHERE processor = {processor:String} AND incarnation = {incarnation:String} AND topic = {topic:String} AND partition = {partition:Int32}
    AND offset < {first:Int64}
"""
_LAST: Final = """
SELECT processor, JSONExtractString(detail, 'incarnation'), JSONExtractString(detail, 'topic'), JSONExtractInt(detail, 'partition'),
    max(JSONExtractInt(detail, 'offset')), toUnixTimestamp(max(hour))
FROM audits WHERE check = {check:String} GROUP BY ALL
"""
_OPEN: Final = """
SELECT DISTINCT check, toUnixTimestamp(hour) FROM (
    SELECT check, hour, at, sum(found - repaired) AS open FROM audits WHERE check != {check:String} GROUP BY check, hour, at
) GROUP BY check, hour HAVING argMax(open, at) > 0
"""
_FIRST: Final = "SELECT toUnixTimestamp(toStartOfHour(minOrNull(minute))) FROM ledger WHERE minute >= fromUnixTimestamp({clip:UInt32})"


@dataclass(frozen=True, slots=True)
class Window:
    """Hours `start..end` (end excluded), those besides in which something is open, and where each place was audited to before."""

    start: int
    end: int
    reopened: tuple[int, ...]
    audited_to: Mapping[Place, int]
    goes_on: bool
    """Whether this audit goes on from the last one, and the next will from it."""

    @property
    def hours(self) -> tuple[int, ...]:
        """Every hour looked at."""
        return tuple(sorted({*range(self.start, self.end, HOUR_S), *self.reopened}))


def closed_until(now_s: int) -> int:
    """Give the end of the last closed hour."""
    return (now_s - GRACE_S) // HOUR_S * HOUR_S


def oldest_hour(tables: Iterable[str], retention: RetentionSettings, now_s: int) -> int:
    """Give the first hour of which retention has surely removed nothing yet from any of the tables (a day is left as margin)."""
    days = [getattr(retention, spec.retention) for table in tables if (spec := TABLES[table]).retention]
    kept = min((day for day in days if day), default=0)
    return (now_s - (kept - 1) * DAY_S) // HOUR_S * HOUR_S + HOUR_S if kept else 0


def window(
    client: "Client", audited: Iterable[Ledgered], retention: RetentionSettings, now_s: int, *, start: int | None, end: int | None
) -> Window:
    """Choose the hours: those asked for, or the closed ones since the last audit; never older than what retention keeps whole."""
    clip = oldest_hour({table for one in audited for table in one.homes}, retention, now_s)
    closed = closed_until(now_s)
    until = min(closed, -(-end // HOUR_S) * HOUR_S) if end is not None else closed
    if start is not None or end is not None:
        begin = start // HOUR_S * HOUR_S if start is not None else _first_hour(client, clip, until)
        return Window(max(begin, clip), until, (), {}, goes_on=False)
    last, hour = _last(client)
    begin = hour + HOUR_S if hour is not None else _first_hour(client, clip, until)
    oldest = max(clip, now_s - retention.topics_days * DAY_S)
    reopened = tuple(hour for check, hour in open_hours(client) if hour >= oldest and hour < closed and not check.startswith("rollup"))
    return Window(max(begin, clip), until, reopened, last, goes_on=True)


def open_hours(client: "Client") -> list[tuple[str, int]]:
    """Give (check, hour) of what the last audit of that hour found and nobody repaired."""
    return [(str(check), int(hour)) for check, hour in select(client, _OPEN, {"check": AUDITED_TO})]


def spans(client: "Client", records: Records, ledgered: Ledgered, window_: Window) -> list[Span]:
    """Give the offsets to look at in every place, up to the highest ledgered one of the hours."""
    parameters = {"processor": ledgered.processor, "topic": ledgered.topic, "hours": hour_ranges(window_.hours)}
    current, ends = records.incarnation(ledgered.topic), records.ends(ledgered.topic)
    found = []
    if not window_.hours:
        return []
    begin, end = (
        records.since(ledgered.topic, window_.hours[0] * 1_000),
        records.since(ledgered.topic, (window_.hours[-1] + HOUR_S) * 1_000),
    )
    for incarnation, partition, floor, lowest, first, last, within in select(client, _LEDGERED, parameters):
        place = Place(ledgered.processor, str(incarnation), ledgered.topic, int(partition))
        reach = [(int(first), int(last))] if within else []
        if place.incarnation == current and place.partition in ends:
            reach.append((begin[place.partition], min(end[place.partition] - 1, int(floor))))
        reach = [(low, high) for low, high in reach if low <= high]
        if window_.goes_on and reach:
            reach.append((window_.audited_to.get(place, -1) + 1, max(high for _, high in reach)))
        span = _span(client, place, reach, ends.get(place.partition) if place.incarnation == current else None, int(lowest))
        if span is not None:
            found.append(span)
    return found


def _span(client: "Client", place: Place, reach: list[tuple[int, int]], ends: LogEnds | None, lowest: int) -> Span | None:
    """Begin behind the ledgered offset before, so that no gap falls between two audits; at the log's start where there is none."""
    if not reach:
        return None
    first, last = min(low for low, _ in reach), max(high for _, high in reach)
    before = select(client, _BEFORE, {**place.parameters(), "first": first})[0][0]
    if before is not None:
        return Span(place, int(before) + 1, last)
    return Span(place, min(lowest, ends.start) if ends else lowest, last)


def _last(client: "Client") -> tuple[dict[Place, int], int | None]:
    rows = select(client, _LAST, {"check": AUDITED_TO})
    reached = {Place(str(name), str(inc), str(topic), int(part)): int(offset) for name, inc, topic, part, offset, _ in rows if inc}
    return reached, max((int(row[5]) for row in rows), default=None)


def _first_hour(client: "Client", clip: int, until: int) -> int:
    first = select(client, _FIRST, {"clip": clip})[0][0]
    return until if first is None else int(first)
