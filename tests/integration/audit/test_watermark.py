"""Watermarks from stored heartbeats."""

import asyncio
from typing import cast

import pytest
from tests.integration.audit.world import NOW, World, heartbeat

from llmtower_processors.watermark import Backlog, Heartbeat, KafkaBacklog, read_heartbeats, update_watermarks
from llmtower_schemas.topics import CALLS, SIGNALS

pytestmark = pytest.mark.integration
NOW_MS = NOW * 1_000


class Still:
    """A backlog that stands still."""

    async def read(self) -> list[Backlog]:
        """Give one partition with three records waiting."""
        return [Backlog(CALLS, 3, NOW_MS - 1_000)]


def test_the_last_heartbeat_of_each_run_counts_and_rows_are_written_once(world: World) -> None:
    beats = [
        heartbeat("a", NOW - 9, oldest_unsent_ns=(NOW - 300) * 1_000_000_000),
        heartbeat("a", NOW - 4),  # nothing unsent any more: the older answer must not live on
        heartbeat("b", NOW - 50, oldest_unsent_ns=(NOW - 60) * 1_000_000_000),
        heartbeat("c", NOW - 3, closing=True),
        heartbeat("d", NOW - 7_200),  # too long ago to be counted
    ]
    world.store([world.send([beat], topic=SIGNALS, producer=beat.producer) for beat in beats])
    assert sorted(read_heartbeats(world.client, NOW_MS), key=lambda beat: beat.at_ms) == [
        Heartbeat("default", NOW_MS - 50_000, NOW_MS - 60_000, closing=False, app="app0", environment="production"),
        Heartbeat("default", NOW_MS - 4_000, None, closing=False, app="app0", environment="production"),
        Heartbeat("default", NOW_MS - 3_000, None, closing=True, app="app0", environment="production"),
    ]
    for _ in range(2):  # a leader and its successor
        marks = asyncio.run(update_watermarks(world.client, cast(KafkaBacklog, Still()), NOW_MS, "watermark:g:1"))
    assert [(mark.project, NOW_MS - mark.watermark_ms) for mark in marks] == [("default", 4_000)]
    rows = world.client.query(
        "SELECT project, toUnixTimestamp64Milli(watermark), live_producers, silent_producers, silent_of, lag_records FROM watermarks"
    )
    silent = [{"app": "app0", "environment": "production"}]
    assert [tuple(row) for row in rows.result_rows] == [("default", NOW_MS - 4_000, 1, 1, silent, 3)]
