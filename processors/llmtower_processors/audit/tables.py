"""The audit's face to ClickHouse: bound queries, blocks in, rows out by part and position."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.audit.model import HOUR_S, Ledgered, Place, Span, prefix
from llmtower_processors.runtime.model import Block

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

READ: Final = {"max_bytes_before_external_group_by": 500_000_000, "max_bytes_before_external_sort": 500_000_000}
INSERT: Final = {"async_insert": 0, "deduplicate_blocks_in_dependent_materialized_views": 1}
DELETE_BATCH: Final = 1_000
FEEDING: Final = ("calls", "scores")
"""The homes of events that feed rollups, by `started_at`."""


def select(client: "Client", sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
    """Run one query with bound parameters."""
    return client.query(sql, parameters=dict(parameters or {}), settings=dict(READ)).result_rows


def insert(client: "Client", block: Block, token: str) -> None:
    """Insert one block once per token, into its table and every view behind it."""
    names = list(block.columns)
    columns = [list(block.columns[name]) for name in names]
    client.insert(block.table, columns, names, column_oriented=True, settings={**INSERT, "insert_deduplication_token": token})


def place_filter(table: str) -> str:
    """Give the condition that rows of `table` stand in the bound place and offsets."""
    p = prefix(table)
    own = " AND processor = {processor:String}" if table in ("ledger", "dead_letters") else ""
    return (
        f"incarnation = {{incarnation:String}} AND {p}topic = {{topic:String}} AND {p}partition = {{partition:Int32}}"
        f" AND {p}offset BETWEEN {{first:Int64}} AND {{last:Int64}}{own}"
    )


def within_hours(column: str) -> str:
    """Give the condition that a time lies in one of the bound `hours`, a few ranges: a long list would not fit into an address."""
    return f"arrayExists(r -> toUnixTimestamp({column}) >= r.1 AND toUnixTimestamp({column}) < r.2, {{hours:Array(Tuple(UInt32, UInt32))}})"


def hour_ranges(hours: Iterable[int]) -> list[tuple[int, int]]:
    """Join ascending hours that touch, for `within_hours`: (start, end), the end not included."""
    found: list[tuple[int, int]] = []
    for hour in hours:
        if found and found[-1][1] == hour:
            found[-1] = (found[-1][0], hour + HOUR_S)
        else:
            found.append((hour, hour + HOUR_S))
    return found


def delete_rows(client: "Client", table: str, positions: Iterable[tuple[str, int]]) -> None:
    """Delete single rows by (`_part`, `_part_offset`). A row that a merge has moved meanwhile stays, and the next look finds it."""
    rows = list(positions)
    for begin in range(0, len(rows), DELETE_BATCH):
        parts: dict[str, list[int]] = {}
        for part, offset in rows[begin : begin + DELETE_BATCH]:
            parts.setdefault(part, []).append(offset)
        names = {f"part{number}": part for number, part in enumerate(parts)}
        conditions = [
            f"(_part = {{part{number}:String}} AND _part_offset IN ({', '.join(map(str, offsets))}))"
            for number, offsets in enumerate(parts.values())
        ]
        _delete(client, table, " OR ".join(conditions), names)


def delete_records(client: "Client", table: str, span: Span, offsets: Iterable[int], flag: str = "") -> None:
    """Delete all rows of some records; of the ledger, those with `flag` (`AND duplicate = 0`)."""
    wanted = sorted(offsets)
    for begin in range(0, len(wanted), DELETE_BATCH):
        within = f"{prefix(table)}offset IN ({', '.join(map(str, wanted[begin : begin + DELETE_BATCH]))})"
        _delete(client, table, f"{place_filter(table)} AND {within}{flag}", span.parameters())


def delete_hour(client: "Client", table: str, column: str, hour: int) -> None:
    """Delete an hour of a rollup."""
    condition = f"{column} >= toDateTime({{hour:UInt32}}, 'UTC') AND {column} < toDateTime({{hour:UInt32}} + 3600, 'UTC')"
    _delete(client, table, condition, {"hour": hour})


def _delete(client: "Client", table: str, condition: str, parameters: Mapping[str, object]) -> None:
    """Lightweight, but for the ledger: a table with a projection refuses that, so its parts are rewritten. Returns when it is done."""
    if table == "ledger":
        client.command(f"ALTER TABLE ledger DELETE WHERE {condition}", parameters=dict(parameters), settings={"mutations_sync": 2})
    else:
        client.command(f"DELETE FROM {table} WHERE {condition}", parameters=dict(parameters), settings={"lightweight_deletes_sync": 2})  # noqa: S608 - names from literal tables


def positions(client: "Client", table: str, span: Span, offsets: Iterable[int]) -> list[tuple[int, int, int, str, int]]:
    """Give (offset, event index, hour or duplicate flag, part, position in it) of the rows at some offsets, oldest part first."""
    p = prefix(table)
    third = "duplicate" if table == "ledger" else "toUnixTimestamp(toStartOfHour(started_at, 'UTC'))" if table in FEEDING else "0"
    index = "0" if table == "ledger" else "event_index"
    sql = (
        f"SELECT {p}offset, {index}, {third}, _part, _part_offset FROM {table}"  # noqa: S608 - names from literal tables
        f" WHERE {place_filter(table)} AND has({{offsets:Array(Int64)}}, {p}offset) ORDER BY 1, 2, _part, _part_offset"
    )
    rows = select(client, sql, {**span.parameters(), "offsets": list(offsets)})
    return [(int(a), int(b), int(c), str(d), int(e)) for a, b, c, d, e in rows]


def touched_hours(client: "Client", table: str, span: Span) -> set[int]:
    """Give the hours in which the calls of these offsets started, or those that their scores are of."""
    sql = f"SELECT DISTINCT toUnixTimestamp(toStartOfHour(started_at, 'UTC')) FROM {table} WHERE {place_filter(table)}"  # noqa: S608 - names from literal tables
    return {int(row[0]) for row in select(client, sql, span.parameters())}


def places(client: "Client", ledgered: Ledgered) -> list[Place]:
    """Give every place the ledger of a processor knows."""
    sql = "SELECT DISTINCT incarnation, partition FROM ledger WHERE processor = {processor:String} AND topic = {topic:String} ORDER BY ALL"
    rows = select(client, sql, {"processor": ledgered.processor, "topic": ledgered.topic})
    return [Place(ledgered.processor, str(incarnation), ledgered.topic, int(partition)) for incarnation, partition in rows]
