"""An alarm is explained from what is stored: the calls, their texts, the sums and the deploys."""

import random
from datetime import timedelta

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.drift.conftest import CHAT, NOON, Send, made
from tests.integration.drift.test_compare import DOCTORS, ORDERS, calls

from llmtower_processors.cost import calls_processor
from llmtower_processors.drift.explain import explain
from llmtower_processors.drift.slices import read_slice
from llmtower_processors.pricing import PriceBook
from llmtower_processors.runtime.clickhouse import ClickHouseStore

pytestmark = pytest.mark.integration


def test_the_new_topic_its_calls_and_what_went_live_are_named(client: Client, send: Send, store: ClickHouseStore) -> None:
    chance, store_calls = random.Random(4), calls_processor(PriceBook()).function
    usual, fresh = calls(ORDERS, "1", chance, 300), calls([*ORDERS, *DOCTORS], "2", chance, 300)
    for number, call in enumerate([*usual, *fresh]):
        call["call_id"] = f"019e70a2-0001-7000-8000-{number:012d}"
    for offset, (lines, at) in enumerate([(usual, NOON), (fresh, NOON + timedelta(hours=2))]):
        send(lines, offset=offset, at=at)
        started = {"started_at_ns": int(at.timestamp()) * 10**9}
        for block in store_calls(made([orjson.dumps(CHAT | started | call) for call in lines], first=offset, at=at)):
            store.insert(block, f"calls:{offset}")
    client.command("INSERT INTO deploys (project, app, at, version) VALUES ('default', 'support-chat', '2026-11-20 13:30:00', '9.9')")

    a = read_slice("app=support-chat", NOON, NOON + timedelta(hours=1))
    b = read_slice("app=support-chat", NOON + timedelta(hours=2), NOON + timedelta(hours=3))
    found = explain(client, a, b, "input")
    assert found.texts == (300, 300)
    assert 0.4 < found.moved.share < 0.9
    by_id = {str(call["call_id"]): str(call["input"]) for call in fresh}
    assert len(found.examples) == 5
    assert all(any(text in by_id[example] for text in DOCTORS) for example in found.examples)
    assert found.terms[0].before == 0 < found.terms[0].now
    assert {(share.what, share.value) for share in found.shares} >= {("prompt_version", "1"), ("prompt_version", "2")}
    assert [(app, version) for _, app, version in found.deploys] == [("support-chat", "9.9")]
    assert explain(client, b, a, "output").moved.share < 0.1
