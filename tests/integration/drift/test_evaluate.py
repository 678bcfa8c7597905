"""A week of traffic on the real engine is learnt from, and what comes after it is judged: once per token, drift told from none."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.drift.conftest import NOON, Send
from tests.integration.drift.test_compare import DOCTORS, ORDERS

from llmtower_processors.drift.baselines import set_baseline
from llmtower_processors.drift.evaluate import evaluate_drift
from llmtower_processors.drift.judge import Verdict
from llmtower_processors.drift.models import What
from llmtower_processors.drift.slices import Slice
from llmtower_processors.drift.sums import bucket
from llmtower_processors.leader import token

pytestmark = pytest.mark.integration

DAYS = 4
END = NOON + timedelta(hours=23)
"""The trailing reference ends where the day window begins."""


def ns(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


def asked(texts: list[str], at: datetime, chance: random.Random, count: int, **more: Any) -> list[dict[str, Any]]:
    def question() -> dict[str, Any]:
        return {"input": f"{chance.choice(texts)}, {chance.choice(texts)}", "session_id": f"s{chance.randrange(100)}"}

    return [{**question(), "started_at_ns": ns(at), **more} for _ in range(count)]


def week(send: Send, **more: Any) -> None:
    """Forty questions every ten minutes for some days up to END."""
    chance = random.Random(3)
    for day in range(DAYS + 1):
        begin = NOON - timedelta(days=DAYS - day)
        stop = min(begin + timedelta(days=1), END - timedelta(minutes=20))
        moments = [begin + timedelta(minutes=10 * step) for step in range(int((stop - begin) / timedelta(minutes=10)))]
        send([call for at in moments for call in asked(ORDERS, at, chance, 40, **more)], offset=day, at=END)


def fire(client: Client, at: datetime) -> list[tuple[What, Verdict]]:
    """Evaluate, as the timer does, but take all the time there is to learn: how much that is depends on the machine."""
    end_ms = int(at.timestamp() * 1_000) + 60_000
    return evaluate_drift(client, end_ms, token("drift", "test", end_ms), clock=lambda: 0.0)


def said(found: list[tuple[What, Verdict]], app: str, version: str = "4") -> dict[tuple[str, str, int], tuple[str, str]]:
    """Status and reference of one app and version by direction, metric and window."""
    return {
        (what.key.direction, what.metric, what.window): (one.status, what.reference)
        for what, one in found
        if (what.key.app, what.key.prompt_version) == (app, version)
    }


def test_a_week_is_learnt_and_what_follows_is_judged_once(client: Client, send: Send) -> None:
    week(send)
    chance = random.Random(8)
    send([call for back in range(1, 11) for call in asked(ORDERS, END - timedelta(minutes=back), chance, 40)], offset=90, at=END)
    calm = fire(client, END)
    as_ever = said(calm, "support-chat")
    assert as_ever["input", "embedding", 10] == ("ok", "trailing")
    assert {status for status, _ in as_ever.values()} == {"ok", "insufficient"}
    assert as_ever["input", "sessions", 1440] == as_ever["input", "hours", 1440] == ("insufficient", "trailing"), "a day needs five days"
    assert ("input", "hours", 60) not in as_ever
    an_hour = "direction = 'input' AND hour = '2026-11-20 08:00:00'"
    sums = f"SELECT uniqCombinedArrayMerge(12)(sessions), sum(session_calls) FROM drift_hours WHERE {an_hour}"
    ((sessions, hourly),) = client.query(sums).result_rows
    assert hourly == 240
    assert 80 <= sessions <= 100
    assert all(50 < one.effective_texts <= 400 for what, one in calm if (what.metric, what.window, one.status) == ("embedding", 10, "ok"))

    later = END + timedelta(minutes=10)
    for number, (texts, more) in enumerate([(DOCTORS, {}), (DOCTORS, {"prompt_version": "9"}), (ORDERS, {"app": "brand-new"})]):
        fresh = [call for back in range(1, 11) for call in asked(texts, later - timedelta(minutes=back), chance, 40, **more)]
        send(fresh, offset=91 + number, at=END)
    moved = fire(client, later)
    assert said(moved, "support-chat")["input", "embedding", 10] == ("drift", "trailing")
    assert said(moved, "support-chat")["output", "embedding", 10] == ("ok", "trailing")
    assert said(moved, "support-chat", "9")["input", "embedding", 10] == ("drift", "other versions")
    assert {one.reason for what, one in moved if what.key.app == "brand-new" and what.metric != "hours"} == {"no reference"}

    assert [what for what, _ in fire(client, later)] == [what for what, _ in moved]
    ((rows, judged),) = client.query(
        "SELECT count(), uniqExact(at, window_minutes, app, prompt_version, direction, metric) FROM drift"
    ).result_rows
    assert rows == judged == len(calm) + len(moved)
    explained = "SELECT count(), uniqExact(prompt_version, direction), max(texts_now) FROM drift_explanations"
    assert client.query(explained).result_rows == [(2, 2, 0)], "no contents are stored here: what the sums say is said"
    alarms = "SELECT statistic, threshold, rank, moved FROM drift WHERE status = 'drift' AND metric = 'embedding' AND window_minutes = 10"
    for statistic, threshold, rank, share in client.query(alarms).result_rows:
        assert statistic > threshold > 0
        assert rank > 0.99
        assert 0.2 < share <= 1


MONTH = """
INSERT INTO drift_ranges (minute, project, app, direction, language, embedder, calls, texts, features, mean, incarnation, kafka_offset)
SELECT toDateTime({start:UInt32}, 'UTC') + 3600 * number, 'default', 'shop', 'input', 'en', 'e@1:256', 600, 600,
    arrayMap(x -> toInt64(32768 * (600 * (0.5 + if(number >= 21 * 24 AND x < 128, 0.02, 0)) + 12 * randNormal(0, 1, x))), range(256)),
    range(256), 'i', number
FROM numbers(28 * 24)
"""


def test_once_an_hour_a_week_is_held_against_the_weeks_before(client: Client) -> None:
    client.command(MONTH, parameters={"start": int((END - timedelta(days=28)).timestamp())}, settings={"insert_deduplication_token": "m"})
    found = {(what.window, what.metric): (what.reference, one.status) for what, one in fire(client, END)}
    assert found[7 * 24 * 60, "embedding"] == ("earlier weeks", "drift")
    later = {what.window for what, _ in fire(client, END + timedelta(minutes=1))}
    assert later == {10, 60, 24 * 60}


HOUR_S = 3_600


def people(client: Client, app: str, *, days: int = 9, change: dict[str, Any]) -> None:
    """Store hours of an app whose users ask most at noon, a fifth of the calls opening a session; the last 24 hours may be different."""
    rng = np.random.default_rng(5)
    begin = int((END - timedelta(days=days)).timestamp())
    rows = []
    for number in range(days * 24):
        at = begin + number * HOUR_S
        how = {"later": 0, "first_share": 0.2, "german": 0.1} | (change if number >= (days - 1) * 24 else {})
        calls = int(rng.poisson(60 * (1.2 + np.sin((at // HOUR_S % 24 - 6 - how["later"]) / 24 * 2 * np.pi))))
        german = int(rng.binomial(calls, how["german"]))
        for language, count in (("de", german), ("en", calls - german)):
            sessions = [int(one) for one in rng.integers(1, 1 << 62, int(rng.binomial(count, how["first_share"])))]
            features = [16_384 * count + int(one) for one in rng.normal(0, 9_000 * np.sqrt(count), 256)]
            rows.append(
                [at, app, "input", language, "e@1:256", count, count, count, sessions, features, features, {20: count}, "i", 2 * number]
            )
    names = ["minute", "app", "direction", "language", "embedder", "calls", "texts", "session_calls", "sessions", "features", "mean"]
    client.insert("drift_ranges", rows, [*names, "lengths", "incarnation", "kafka_offset"], settings={"insert_deduplication_token": app})


CHANGES: dict[str, dict[str, Any]] = {"sessions": {"first_share": 0.4}, "hours": {"later": 4}, "language": {"german": 0.5}}
"""By the metric that must see it: sessions become shorter, people ask later, people ask in German."""


def test_users_who_change_are_an_alarm_and_those_who_do_not_are_none(client: Client) -> None:
    for app, change in {"as-ever": {}, **CHANGES}.items():
        people(client, app, change=change)
    week = Slice({}, END - timedelta(days=8), END - timedelta(days=2))
    set_baseline(client, "", "launch", week, note="", now=END)
    found = {(what.reference, what.key.app, what.metric): one for what, one in fire(client, END) if what.window == 1440}
    for reference in ("trailing", "baseline launch"):
        loud = {(app, metric) for (of, app, metric), one in found.items() if of == reference and one.status == "drift"}
        assert loud == {(name, name) for name in CHANGES}, reference
        assert all(found[reference, name, name].moved > 0.1 for name in CHANGES)
        assert {found[reference, "as-ever", name].status for name in (*CHANGES, "embedding")} == {"ok"}


FIVE_S = 300
USUAL = {"refusing": 0.02, "tooling": 0.2, "cut_off": 0.03, "ms_per_token": 20.0}
FRESH: dict[str, dict[str, float]] = {
    "refusals": {"refusing": 0.1},
    "tool_calls": {"tooling": 0.4},
    "finish_reasons": {"cut_off": 0.15},
    "token_time": {"ms_per_token": 30.0},
}
"""By the metric that must see it: answers refuse more, call tools more, are cut off more, come more slowly."""


def answers(client: Client, app: str, *, days: int = 8, change: dict[str, float], apart: bool = False) -> None:
    """Store what an app answers, every five minutes; the last hour may be different. Texts may come apart from their calls."""
    rng = np.random.default_rng(11)
    begin, end = int((END - timedelta(days=days)).timestamp()), int(END.timestamp())
    rows: list[list[Any]] = []
    for at in range(begin, end, FIVE_S):
        how = USUAL | (change if at >= end - HOUR_S else {})
        calls = int(rng.poisson(30 * (1.2 + np.sin((at / HOUR_S - 6) / 24 * 2 * np.pi))))
        refused, tools, cut = (int(rng.binomial(calls, how[name])) for name in ("refusing", "tooling", "cut_off"))
        paces = bucket_counts(how["ms_per_token"] * 1_000 * rng.lognormal(0, 0.4, calls))
        ended = {"stop": calls - cut, "length": cut}
        silent = [calls, calls, 0, tools, {}, paces, ended] if apart else []
        told = [0, 0, refused, 0, {20: calls}, {}, {}] if apart else [calls, 0, refused, tools, {20: calls}, paces, ended]
        rows += [[at, app, "output", "en", "e@1:256", *sums, "i", len(rows)] for sums in (silent, told) if sums]
    names = ["minute", "app", "direction", "language", "embedder", "calls", "without_text", "refusals", "tool_calls"]
    more = ["lengths", "token_times", "finish_reasons", "incarnation", "kafka_offset"]
    client.insert("drift_ranges", rows, names + more, settings={"insert_deduplication_token": app})


def bucket_counts(times_us: np.ndarray[Any, Any]) -> dict[int, int]:
    """Give calls by the bucket of their microseconds per token."""
    return dict(Counter(bucket(int(one)) for one in times_us))


def test_answers_that_change_are_an_alarm_within_the_hour_and_those_that_do_not_are_none(client: Client) -> None:
    apps = {"as-ever": {}, "as-ever-apart": {}, **FRESH, "refusals-apart": FRESH["refusals"]}
    for app, change in apps.items():
        answers(client, app, change=change, apart=app.endswith("-apart"))
    found = {(what.key.app, what.metric, what.window): one for what, one in fire(client, END) if what.window <= 60}
    assert {found[app, name, 60].status for app in ("as-ever", "as-ever-apart") for name in FRESH} == {"ok"}
    loud = {(app, metric) for (app, metric, _), one in found.items() if one.status == "drift"}
    assert loud == {*((name, name) for name in FRESH), ("refusals-apart", "refusals")}


def test_a_minute_without_any_traffic_writes_nothing(client: Client) -> None:
    assert fire(client, END) == []
    assert client.query("SELECT count() FROM drift").result_rows == [(0,)]
