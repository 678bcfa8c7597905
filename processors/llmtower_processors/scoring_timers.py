"""What the leader of the scoring processes does: judge drift every minute. A leader of its own, so that no alert waits for arithmetic."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from llmtower_processors.connection import clickhouse_client, kafka_settings
from llmtower_processors.drift.evaluate import evaluate_drift
from llmtower_processors.leader import Firing, KafkaElection, Leader, Timer
from llmtower_processors.runtime.edges import SystemClock
from llmtower_schemas.settings import Settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

DRIFT_S: Final = 60.0


class ScoringTimers:
    """The timers of one process that scores; they run only while it leads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: Client | None = None

    async def run(self) -> None:
        """Stand for election until cancelled."""
        group = f"{self._settings.worker.group_prefix}.scoring.timers"
        election = KafkaElection(kafka_settings(self._settings), group)
        await Leader(election, [Timer("drift", DRIFT_S, self._drift)], group, SystemClock()).run()

    async def _drift(self, firing: Firing) -> None:
        await asyncio.to_thread(lambda: evaluate_drift(self._client(), firing.window_end_ms, firing.token))

    def _client(self) -> "Client":
        if self._made is None:
            self._made = clickhouse_client(self._settings)
        return self._made
