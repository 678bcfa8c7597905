"""How far each project is complete: the lowest of what its live producers still hold unsent and of what partitions hold unprocessed."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from llmtower_processors.audit.tables import insert
from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime.model import Block, Processor
from llmtower_schemas import topics
from llmtower_schemas.settings import KafkaSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PERIOD_S: Final = 5.0
SILENT_MS: Final = 30_000
"""A producer without a heartbeat for so long no longer holds the watermark back, and is counted as silent."""
SHOWN_MS: Final = 3_600_000
"""How long a silent producer is counted, and a project without any heartbeat has a watermark."""
FETCH_S: Final = 5.0

_HEARTBEATS: Final = """
SELECT project, toUnixTimestamp64Milli(max(at)), argMax(tuple(toUnixTimestamp64Milli(oldest_unsent_at)), at).1, max(closing), any(app),
    any(environment)
FROM heartbeats WHERE at >= fromUnixTimestamp64Milli({since:Int64}) GROUP BY project, producer
"""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last that was heard of a producer's run; times in milliseconds, `oldest_unsent_ms` is None when it holds nothing."""

    project: str
    at_ms: int
    oldest_unsent_ms: int | None
    closing: bool
    app: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one processor has still to do in one partition; `oldest_ms` is the time of the first of these records."""

    topic: str
    records: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Watermark:
    """Everything of `project` that happened before `watermark_ms` is stored, as far as can be known."""

    project: str
    watermark_ms: int
    live_producers: int
    silent_of: tuple[tuple[str, str], ...]
    """App and environment of each silent producer, in alphabetical order."""
    lag_records: int

    @property
    def silent_producers(self) -> int:
        """How many there are."""
        return len(self.silent_of)


def watermarks(heartbeats: Iterable[Heartbeat], backlogs: Iterable[Backlog], now_ms: int) -> list[Watermark]:
    """Combine what is known, per project in alphabetical order.

    A live producer that holds nothing vouches for the time of its heartbeat, not for now. Silence is judged by what has been heard:
    while heartbeats wait unprocessed in Kafka, nobody falls silent. Records are not told apart by project: a backlog counts for all.
    """
    waiting = [backlog for backlog in backlogs if backlog.records]
    limit = min([now_ms, *(backlog.oldest_ms for backlog in waiting if backlog.oldest_ms is not None)])
    heard = [backlog.oldest_ms for backlog in waiting if backlog.topic == topics.SIGNALS and backlog.oldest_ms is not None]
    silent_before = min([now_ms, *heard]) - SILENT_MS
    lag = sum(backlog.records for backlog in waiting)
    projects: dict[str, list[Heartbeat]] = defaultdict(list)
    for heartbeat in heartbeats:
        projects[heartbeat.project].append(heartbeat)
    return [_watermark(project, projects[project], limit, silent_before, lag) for project in sorted(projects)]


def _watermark(project: str, heartbeats: Sequence[Heartbeat], limit: int, silent_before: int, lag: int) -> Watermark:
    running = [heartbeat for heartbeat in heartbeats if not heartbeat.closing]
    live = [heartbeat for heartbeat in running if heartbeat.at_ms >= silent_before]
    silent = sorted((heartbeat.app, heartbeat.environment) for heartbeat in running if heartbeat.at_ms < silent_before)
    held = [h.at_ms if h.oldest_unsent_ms is None else min(h.at_ms, h.oldest_unsent_ms) for h in live]
    return Watermark(project, min([limit, *held]), len(live), tuple(silent), lag)


def read_heartbeats(client: "Client", now_ms: int) -> list[Heartbeat]:
    """Give the last heartbeat of every run of the last hour."""
    rows = client.query(_HEARTBEATS, parameters={"since": now_ms - SHOWN_MS}).result_rows
    return [
        Heartbeat(str(project), int(at), None if oldest is None else int(oldest), bool(closing), str(app), str(environment))
        for project, at, oldest, closing, app, environment in rows
    ]


def write_watermarks(client: "Client", marks: Sequence[Watermark], now_ms: int, token: str) -> None:
    """Store watermarks once per token."""
    if not marks:
        return
    columns: dict[str, list[Any]] = {
        "at": [now_ms] * len(marks),
        "project": [mark.project for mark in marks],
        "watermark": [mark.watermark_ms * 1_000 for mark in marks],
        "live_producers": [mark.live_producers for mark in marks],
        "silent_producers": [mark.silent_producers for mark in marks],
        "silent_of": [list(mark.silent_of) for mark in marks],
        "lag_records": [mark.lag_records for mark in marks],
    }
    insert(client, Block("watermarks", columns), token)


async def update_watermarks(client: "Client", kafka: "KafkaBacklog", now_ms: int, token: str) -> list[Watermark]:
    """Gather, combine and store: what the leader's timer does. Raises Unreachable; then nothing is stored."""
    backlogs = await kafka.read()
    heartbeats = await asyncio.to_thread(read_heartbeats, client, now_ms)
    marks = watermarks(heartbeats, backlogs, now_ms)
    await asyncio.to_thread(write_watermarks, client, marks, now_ms, token)
    return marks


class KafkaBacklog:
    """What every processor's group has not processed yet, from its commits, the logs' ends and the first record between."""

    def __init__(self, kafka: KafkaSettings, processors: Iterable[Processor], group_prefix: str) -> None:
        self._options: dict[str, Any] = kafka.client_options(metadata_s=60)
        self._where = kafka.bootstrap_servers
        self._groups = {f"{group_prefix}.{processor.name}": processor.topics for processor in processors}

    async def __aenter__(self) -> Self:
        self._admin = AIOKafkaAdminClient(**self._options)
        reading = {"enable_auto_commit": False, "auto_offset_reset": "earliest", "isolation_level": "read_committed"}
        self._consumer = AIOKafkaConsumer(**self._options, **reading, max_partition_fetch_bytes=1 << 16)
        try:
            await self._admin.start()
            await self._consumer.start()
        except KafkaError as error:
            await self.__aexit__()
            raise self._unreachable(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def read(self) -> list[Backlog]:
        """Give the backlog of every group and partition. Raises Unreachable when Kafka leaves a question open."""
        try:
            async with asyncio.timeout(FETCH_S * 2):
                return [backlog for group, names in self._groups.items() for backlog in await self._group(group, names)]
        except (KafkaError, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def _group(self, group: str, names: Sequence[str]) -> list[Backlog]:
        partitions = sorted(
            TopicPartition(t["topic"], p["partition"]) for t in await self._admin.describe_topics(list(names)) for p in t["partitions"]
        )
        if not partitions:
            raise Unreachable(f"Kafka at {self._where} has none of the topics {', '.join(names)}. Run: llmtower topics create")
        commits = await self._admin.list_consumer_group_offsets(group, partitions=partitions)
        if set(commits) != set(partitions):
            raise Unreachable(f"Kafka at {self._where} did not say what group {group} has committed")
        ends = await self._consumer.end_offsets(partitions)
        ahead = [p for p in partitions if commits[p].offset < ends[p]]
        starts = await self._consumer.beginning_offsets(ahead) if ahead else {}
        behind = {p: first for p in ahead if (first := max(commits[p].offset, starts[p])) < ends[p]}
        times = await self._times(behind, ends)
        return [Backlog(p.topic, ends[p] - behind[p] if p in times else 0, times.get(p)) for p in partitions]

    async def _times(self, behind: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Give the time of the first record from an offset on; a partition that holds only markers there has none."""
        times: dict[TopicPartition, int] = {}
        if not behind:
            return times
        self._consumer.assign(list(behind))
        for partition, offset in behind.items():
            self._consumer.seek(partition, offset)
        waiting = set(behind)
        while waiting:
            for partition, messages in (await self._consumer.getmany(*waiting, timeout_ms=1_000, max_records=len(waiting))).items():
                times.setdefault(partition, messages[0].timestamp)
            waiting = {p for p in waiting - set(times) if await self._consumer.position(p) < ends[p]}
        return times

    def _unreachable(self, error: BaseException) -> Unreachable:
        return Unreachable(f"Kafka at {self._where} does not answer ({type(error).__name__}). Is it running?")
