"""Compare an hour of each rollup with what it is made of, by the view's own SELECT, and rebuild it.

Safe order of a rebuild: (1) delete the hour of `rollup_1h` (only for `rollup_1m`, whose inserts feed it), (2) delete the hour of the
rollup itself, (3) insert the view's SELECT of that hour, under a token. Killed behind (1) or (2): the hour is empty, differs, and is
rebuilt from the start. Killed within (3), between `rollup_1m` and the view behind it: `rollup_1h` alone differs and is rebuilt from
`rollup_1m`. A call that arrives late in the midst of it shows at the comparison that follows, and the rebuild is tried again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from llmtower_processors.audit.model import HOUR_S, Finding
from llmtower_processors.audit.tables import INSERT, READ, delete_hour, select

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

ATTEMPTS: Final = 3
HOURS_AT_ONCE: Final = 24
"""Hours compared by one query; it bounds the memory of the server."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """A rollup, the column of its time, what it is made of, and which rollup is fed by it."""

    table: str
    time: str
    source: str
    source_time: str
    feeds: tuple[str, ...] = ()


ROLLUPS: Final[tuple[Rollup, ...]] = (
    Rollup("rollup_1m", "minute", "calls", "started_at", feeds=("rollup_1h",)),
    Rollup("rollup_1h", "hour", "rollup_1m", "minute"),
    Rollup("rollup_user_1h", "hour", "calls", "started_at"),
)
"""In the order in which they are compared and rebuilt: a source before what is made of it."""

_UNSETTLED: Final = """
SELECT count() FROM calls LEFT JOIN (
    SELECT incarnation, topic AS kafka_topic, partition AS kafka_partition, max(offset) AS floor, 1 AS known
    FROM ledger WHERE processor = 'calls' AND incarnation = {current:String} GROUP BY ALL
) AS floors USING (incarnation, kafka_topic, kafka_partition)
WHERE started_at >= fromUnixTimestamp({hour:UInt32}) AND started_at < fromUnixTimestamp({hour:UInt32} + 3600)
    AND incarnation = {current:String} AND (kafka_offset > floor OR NOT known)
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a rollup: its keys, its exact sums, and all of them; and the SELECT of its view."""

    keys: tuple[str, ...]
    sums: tuple[str, ...]
    all: tuple[str, ...]
    view: str


def _shape(client: "Client", rollup: Rollup) -> Shape:
    """Read the columns and the view of a rollup from the server. Raises IndexError when the view is not there."""
    sql = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position"
    columns = [(str(name), str(kind)) for name, kind in select(client, sql, {"table": rollup.table})]
    sql = "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = {view:String}"
    view = str(select(client, sql, {"view": f"{rollup.table}_view"})[0][0])
    keys = tuple(name for name, kind in columns if "AggregateFunction" not in kind)
    sums = tuple(name for name, kind in columns if kind.startswith("SimpleAggregateFunction(sum"))
    return Shape(keys, sums, tuple(name for name, _ in columns), view)


def compare(client: "Client", rollup: Rollup, hours: Sequence[int]) -> list[Finding]:
    """Compare every key's integer sums (counts, money, histogram buckets), and give the hours in which they are not equal."""
    found = _shape(client, rollup)
    differs = " OR ".join(_differs(name) for name in found.sums)
    columns = ", ".join((*found.keys, *found.sums))
    stored = f"SELECT {columns}, 1 AS side FROM {rollup.table} WHERE {_within(rollup.time)}"  # noqa: S608 - names from literal tables
    computed = f"SELECT {columns}, 0 AS side FROM ({found.view}) WHERE {_within(rollup.time)}"  # noqa: S608 - names from literal tables
    totals = ", ".join(f"sumIf({name}, side = {side}) AS {name}_{side}" for name in ("calls", "cost_nano_usd") for side in (0, 1))
    sql = (
        "SELECT at, count(), sum(calls_0), sum(calls_1), sum(cost_nano_usd_0), sum(cost_nano_usd_1) FROM ("  # noqa: S608 - names as above
        f"SELECT toUnixTimestamp(toStartOfHour({rollup.time})) AS at, {totals} FROM ({computed} UNION ALL {stored})"
        f" GROUP BY {', '.join(found.keys)} HAVING {differs}) GROUP BY at ORDER BY at"
    )
    settings = {**READ, **_only(client, rollup, hours)}
    return [_finding(rollup, *map(int, row)) for row in client.query(sql, parameters=_bounds(hours), settings=settings).result_rows]


def _finding(rollup: Rollup, hour: int, count: int, calls: int, calls_stored: int, cost: int, cost_stored: int) -> Finding:
    detail = f"{count} rows differ: calls {calls_stored}, should be {calls}; cost_nano_usd {cost_stored}, should be {cost}"
    return Finding(rollup.table, hour, "calls", count, detail)


def rebuild(client: "Client", rollup: Rollup, hour: int, token: str) -> None:
    """Make one hour anew from its source; the rollups fed by it are made anew with it. `token` must be new each time."""
    found = _shape(client, rollup)
    for fed in ROLLUPS:
        if fed.table in rollup.feeds:
            delete_hour(client, fed.table, fed.time, hour)
    delete_hour(client, rollup.table, rollup.time, hour)
    columns = ", ".join(found.all)
    sql = f"INSERT INTO {rollup.table} ({columns}) SELECT {columns} FROM ({found.view}) WHERE {_within(rollup.time)}"  # noqa: S608 - names from literal tables
    settings = {**READ, **INSERT, **_only(client, rollup, [hour]), "insert_deduplication_token": token}
    client.command(sql, parameters=_bounds([hour]), settings=settings)


def occupied(client: "Client", hours: Sequence[int]) -> list[int]:
    """Leave out the hours in which neither calls nor rollups have a row: to look at them costs nothing more than this."""
    times = {(rollup.table, rollup.time) for rollup in ROLLUPS} | {(rollup.source, rollup.source_time) for rollup in ROLLUPS}
    sources = " UNION ALL ".join(
        f"SELECT toDateTime({time}, 'UTC') AS at FROM {table} WHERE {time} >= fromUnixTimestamp({{start:UInt32}})"  # noqa: S608 - names from literal tables
        f" AND {time} < fromUnixTimestamp({{end:UInt32}})"
        for table, time in sorted(times)
    )
    sql = f"SELECT DISTINCT toUnixTimestamp(toStartOfHour(at)) FROM ({sources})"  # noqa: S608 - as above
    bounds = {"start": min(hours, default=0), "end": max(hours, default=0) + HOUR_S}
    return sorted({int(row[0]) for row in select(client, sql, bounds)} & set(hours))


def audit_rollup(client: "Client", rollup: Rollup, hours: Sequence[int]) -> list[Finding]:
    """Compare hours; one that differs is looked at twice, as a call may arrive between the two sides of the first look."""
    suspects = [
        finding.hour
        for begin in range(0, len(hours), HOURS_AT_ONCE)
        for finding in compare(client, rollup, hours[begin : begin + HOURS_AT_ONCE])
    ]
    return [finding for hour in suspects for finding in compare(client, rollup, [hour])]


def repair_rollup(client: "Client", first: Finding, *, current: str, token: str) -> Finding:
    """Rebuild an hour that differs and compare it again; an hour with a range of the `current` incarnation under way is left alone."""
    hour, rollup = first.hour, next(rollup for rollup in ROLLUPS if rollup.table == first.check)
    if unsettled(client, hour, current):
        return replace(first, detail=f"{first.detail}; a range is being stored, run the audit again")
    for attempt in range(ATTEMPTS):
        rebuild(client, rollup, hour, f"{token}:{rollup.table}:{hour}:{attempt}")
        if not compare(client, rollup, [hour]):
            return replace(first, repaired=first.found)
    return replace(first, detail=f"{first.detail}; {ATTEMPTS} rebuilds did not mend it, run the audit again")


def unsettled(client: "Client", hour: int, current: str) -> int:
    """Count the calls of an hour that lie above the ledger: their insert is under way, or will be replayed into the views."""
    return int(select(client, _UNSETTLED, {"hour": hour, "current": current})[0][0])


def _bounds(hours: Sequence[int]) -> dict[str, object]:
    return {"start": min(hours), "end": max(hours) + HOUR_S, "hours": list(hours)}


def _within(column: str) -> str:
    return (
        f"{column} >= toDateTime({{start:UInt32}}, 'UTC') AND {column} < toDateTime({{end:UInt32}}, 'UTC')"
        f" AND has({{hours:Array(UInt32)}}, toUnixTimestamp(toStartOfHour({column})))"
    )


def _differs(name: str) -> str:
    if name.endswith("_buckets"):
        return f"mapSort(sumMapIf({name}, side = 0)) != mapSort(sumMapIf({name}, side = 1))"
    return f"sumIf({name}, side = 0) != sumIf({name}, side = 1)"


def _only(client: "Client", rollup: Rollup, hours: Sequence[int]) -> dict[str, str]:
    """Let the view's SELECT read these hours of its source alone (the condition on its result is what makes it right)."""
    start, end, column = min(hours), max(hours) + HOUR_S, rollup.source_time
    condition = f"{column} >= toDateTime({start}, \\'UTC\\') AND {column} < toDateTime({end}, \\'UTC\\')"
    return {"additional_table_filters": f"{{'{client.database}.{rollup.source}': '{condition}'}}"}
