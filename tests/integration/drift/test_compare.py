"""Texts go through the processor and the real engine, and come back as distances."""

import random
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.drift.conftest import CHAT, KEEP_ALL, NOON, Send, made

from llmtower_processors.cli.drift import _RATES
from llmtower_processors.drift.baselines import baselines, delete_baseline, set_baseline
from llmtower_processors.drift.compare import compare, missing
from llmtower_processors.drift.features import SCALE, mmd2
from llmtower_processors.drift.slices import Slice, SliceError, read_slice
from llmtower_processors.migrate import migrate
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.edges import TopicPartition
from llmtower_processors.runtime.work import key_columns, without
from llmtower_processors.sketches import sketches_processor

pytestmark = pytest.mark.integration

ORDERS = ["where is my order", "the parcel is late", "I want a refund for the lamp", "my invoice is wrong", "the table arrived broken"]
DOCTORS = ["my knee hurts at night", "which pills may I take", "the fever is back", "is the rash contagious", "my blood pressure is high"]


def calls(texts: list[str], version: str, chance: random.Random, count: int) -> list[dict[str, Any]]:
    return [{"input": f"{chance.choice(texts)}, {chance.choice(texts)}", "prompt_version": version} for _ in range(count)]


def spread(send: Send, hours: int) -> None:
    chance = random.Random(5)
    for hour in range(hours):
        for minute in (3, 31):
            at = NOON + timedelta(hours=hour, minutes=minute)
            versions = {"1": ORDERS, "2": ORDERS, "3": DOCTORS}
            lines = [call for version, texts in versions.items() for call in calls(texts, version, chance, 12)]
            send(lines, offset=hour * 100 + minute, at=at)


def between(text: str, hours: int = 12) -> Slice:
    return read_slice(text, NOON - timedelta(minutes=7), NOON + timedelta(hours=hours, minutes=-11))


def test_versions_that_differ_are_told_from_versions_that_do_not(client: Client, send: Send) -> None:
    spread(send, 12)
    same = {one.direction: one for one in compare(client, between("prompt=1"), between("prompt=2"))}
    other = {one.direction: one for one in compare(client, between("prompt=1"), between("prompt=support/3"))}
    assert same["input"].verdict == "no difference seen"
    assert other["input"].verdict == "differs"
    assert other["input"].mmd2 > 20 * abs(same["input"].mmd2)
    assert other["output"].mmd2 == pytest.approx(0, abs=1e-4)
    assert other["input"].counts["texts_a"] == 12 * 2 * 12
    assert compare(client, between("prompt=8"), between("prompt=9")) == []
    send([{"prompt_version": "4", "embedding": [0.3, 0.4], "embedder": "mine"}] * 40, offset=9_000)
    mixed = compare(client, between("prompt=1"), between("prompt=4,direction=input"))
    assert {(one.embedder, one.verdict) for one in mixed if one.direction == "input"} == {
        ("hashed-words@1:256", "insufficient"),
        ("mine:2", "insufficient"),
    }
    assert missing(mixed) == (
        "The slices have no embedder in common (a: hashed-words@1:256; b: mine:2). Sums of different embedders are never compared."
    )
    (alone,) = [one for one in compare(client, between("prompt=1"), between("prompt=9")) if one.direction == "input"]
    assert (alone.verdict, alone.counts["texts_b"]) == ("insufficient", 0)


def test_refusals_are_a_share_of_answers_with_a_text_and_calls_of_tools_of_those_that_succeeded(client: Client, send: Send) -> None:
    refusal = {"output": "I'm sorry, but I can't help with that."}
    tool = {"output": {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}}
    failed = {"status": "error", "error_class": "server", "output": None}
    lines = [{"output": "Here it is."}] * 3 + [refusal] + [tool] * 2 + [failed] * 4
    send([{"prompt_version": "7"} | line for line in lines], offset=7_000)
    (found,) = [one for one in compare(client, between("prompt=7"), between("prompt=7")) if one.direction == "output"]
    assert found.counts["calls_a"] == 10
    rates = [found.rate(name, per, side) for name, per in (_RATES["refusals"], _RATES["tool_calls"]) for side in "ab"]
    assert rates == [1 / 4, 1 / 4, 2 / 6, 2 / 6]


def test_the_query_gives_the_distance_of_the_formula(client: Client, send: Send) -> None:
    spread(send, 3)
    (found,) = [one for one in compare(client, between("prompt=1", 3), between("prompt=3", 3)) if one.direction == "input"]
    sides = {}
    for version in "13":
        sql = "SELECT sumForEach(features), sum(texts) FROM drift_ranges WHERE prompt_version = {v:String} AND direction = 'input'"
        ((summed, texts),) = client.query(sql, parameters={"v": version}).result_rows
        sides[version] = (np.array(summed) / SCALE, int(texts))
    assert found.mmd2 == pytest.approx(mmd2(*sides["1"], *sides["3"]), rel=1e-9)


def test_a_replay_adds_nothing_to_any_of_the_tables(client: Client, send: Send) -> None:
    lines = calls(ORDERS, "1", random.Random(1), 20)
    for _ in range(3):
        send(lines, offset=5)
    send(lines, offset=6)
    for table in ("drift_ranges", "drift_sketches", "drift_hours"):
        assert client.query(f"SELECT sum(calls) FROM {table} WHERE direction = 'input'").result_rows == [(40,)]


def test_a_replay_by_rows_leaves_out_what_is_there(client: Client, store: ClickHouseStore) -> None:
    store.check(("drift_ranges",))
    lines = [orjson.dumps(CHAT | {"app": f"app-{number}", "started_at_ns": int(NOON.timestamp()) * 10**9}) for number in range(6)]
    (block,) = sketches_processor().function(made(lines, first=9))
    partition = TopicPartition("llmtower.calls", 3)
    half = without(block, {(9, index) for index in range(5)})
    store.insert(half, "first")
    present = store.present("drift_ranges", key_columns(block), "cluster.topic", partition, (9, 9))
    store.insert(without(block, present), "second")
    assert client.query("SELECT count(), sum(calls), uniqExact(event_index) FROM drift_ranges").result_rows == [(12, 12, 12)]
    assert client.query("SELECT sum(calls) FROM drift_sketches").result_rows == [(12,)]


def test_slices_that_cannot_be_read_say_why() -> None:
    for text, reason in {
        "version=3": "is no part of a slice",
        "prompt": "is no part of a slice",
        "app=a,app=b": "stands twice",
        "last=3y": "is no span of time",
        "from=2026-11-01,last=3d": "either from= or last=",
        "from=yesterday": "is no time",
        "from=2026-11-22": "ends before it begins",
        "direction=inputs": "No direction is called 'inputs'. There are: input, output",
        "language=german": "No language is called 'german'. There are: und, en, de",
    }.items():
        with pytest.raises(SliceError, match=reason):
            between(text)


def test_a_hostile_value_is_only_a_value(client: Client, send: Send) -> None:
    hostile = "'; DROP TABLE calls; --"
    send([{"prompt_version": hostile}] * 3, offset=1)
    (found,) = [one for one in compare(client, between(f"prompt_version={hostile}"), between("prompt=1")) if one.direction == "input"]
    assert found.counts["texts_a"] == 3


def test_baselines_are_set_replaced_and_deleted(client: Client, send: Send) -> None:
    migrate(client, KEEP_ALL)
    send(calls(ORDERS, "1", random.Random(1), 20), offset=5)
    assert set_baseline(client, "default", "launch", between("app=support-chat"), note="", now=NOON) == 40
    assert set_baseline(client, "default", "launch", between("prompt=1"), note="why", now=NOON + timedelta(seconds=1)) == 40
    (one,) = baselines(client)
    assert (one.name, one.where(), one.note) == ("launch", {"prompt_version": "1"}, "why")
    with pytest.raises(SliceError, match="no texts"):
        set_baseline(client, "default", "empty", between("prompt=77"), note="", now=NOON)
    delete_baseline(client, "default", "launch", now=NOON + timedelta(seconds=2))
    assert baselines(client) == []
    with pytest.raises(SliceError, match="no baseline launch"):
        delete_baseline(client, "default", "launch", now=NOON)
