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
from llmtower_schemas.tables import TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

ATTEMPTS: Final = 3
HOURS_AT_ONCE: Final = 24
"""Hours compared by one query; it bounds the memory of the server."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """A rollup, which rollup is fed by it, two of its sums to be told, and its rows: table → the processor (as SQL) that stores them."""

    table: str
    told: tuple[str, str] = ("calls", "cost_nano_usd")
    feeds: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = (("calls", "'calls'"),)

    @property
    def time(self) -> str:
        """The column of its time."""
        return TABLES[self.table].time_column

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """What it is made of: tables, each with the column of its time."""
        return tuple((source, TABLES[source].time_column) for source in TABLES[self.table].view_of)


_SCORES: Final = (("call_scores", "processor"), ("scores", "'signals'"))
ROLLUPS: Final[tuple[Rollup, ...]] = (
    Rollup("rollup_1m", feeds=("rollup_1h",)),
    Rollup("rollup_1h"),
    Rollup("rollup_user_1h"),
    Rollup("rollup_models_1h"),
    Rollup("rollup_scores_1m", told=("events", "scored"), feeds=("rollup_scores_1h",), rows=_SCORES),
    Rollup("rollup_scores_1h", told=("events", "scored"), rows=_SCORES),
)
"""In the order in which they are compared and rebuilt: a source before what is made of it."""

_UNSETTLED: Final = """
SELECT count() FROM (
    SELECT {owner} AS owner, incarnation, kafka_topic, kafka_partition, kafka_offset FROM {table}
    WHERE {time} >= fromUnixTimestamp({{hour:UInt32}}) AND {time} < fromUnixTimestamp({{hour:UInt32}} + 3600)
        AND has({{current:Array(String)}}, incarnation)
) AS found LEFT JOIN (
    SELECT processor AS owner, incarnation, topic AS kafka_topic, partition AS kafka_partition, max(offset) AS floor, 1 AS known
    FROM ledger WHERE has({{current:Array(String)}}, incarnation) GROUP BY ALL
) AS floors USING (owner, incarnation, kafka_topic, kafka_partition)
WHERE kafka_offset > floor OR NOT known
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a rollup: its keys, its sums (exact ones, those of floating point), and all of them; and the SELECT of its views."""

    keys: tuple[str, ...]
    sums: tuple[str, ...]
    floats: tuple[str, ...]
    all: tuple[str, ...]
    view: str


def _shape(client: "Client", rollup: Rollup) -> Shape:
    """Read the columns and the views of a rollup from the server. Raises IndexError when a view is not there."""
    sql = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position"
    columns = [(str(name), str(kind)) for name, kind in select(client, sql, {"table": rollup.table})]
    sql = "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = {view:String}"
    views = [str(select(client, sql, {"view": view})[0][0]) for view in TABLES[rollup.table].views]
    keys = tuple(name for name, kind in columns if "AggregateFunction" not in kind)
    sums = tuple(name for name, kind in columns if kind.startswith("SimpleAggregateFunction(sum"))
    floats = tuple(name for name, kind in columns if kind == "SimpleAggregateFunction(sum, Float64)")
    whole = tuple(name for name in sums if name not in floats)
    view = " UNION ALL ".join(f"({view})" for view in views)
    return Shape(keys, whole, floats, tuple(name for name, _ in columns), view)


def compare(client: "Client", rollup: Rollup, hours: Sequence[int]) -> list[Finding]:
    """Compare every key's sums (counts, money, histogram buckets: exactly; of floating point: to nine digits), and give the hours in which
    they are not equal."""
    found = _shape(client, rollup)
    differs = " OR ".join([*map(_differs, found.sums), *map(_far, found.floats)])
    columns = ", ".join((*found.keys, *found.sums, *found.floats))
    stored = f"SELECT {columns}, 1 AS side FROM {rollup.table} WHERE {_within(rollup.time)}"  # noqa: S608 - names from literal tables
    computed = f"SELECT {columns}, 0 AS side FROM ({found.view}) WHERE {_within(rollup.time)}"  # noqa: S608 - names from literal tables
    totals = ", ".join(
        f"sumIf({name}, side = {side}) AS told_{number}_{side}" for number, name in enumerate(rollup.told) for side in (0, 1)
    )
    sql = (
        "SELECT at, count(), sum(told_0_0), sum(told_0_1), sum(told_1_0), sum(told_1_1) FROM ("  # noqa: S608 - names as above
        f"SELECT toUnixTimestamp(toStartOfHour({rollup.time})) AS at, {totals} FROM ({computed} UNION ALL {stored})"
        f" GROUP BY {', '.join(found.keys)} HAVING {differs}) GROUP BY at ORDER BY at"
    )
    settings = {**READ, **_only(client, rollup, hours)}
    return [_finding(rollup, *map(int, row)) for row in client.query(sql, parameters=_bounds(hours), settings=settings).result_rows]


def _finding(rollup: Rollup, hour: int, count: int, *sums: int) -> Finding:
    """Tell two sums as they should be and as they are stored."""
    pairs = zip(rollup.told, sums[0::2], sums[1::2], strict=True)
    detail = f"{count} rows differ: " + "; ".join(f"{name} {stored}, should be {right}" for name, right, stored in pairs)
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
    times = {(rollup.table, rollup.time) for rollup in ROLLUPS} | {source for rollup in ROLLUPS for source in rollup.sources}
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


def repair_rollup(client: "Client", first: Finding, *, current: Sequence[str], token: str) -> Finding:
    """Rebuild an hour that differs and compare it again; an hour with a range of the `current` incarnations under way is left alone."""
    hour, rollup = first.hour, next(rollup for rollup in ROLLUPS if rollup.table == first.check)
    if unsettled(client, rollup, hour, current):
        return replace(first, detail=f"{first.detail}; a range is being stored, run the audit again")
    for attempt in range(ATTEMPTS):
        rebuild(client, rollup, hour, f"{token}:{rollup.table}:{hour}:{attempt}")
        if not compare(client, rollup, [hour]):
            return replace(first, repaired=first.found)
    return replace(first, detail=f"{first.detail}; {ATTEMPTS} rebuilds did not mend it, run the audit again")


def unsettled(client: "Client", rollup: Rollup, hour: int, current: Sequence[str]) -> int:
    """Count the rows of an hour that lie above the ledger: their insert is under way, or will be replayed into the views."""
    asked = [_UNSETTLED.format(table=table, owner=owner, time=TABLES[table].time_column) for table, owner in rollup.rows]
    return sum(int(select(client, sql, {"hour": hour, "current": list(current)})[0][0]) for sql in asked)


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


def _far(name: str) -> str:
    """Sums of floating point depend on the order of adding up."""
    return f"abs(sumIf({name}, side = 0) - sumIf({name}, side = 1)) > 1e-9 * greatest(1, abs(sumIf({name}, side = 0)))"


def _only(client: "Client", rollup: Rollup, hours: Sequence[int]) -> dict[str, str]:
    """Let the views' SELECT read these hours of its sources alone (the condition on its result is what makes it right)."""
    start, end = min(hours), max(hours) + HOUR_S
    conditions = (
        f"'{client.database}.{source}': '{time} >= toDateTime({start}, \\'UTC\\') AND {time} < toDateTime({end}, \\'UTC\\')'"
        for source, time in rollup.sources
    )
    return {"additional_table_filters": f"{{{', '.join(conditions)}}}"}
