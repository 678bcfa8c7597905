"""What the leader of the scoring processes does: judge drift every minute. A leader of its own, so that no alert waits for arithmetic."""

import asyncio
import contextlib
import threading
from typing import Final

from llmtower_processors.connection import clickhouse_client, kafka_settings
from llmtower_processors.drift.evaluate import evaluate_drift
from llmtower_processors.leader import Firing, KafkaElection, Leader, Timer
from llmtower_processors.runtime.edges import SystemClock
from llmtower_schemas.settings import Settings

DRIFT_S: Final = 60.0


class ScoringTimers:
    """The timers of one process that scores; they run only while it leads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self) -> None:
        """Stand for election until cancelled."""
        group = f"{self._settings.worker.group_prefix}.scoring.timers"
        election = KafkaElection(kafka_settings(self._settings), group)
        await Leader(election, [Timer("drift", DRIFT_S, self._drift)], group, SystemClock()).run()

    async def _drift(self, firing: Firing) -> None:
        """Judge in a thread that ends with the process: nothing waits for it, and what it had not written the next leader writes."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        failed: list[Exception] = []

        def work() -> None:
            try:
                evaluate_drift(clickhouse_client(self._settings), firing.window_end_ms, firing.token)
            except Exception as error:
                failed.append(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=work, name="drift", daemon=True).start()
        await done.wait()
        if failed:
            raise failed[0]
