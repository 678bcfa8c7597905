"""What the leader of the timers does: watermarks every 5 s, alerts, the registry's audit rows, a word on new dead letters, an audit,
what ClickHouse takes."""

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from llmtower_processors.alerts.build import build_alerts
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.audit import Auditor, KafkaRecords
from llmtower_processors.connection import clickhouse_client, kafka_settings
from llmtower_processors.errors import Unreachable
from llmtower_processors.leader import Firing, KafkaElection, Leader, Timer
from llmtower_processors.own_cost import PERIOD_S, CostBook, engine_count, write_cost
from llmtower_processors.registry_books import RegistryBooks
from llmtower_processors.registry_topic import RegistryFeed
from llmtower_processors.runtime.edges import SystemClock
from llmtower_processors.runtime.model import Processor
from llmtower_processors.watermark import KafkaBacklog, update_watermarks
from llmtower_schemas.settings import Settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

WATERMARK_S: Final = 5.0
REGISTRY_S: Final = 2.0
REPORT_S: Final = 60.0
_RETRY_S: Final = 5.0
_NEW_LETTERS: Final = """
SELECT project, app, count() AS letters, topK(1)(reason)[1] AS reason FROM dead_letters
WHERE at >= fromUnixTimestamp64Milli({since:Int64}) AND at < fromUnixTimestamp64Milli({until:Int64})
GROUP BY project, app ORDER BY letters DESC LIMIT 20
"""


class Timers:
    """The timers of one worker process; they run only while it leads."""

    def __init__(self, settings: Settings, processors: Mapping[str, Processor], registry: CollectorRegistry) -> None:
        self._settings = settings
        self._kafka = kafka_settings(settings)
        self._processors = dict(processors)
        self._clients: dict[str, Client] = {}
        self._alerts = build_alerts(settings, registry)
        self._tables = ClickHouseTables(settings.clickhouse.client_options())
        self._registry = RegistryBooks(RegistryFeed(self._kafka), self._tables)
        self._engine = CostBook(self._tables, "clickhouse", SystemClock(), instance=settings.clickhouse.host or "")

    async def run(self) -> None:
        """Stand for election until cancelled; when Kafka cannot be reached, wait and begin again."""
        group = f"{self._settings.worker.group_prefix}.timers"
        while True:
            try:
                async with KafkaBacklog(self._kafka, self._processors.values(), self._settings.worker.group_prefix) as backlog:
                    await Leader(KafkaElection(self._kafka, group), self._table(backlog), group, SystemClock()).run()
            except Unreachable as error:
                log.warning("timers: %s Trying again in %.0f s.", error, _RETRY_S)
            await asyncio.sleep(_RETRY_S)

    def _table(self, backlog: KafkaBacklog) -> list[Timer]:
        async def watermark(firing: Firing) -> None:
            client = await asyncio.to_thread(self._client, "watermark")
            await update_watermarks(client, backlog, SystemClock().now_ms(), firing.token)

        async def letters(firing: Firing) -> None:
            await asyncio.to_thread(report_letters, self._client("dead letters"), firing.window_end_ms)

        async def audit(firing: Firing) -> None:
            await asyncio.to_thread(self._audit, firing)

        async def engine(firing: Firing) -> None:
            await write_cost(self._engine, lambda: engine_count(self._tables, SystemClock()))

        timers = [
            Timer("watermark", WATERMARK_S, watermark),
            Timer("alerts", self._settings.alerts.period_s, self._alerts.fire, self._alerts.resign),
            Timer("registry", REGISTRY_S, self._registry.fire, self._registry.resign),
            Timer("dead letters", REPORT_S, letters),
            Timer("own cost", PERIOD_S, engine, self._forget_engine),
        ]
        minutes = self._settings.worker.audit_minutes
        return [*timers, Timer("audit", minutes * 60.0, audit)] if minutes else timers

    async def _forget_engine(self) -> None:
        self._engine.forget()

    def _client(self, timer: str) -> "Client":
        """One client per timer: a client runs one query at a time."""
        if timer not in self._clients:
            self._clients[timer] = clickhouse_client(self._settings)
        return self._clients[timer]

    def _audit(self, firing: Firing) -> None:
        with KafkaRecords(self._kafka) as records:
            auditor = Auditor(self._client("audit"), records, self._processors, self._settings.retention)
            report = auditor.run(firing.window_end_ms, token=firing.token)
        for finding in report.findings:
            log.error("audit: %s, hour %d: %d %s: %s", finding.check, finding.hour, finding.found, finding.processor, finding.detail)
        log.info("audit: %d records of %d hours: %s", report.records, len(report.hours), "clean" if report.clean else "NOT clean")


def report_letters(client: "Client", until_ms: int) -> None:
    """Say of each application how many of its events became dead letters in the minute before, and why most of them did."""
    window = {"since": until_ms - int(REPORT_S * 1_000), "until": until_ms}
    for project, app, count, reason in client.query(_NEW_LETTERS, parameters=window).result_rows:
        log.warning(
            "%s/%s: %d dead letters in the last minute, most of them '%s'; see `llmtower dead-letters list`", project, app, count, reason
        )
