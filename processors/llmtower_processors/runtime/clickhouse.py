"""The store edge on ClickHouse over HTTP: one client per thread, blocks as Native columns, one token per insert."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import clickhouse_connect
import lz4.frame
from clickhouse_connect.driver.client import Client

from llmtower_processors.native import UnpackableError
from llmtower_processors.packed import Packed, block_bytes, pack
from llmtower_processors.runtime import fitness
from llmtower_processors.runtime.edges import EdgeError, StoreRefusedError, StoreUnavailableError, TopicPartition
from llmtower_processors.runtime.envelopes import LEDGER, spans
from llmtower_processors.runtime.model import Block
from llmtower_processors.runtime.refusals import judge

TIMEOUT_S: Final = 25
"""Of one insert or look-up, on the server and on the socket; shorter than `pending.SETTLE_MS`."""

_SPANS_A_QUERY: Final = 200
_KEYS_A_QUERY: Final = 2_000

_INSERT: Final[Mapping[str, Any]] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_execution_time": TIMEOUT_S,
    "max_threads": 1,
}
"""One thread: a range is small, and handing its blocks between threads costs more than it wins; partitions insert beside each other."""

_READ: Final[Mapping[str, Any]] = {"max_execution_time": TIMEOUT_S, "deduplicate_blocks_in_dependent_materialized_views": 1}

_FLOORS: Final = """
SELECT incarnation, topic, partition, max(offset) FROM ledger
WHERE processor = {processor:String} AND incarnation IN {incarnations:Array(String)} GROUP BY incarnation, topic, partition
"""
_KNOWN: Final = """
SELECT DISTINCT producer, first_seq FROM ledger
WHERE processor = %(processor)s AND topic = %(topic)s AND partition = %(partition)s
  AND (incarnation != %(incarnation)s OR offset < %(before)s) AND (
"""
_COLUMNS: Final = "SELECT table, name, type FROM system.columns WHERE database = {database:String} AND table IN {tables:Array(String)}"


class ClickHouseStore:
    """See `edges.Store`. `options` are those of `clickhouse_connect.get_client` and name the database."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = {
            "query_retries": 0,
            "connect_timeout": 5,
            **options,
            "send_receive_timeout": TIMEOUT_S,
            "autogenerate_session_id": False,
        }
        self._database = str(self._options.get("database") or "default")
        self._local = threading.local()
        self._clients: list[Client] = []
        self._types: dict[str, dict[str, str]] = {}

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            try:
                client = clickhouse_connect.get_client(**self._options)
            except Exception as error:
                raise StoreUnavailableError(f"cannot connect: {judge(error, 'system.settings', ())}") from error
            self._local.client = client
            self._clients.append(client)
        return client

    def _ask(self, sql: str, parameters: Mapping[str, Any], table: str = "system.tables") -> list[tuple[Any, ...]]:
        client = self._client()
        try:
            return [tuple(row) for row in client.query(sql, parameters=dict(parameters), settings=dict(_READ)).result_rows]
        except Exception as error:
            raise judge(error, table, ()) from error

    def check(self, tables: Sequence[str]) -> None:
        """Raise StoreUnfitError unless replays into the tables, the ledger and all views behind them are exact."""
        fitness.check(self._ask, self._database, tables)

    def floors(self, processor: str, incarnations: Mapping[TopicPartition, str]) -> dict[TopicPartition, int]:
        """Highest ledgered offsets, from the ledger's projection."""
        parameters = {"processor": processor, "incarnations": sorted(set(incarnations.values()))}
        found = {(row[0], TopicPartition(row[1], row[2])): int(row[3]) for row in self._ask(_FLOORS, parameters, LEDGER)}
        return {partition: found.get((incarnation, partition), -1) for partition, incarnation in incarnations.items()}

    def highest(self, processor: str, tables: Sequence[str], after: Mapping[TopicPartition, tuple[str, int]]) -> dict[TopicPartition, int]:
        """Highest offsets in the tables, above those given."""
        highest = dict.fromkeys(after, -1)
        for table in tables:
            for incarnation, partition, offset in self._beyond(processor, table, after):
                if partition in after and after[partition][0] == incarnation and offset > after[partition][1]:
                    highest[partition] = max(highest[partition], offset)
        return highest

    def _beyond(
        self, processor: str, table: str, after: Mapping[TopicPartition, tuple[str, int]]
    ) -> Iterator[tuple[str, TopicPartition, int]]:
        columns = self._columns(table)
        prefix = "kafka_" if "kafka_offset" in columns else ""
        own = "AND processor = {processor:String}" if "processor" in columns else ""
        sql = f"""
        SELECT incarnation, {prefix}topic, {prefix}partition, max({prefix}offset) FROM {table}
        WHERE {prefix}offset > {{above:Int64}} AND incarnation IN {{incarnations:Array(String)}} {own}
        GROUP BY incarnation, {prefix}topic, {prefix}partition
        """  # noqa: S608  (names of our own tables and columns)
        incarnations = sorted({incarnation for incarnation, _ in after.values()})
        above = min((offset for _, offset in after.values()), default=-1)
        for incarnation, topic, number, offset in self._ask(
            sql, {"above": above, "incarnations": incarnations, "processor": processor}, table
        ):
            yield incarnation, TopicPartition(topic, number), int(offset)

    def known(
        self, processor: str, incarnation: str, partition: TopicPartition, before: int, keys: Iterable[tuple[str, int]]
    ) -> set[tuple[str, int]]:
        """Envelopes that the ledger has already, found by its sorting key: thousands of a run's are a few spans, a gateway's are not."""
        wanted = set(keys)
        place = {"processor": processor, "topic": partition.topic, "partition": partition.partition, "incarnation": incarnation}
        found: set[tuple[str, int]] = set()
        for condition, values in _conditions(spans(wanted)):
            rows = self._ask(f"{_KNOWN}{condition})", {**place, "before": before, **values}, LEDGER)
            found.update((str(producer), int(seq)) for producer, seq in rows)
        return found & wanted

    def present(
        self, table: str, columns: Sequence[str], incarnation: str, partition: TopicPartition, offsets: tuple[int, int]
    ) -> set[tuple[Any, ...]]:
        """What the stored rows of these offsets have in `columns`."""
        prefix = "kafka_" if columns[0].startswith("kafka_") else ""
        sql = f"""
        SELECT {", ".join(columns)} FROM {table} WHERE incarnation = {{incarnation:String}} AND {prefix}topic = {{topic:String}}
          AND {prefix}partition = {{partition:Int32}} AND {columns[0]} BETWEEN {{first:Int64}} AND {{last:Int64}}
        """  # noqa: S608  (names of our own tables and columns)
        first, last = offsets
        parameters = {"incarnation": incarnation, "topic": partition.topic, "partition": partition.partition, "first": first, "last": last}
        return set(self._ask(sql, parameters, table))

    def insert(self, block: Block, token: str) -> None:
        """Insert under the token; returns when table and views have it."""
        client, names = self._client(), list(block.columns)
        settings = {**_INSERT, "insert_deduplication_token": token}
        try:
            packed = self._packed(block)
            if packed is None:
                self._insert_values(client, block, settings)
                return
            body, encoding = block_bytes(packed), "lz4" if client.write_compression else None
            body = lz4.frame.compress(body) if encoding else body
            client.raw_insert(block.table, names, body, settings=settings, fmt="Native", compression=encoding)
        except EdgeError:
            self._types.pop(block.table, None)
            raise
        except Exception as error:
            self._types.pop(block.table, None)
            raise judge(error, block.table, names) from error

    def _packed(self, block: Block) -> dict[str, Packed] | None:
        """Pack what the function left as values, as the table has it; None if a type is not written by us. Raises StoreRefusedError."""
        types, packed = self._columns(block.table), {}
        for name, column in block.columns.items():
            if name not in types:
                raise StoreRefusedError(f"table {block.table}, column {name}: does not exist; run `llmtower migrate`")
            try:
                packed[name] = pack(types[name], column)
            except UnpackableError:
                return None
            except Exception as error:
                raise judge(error, block.table, (name,), name) from error
        return packed

    def _insert_values(self, client: Client, block: Block, settings: Mapping[str, Any]) -> None:
        """Let the client write the columns: tuples, decimals and the like, which no table of many rows has."""
        types, names = self._columns(block.table), list(block.columns)
        context = client.create_insert_context(
            block.table, names, column_type_names=[types[name] for name in names], column_oriented=True, settings=dict(settings)
        )
        try:
            context.data = [list(column) for column in block.columns.values()]
            client.data_insert(context)
        except Exception as error:
            raise judge(error, block.table, names, str(getattr(context, "column_name", "") or "")) from error
        finally:
            vars(context).clear()  # it refers to itself, and would keep the block until cyclic garbage is collected

    def _columns(self, table: str) -> dict[str, str]:
        known = self._types.get(table)
        if known is None:
            rows = self._ask(_COLUMNS, {"database": self._database, "tables": [table]}, table)
            known = self._types[table] = {name: type_ for _, name, type_ in rows}
        return known

    def close(self) -> None:
        """Close the clients of all threads."""
        while self._clients:
            self._clients.pop().close()


def _conditions(found: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give conditions on the ledger's sorting key, and the values they bind: wide spans one by one, single numbers as a set."""
    wide = iter([span for span in found if span[1] < span[2]])
    while some := list(islice(wide, _SPANS_A_QUERY)):
        any_of = " OR ".join(f"(producer = %(p{i})s AND first_seq BETWEEN {low} AND {high})" for i, (_, low, high) in enumerate(some))
        yield any_of, {f"p{i}": producer for i, (producer, _, _) in enumerate(some)}
    single = iter([(producer, low) for producer, low, high in found if low == high])
    while pairs := list(islice(single, _KEYS_A_QUERY)):
        yield "(producer, first_seq) IN %(pairs)s", {"pairs": tuple(pairs)}
