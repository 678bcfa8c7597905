"""Late events on the real engine: what was judged on half of the calls is corrected, told once, and does not begin again."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from prometheus_client import CollectorRegistry
from tests.alerts.world import HandClock
from tests.integration.alerts.conftest import Place

from llmtower_processors.alerts.journal import MemoryJournal, MemoryTopic
from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.alerts.message import message
from llmtower_processors.alerts.metrics import AlertMetrics
from llmtower_processors.alerts.model import MemoryRouter
from llmtower_processors.alerts.service import AlertService
from llmtower_processors.alerts.silences import MemorySilences
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.leader import Firing
from llmtower_schemas.settings import AlertSettings

pytestmark = pytest.mark.integration

RULES = parse_rules("""
rules: [{name: errors, metric: error_rate, group_by: [project, app], window: 5m, recover_for: 1h, levels: {warning: {above: 0.1}}}]
""")


def test_what_was_judged_on_half_of_the_calls_is_corrected_once(place: Callable[[], AbstractAsyncContextManager[Place]]) -> None:
    async def story() -> None:
        async with place() as it:
            clock, router = HandClock(), MemoryRouter()
            service = AlertService(
                RULES,
                AlertSettings(),
                journal=MemoryJournal(MemoryTopic()),
                tables=ClickHouseTables(it.clickhouse),
                silences=MemorySilences(),
                router=router,
                clock=clock,
                metrics=AlertMetrics(CollectorRegistry()),
            )

            async def look(mark_s: float, seconds: float) -> None:
                """Judge now, the watermark so far from the beginning; then time goes on."""
                it.client.insert("watermarks", [["default", clock.ms, began_us + round(mark_s * 1e6)]], ["project", "at", "watermark"])
                await service.fire(Firing(clock.ms, "token"))
                clock.forward(seconds)

            began_us = clock.ms * 1_000
            it.calls(10, failed=4, at_us=began_us - 20_000_000)
            await look(-60, 50)
            await look(-60, 50)
            it.calls(90, failed=0, at_us=began_us - 20_000_000)
            for _ in range(40):
                await look((clock.ms * 1_000 - began_us) / 1e6, 4)
            await service.resign()
            first, last = (message(one) for one in router.told)
            assert (first.status, first.value, first.sample, first.corrected) == ("firing", 0.4, 10, False)
            assert first.completeness is not None
            assert first.completeness < 1
            assert (last.status, last.value, last.sample, last.corrected) == ("resolved", 0.04, 100, True)
            assert (last.dedup_key, last.cause, last.completeness) == (first.dedup_key, "late_events", 1.0)
            assert it.rows("SELECT to_state, corrected FROM alert_events ORDER BY sequence") == [("firing", False), ("resolved", True)]

    asyncio.run(story())
