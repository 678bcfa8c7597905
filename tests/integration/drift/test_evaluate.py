"""A week of traffic on the real engine is learnt from, and what comes after it is judged: once per token, drift told from none."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.drift.conftest import NOON, Send
from tests.integration.drift.test_compare import DOCTORS, ORDERS

from llmtower_processors.drift.evaluate import evaluate_drift
from llmtower_processors.leader import token

pytestmark = pytest.mark.integration

DAYS = 5
END = NOON + timedelta(hours=23)
"""The trailing reference ends where the day window begins."""


def ns(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


def asked(texts: list[str], at: datetime, chance: random.Random, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"input": f"{chance.choice(texts)}, {chance.choice(texts)}", "started_at_ns": ns(at), **more} for _ in range(count)]


def week(send: Send, **more: Any) -> None:
    """Forty questions every ten minutes for some days up to END."""
    chance = random.Random(3)
    for day in range(DAYS + 1):
        begin = NOON - timedelta(days=DAYS - day)
        stop = min(begin + timedelta(days=1), END - timedelta(minutes=20))
        moments = [begin + timedelta(minutes=10 * step) for step in range(int((stop - begin) / timedelta(minutes=10)))]
        send([call for at in moments for call in asked(ORDERS, at, chance, 40, **more)], offset=day, at=END)


def fire(client: Client, at: datetime) -> dict[tuple[str, str, int], tuple[str, str, float]]:
    """Evaluate, and give status, reference and effective texts by direction, metric and window."""
    end_ms = int(at.timestamp() * 1_000) + 60_000
    found = evaluate_drift(client, end_ms, token("drift", "test", end_ms))
    return {
        (what.key.direction, what.metric, what.window): (one.status, what.reference, one.effective_texts)
        for what, one in found
        if what.key.prompt_version == max(other.key.prompt_version for other, _ in found)
    }


def test_what_is_as_ever_is_ok_and_a_new_topic_drifts_within_ten_minutes(client: Client, send: Send) -> None:
    week(send)
    chance = random.Random(8)
    send([call for back in range(1, 11) for call in asked(ORDERS, END - timedelta(minutes=back), chance, 40)], offset=90, at=END)
    calm = fire(client, END)
    assert calm["input", "embedding", 10][:2] == ("ok", "trailing")
    assert {status for status, _, _ in calm.values()} <= {"ok", "insufficient"}
    assert calm["input", "embedding", 10][2] > 50

    later = END + timedelta(minutes=10)
    send([call for back in range(1, 11) for call in asked(DOCTORS, later - timedelta(minutes=back), chance, 40)], offset=91, at=END)
    moved = fire(client, later)
    assert moved["input", "embedding", 10][0] == "drift"
    assert moved["output", "embedding", 10][0] != "drift"
    fire(client, later)
    ((rows, judged),) = client.query("SELECT count(), uniqExact(at, window_minutes, direction, metric) FROM drift").result_rows
    assert rows == judged == len(calm) + len(moved)
    ((statistic, threshold, rank),) = client.query(
        "SELECT statistic, threshold, rank FROM drift WHERE status = 'drift' AND metric = 'embedding' AND window_minutes = 10"
    ).result_rows
    assert statistic > threshold > 0
    assert rank > 0.99


def test_a_new_prompt_version_is_held_against_the_others_and_what_nothing_is_known_of_is_no_verdict(client: Client, send: Send) -> None:
    week(send)
    chance = random.Random(8)
    fresh = [call for back in range(1, 11) for call in asked(DOCTORS, END - timedelta(minutes=back), chance, 40, prompt_version="9")]
    send(fresh, offset=90, at=END)
    new = fire(client, END)
    assert new["input", "embedding", 10][:2] == ("drift", "other versions")
    send([call | {"app": "brand-new"} for call in fresh], offset=91, at=END)
    end_ms = int(END.timestamp() * 1_000) + 120_000
    reasons = {one.reason for what, one in evaluate_drift(client, end_ms, "t") if what.key.app == "brand-new"}
    assert reasons == {"no reference"}


def test_a_minute_without_any_traffic_writes_nothing(client: Client) -> None:
    assert evaluate_drift(client, int(END.timestamp() * 1_000), "t") == []
