"""What a contract test needs of a backend, in memory and for real: tables that can be read, topics that can be written."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import clickhouse_connect
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition as KafkaPartition

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.edges import Fence, Log, Store, TopicPartition
from llmtower_processors.runtime.kafka import KafkaLog
from llmtower_processors.runtime.memory import MemoryBroker, MemoryLog
from llmtower_processors.runtime.memory_store import MemoryStore, Row, Table, View
from llmtower_processors.runtime.model import Record
from llmtower_schemas.migrations import migrations

GROUP = "llmtower.test"
Headers = tuple[tuple[str, bytes], ...]


class StoreBackend(Protocol):
    """A store with the tables `events` (by month of `at`, summed up in `totals` by a view), `shared` and `ledger`."""

    store: Store

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """All rows, sorted."""

    def total(self) -> tuple[int, int]:
        """Number and amount of the rows that reached the view's target."""

    def shrink_window(self, table: str) -> None:
        """Let a table forget all but the last ten blocks."""


def _month(row: Row) -> int:
    at = datetime.fromtimestamp(row["at"], UTC)
    return at.year * 12 + at.month


def _sum(rows: Sequence[Row]) -> list[Row]:
    return [{"n": len(rows), "amount": sum(row["amount"] for row in rows)}]


class MemoryBackend:
    """Tables in memory."""

    def __init__(self) -> None:
        self._tables = {
            "events": Table(partition_by=_month, views=[View("totals", _sum)]),
            "totals": Table(),
            "shared": Table(),
            "ledger": Table(),
        }
        self.store: Store = MemoryStore(self._tables)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """All rows, sorted."""
        assert isinstance(self.store, MemoryStore)
        return sorted(tuple(row[column] for column in columns) for row in self.store.tables[table].rows)

    def total(self) -> tuple[int, int]:
        """What the view counted."""
        rows = self._tables["totals"].rows
        return sum(row["n"] for row in rows), sum(row["amount"] for row in rows)

    def shrink_window(self, table: str) -> None:
        """Set the window to ten."""
        self._tables[table].window = 10


_DDL = (
    """CREATE TABLE events (incarnation LowCardinality(String), kafka_topic LowCardinality(String), kafka_partition Int32,
    kafka_offset Int64, event_index UInt32, amount Int64, at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY at
    SETTINGS non_replicated_deduplication_window = 100000""",
    """CREATE TABLE totals (n SimpleAggregateFunction(sum, UInt64), amount SimpleAggregateFunction(sum, Int64))
    ENGINE = AggregatingMergeTree ORDER BY tuple() SETTINGS non_replicated_deduplication_window = 100000""",
    "CREATE MATERIALIZED VIEW totals_view TO totals AS SELECT count() AS n, sum(amount) AS amount FROM events",
    """CREATE TABLE shared (incarnation String, topic String, partition Int32, offset Int64, event_index UInt32, processor String)
    ENGINE = MergeTree ORDER BY offset SETTINGS non_replicated_deduplication_window = 100000""",
)


class ClickHouseBackend:
    """Tables in a fresh database of the engine; `ledger` as the migrations create it."""

    def __init__(self, engine: EngineProcess, database: str) -> None:
        login: dict[str, Any] = {
            "host": engine.host,
            "port": engine.port,
            "username": "writer",
            "password": engine.credentials.password(Role.WRITER),
        }
        self.client = clickhouse_connect.get_client(**login)
        self.client.command(f"CREATE DATABASE {database}")
        self.options = {**login, "database": database}
        self.client.database = database
        ledger = [s for m in migrations() for s in m.statements() if re.search(r"(CREATE TABLE IF NOT EXISTS|ALTER TABLE) ledger\b", s)]
        for statement in (*_DDL, *ledger):
            self.client.command(statement)
        self.store: Store = ClickHouseStore(self.options)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """All rows, sorted."""
        return sorted(tuple(row) for row in self.client.query(f"SELECT {', '.join(columns)} FROM {table}").result_rows)

    def total(self) -> tuple[int, int]:
        """What the view counted."""
        n, amount = self.client.query("SELECT sum(n), sum(amount) FROM totals").result_rows[0]
        return int(n), int(amount)

    def shrink_window(self, table: str) -> None:
        """Set the window to ten."""
        self.client.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 10")

    def close(self) -> None:
        """Close the connections."""
        self.store.close()
        self.client.close()


class LogBackend(Protocol):
    """A cluster with topics, and members of the group GROUP."""

    async def create(self, topic: str, partitions: int) -> None:
        """Create a topic; one that exists is deleted first."""

    async def append(self, partition: TopicPartition, *values: bytes | None, headers: Headers = ()) -> None:
        """Append records."""

    async def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Delete the head of a partition."""

    async def member(self, topic: str) -> "Member":
        """Join the group."""

    async def close(self) -> None:
        """Stop all members."""


class Member:
    """A member of the group that remembers what it was told."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.fence = Fence(-1, "")
        self.assigned: frozenset[TopicPartition] = frozenset()
        self.assignments = 0
        self.revocations = 0

    async def start(self) -> "Member":
        """Join and be assigned."""
        await self.log.start(self.on_assigned, self.on_revoked)
        await self.until(lambda: self.assignments > 0)
        return self

    def on_assigned(self, fence: Fence, partitions: frozenset[TopicPartition]) -> None:
        """Remember the fence."""
        self.fence, self.assigned = fence, partitions
        self.assignments += 1

    async def on_revoked(self) -> None:
        """Count."""
        self.revocations += 1

    async def until(self, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Poll until something is true."""
        async with asyncio.timeout(timeout_s):
            while not true():
                await self.log.poll(0.05)

    async def read(self, partition: TopicPartition, count: int) -> list[Record]:
        """Poll until `count` records of a partition have come."""
        found: list[Record] = []
        async with asyncio.timeout(30.0):
            while len(found) < count:
                found.extend((await self.log.poll(0.1)).get(partition, ()))
        return found


class MemoryCluster:
    """Kafka in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self._members: list[Member] = []

    async def create(self, topic: str, partitions: int) -> None:
        """Create a topic anew."""
        self.broker.create(topic, partitions)

    async def append(self, partition: TopicPartition, *values: bytes | None, headers: Headers = ()) -> None:
        """Append records."""
        for value in values:
            self.broker.append(partition, value, headers=headers, timestamp_ms=1_700_000_000_000)

    async def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Delete the head."""
        self.broker.delete_before(partition, offset)

    async def member(self, topic: str) -> Member:
        """Join the group."""
        self._members.append(Member(MemoryLog(self.broker, GROUP, (topic,))))
        return await self._members[-1].start()

    async def close(self) -> None:
        """Stop all members."""
        for member in self._members:
            await member.log.stop()


class KafkaCluster:
    """A real Kafka."""

    def __init__(self, bootstrap_servers: str, group: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.group = group
        self._members: list[Member] = []

    async def _admin(self, act: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            return await act(admin)
        finally:
            await admin.close()

    async def create(self, topic: str, partitions: int) -> None:
        """Create a topic; delete it first if it exists."""
        if topic in await self._admin(lambda admin: admin.list_topics()):
            await self._admin(lambda admin: admin.delete_topics([topic]))
        async with asyncio.timeout(30.0):
            while True:
                response = await self._admin(lambda admin: admin.create_topics([NewTopic(topic, partitions, 1)]))
                if not any(code for _, code, *_ in response.topic_errors):
                    return
                await asyncio.sleep(0.1)

    async def append(self, partition: TopicPartition, *values: bytes | None, headers: Headers = ()) -> None:
        """Append records."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers) as producer:
            for value in values:
                await producer.send(
                    partition.topic, value, b"k", partition=partition.partition, headers=list(headers), timestamp_ms=1_700_000_000_000
                )

    async def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Delete the head."""
        records: Mapping[KafkaPartition, RecordsToDelete] = {KafkaPartition(*partition): RecordsToDelete(before_offset=offset)}
        await self._admin(lambda admin: admin.delete_records(records))

    async def member(self, topic: str) -> Member:
        """Join the group; sessions are short."""
        options = {"bootstrap_servers": self.bootstrap_servers, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 200}
        self._members.append(Member(KafkaLog(options, self.group, (topic,))))
        return await self._members[-1].start()

    async def close(self) -> None:
        """Stop all members."""
        for member in self._members:
            try:
                await member.log.stop()
            except KafkaError:
                continue
