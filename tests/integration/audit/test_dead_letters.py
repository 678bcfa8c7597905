"""Dead letters are counted, shown and sent again once, also when a replay is killed between sending and marking."""

import asyncio
from collections import Counter

import pytest
from tests.integration.audit.world import FIRST, NOW, World, found, response

from llmtower_processors.dead_letters import MemorySender, NoSuchLetter, Outgoing, Replay, find, outgoing, replay, show, summarize
from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime.model import Record
from llmtower_processors.timers import report_letters

pytestmark = pytest.mark.integration
NOW_MS = NOW * 1_000


def store_letters(world: World) -> list[Record]:
    """Store three letters of two apps (two too old, one no JSON) beside good events."""
    old = {"at": FIRST - 500 * 86_400}
    records = [
        world.send([response(1, FIRST), response(2, **old), response(3, **old)]),
        world.send([response(4, FIRST)], producer="q"),
    ]
    broken = records[1]
    records[1] = Record(*(broken.topic, broken.partition, broken.offset, broken.timestamp_ms, None), b'{"secret\xff\n', broken.headers)
    world.records.logs[broken.topic, broken.partition][1] = records[1]
    world.store(records)
    return records


def test_letters_are_counted_and_shown_without_their_bytes(world: World) -> None:
    store_letters(world)
    summaries = summarize(world.client)
    assert sum(summary.count for summary in summaries) == world.count("SELECT count() FROM dead_letters")
    assert {(summary.app, summary.reason): summary.count for summary in summaries}["app0", "time out of range"] == 1
    assert [summary.app for summary in summarize(world.client, "app1")] == ["app1"]
    letters = find(world.client, app="app1")
    assert [(letter.id, letter.raw) for letter in letters] == [("llmtower.calls:0:0:2", None)]
    shown = show(world.client, "llmtower.calls:0:0:1", raw=True)
    assert shown.raw is not None
    assert b"question 2" in shown.raw
    with pytest.raises(NoSuchLetter, match="topic:partition"):
        show(world.client, "llmtower.calls:0:0:7")


def test_each_apps_new_letters_are_reported_by_themselves(world: World, caplog: pytest.LogCaptureFixture) -> None:
    store_letters(world)
    last_ms = world.count("SELECT toUnixTimestamp64Milli(max(at)) FROM dead_letters")
    with caplog.at_level("WARNING"):
        report_letters(world.client, last_ms + 1)
        report_letters(world.client, last_ms + 120_000)
    counts = Counter[str]()
    for summary in summarize(world.client):
        counts[summary.app] += summary.count
    said = {record.getMessage().partition(",")[0] for record in caplog.records}
    assert said == {f"default/{app}: {count} dead letters in the last minute" for app, count in counts.items()}
    assert len(caplog.records) == len(counts)
    assert "secret" not in caplog.text


def test_a_replay_sends_each_letter_once(world: World) -> None:
    store_letters(world)
    total = world.count("SELECT count() FROM dead_letters")
    sender = MemorySender()
    assert asyncio.run(replay(world.client, sender, NOW_MS, app="app1")) == Replay(sent=1)
    assert asyncio.run(replay(world.client, sender, NOW_MS)) == Replay(sent=total - 1)
    assert asyncio.run(replay(world.client, sender, NOW_MS)) == Replay()
    assert len(sender.sent) == total
    keys = {(record.headers.producer, record.headers.seq) for record in sender.sent}
    assert len(keys) == total
    assert all(letter.replayed for letter in find(world.client))
    assert sum(summary.replayed for summary in summarize(world.client)) == total
    assert {bytes(record.value) for record in sender.sent} == {letter.raw for letter in find(world.client, raw=True)}


def test_what_kafka_refuses_stays_unmarked(world: World) -> None:
    store_letters(world)
    total = world.count("SELECT count() FROM dead_letters")
    sender = MemorySender()
    sender.fails = 1
    with pytest.raises(Unreachable, match="1 dead letter"):
        asyncio.run(replay(world.client, sender, NOW_MS))
    assert world.count("SELECT count() FROM dead_letter_replays") == total - 1
    sender.fails = 0
    assert asyncio.run(replay(world.client, sender, NOW_MS)) == Replay(sent=1)


def test_letters_without_bytes_are_counted_and_left(world: World) -> None:
    store_letters(world)
    total = world.count("SELECT count() FROM dead_letters")
    world.client.command("TRUNCATE TABLE dead_letter_bytes")
    assert asyncio.run(replay(world.client, MemorySender(), NOW_MS)) == Replay(without_bytes=total)


def test_a_replay_killed_before_it_marked_stores_nothing_twice(world: World) -> None:
    """The second copy has the same producer and number, so the runtime's look-up drops it; the audit agrees."""
    store_letters(world)
    (letter,) = find(world.client, app="app1", raw=True)
    first, second = (append(world, outgoing(letter)) for _ in range(2))
    world.store([first])
    world.store([second], known=[first])
    assert world.count("SELECT countIf(duplicate) FROM ledger WHERE producer LIKE 'replay:%'") == 1
    assert world.count("SELECT count() FROM ledger WHERE producer LIKE 'replay:%'") == 2
    assert found(world.audit()) == {}


def append(world: World, record: Outgoing) -> Record:
    """Let Kafka have a record."""
    log = world.records.logs[record.topic, record.partition]
    sent = Record(record.topic, record.partition, len(log), FIRST * 1_000, None, record.value, tuple(record.headers.encode()))
    log.append(sent)
    return sent
