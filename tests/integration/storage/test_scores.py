"""Scores of both homes in one rollup: sums as plain Python makes them, nothing twice, and the audit finds and mends what differs."""

import math
import random
from collections import defaultdict
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.storage.conftest import NOON, Insert

from llmtower_processors.audit.rollups import ROLLUPS, audit_rollup, repair_rollup, unsettled

pytestmark = pytest.mark.integration
HOUR = NOON // 1_000_000
NAMES = ("toxicity", "groundedness", "faithful")
MINUTES, HOURS = (next(rollup for rollup in ROLLUPS if rollup.table == f"rollup_scores_{unit}") for unit in ("1m", "1h"))
Sums = dict[tuple[int, str, str], list[float]]


def given(count: int = 400) -> list[dict[str, Any]]:
    """Calls over an hour and a half, each with three scores; some have no value, and weights are no whole numbers."""
    rng = random.Random(5)
    return [
        {
            "started_at": NOON + rng.randrange(5_400) * 1_000_000,
            "values": [rng.choice([None, rng.random(), 0.5]) for _ in NAMES],
            "weights": [rng.choice([1.0, 3.7, 1_000.0]) for _ in NAMES],
        }
        for _ in range(count)
    ]


def columns(calls: list[dict[str, Any]]) -> dict[str, list[Any]]:
    n = len(calls)
    statuses = [["ok" if value is not None else "skipped" for value in call["values"]] for call in calls]
    return {
        "project": ["p"] * n,
        "processor": ["quality"] * n,
        "incarnation": ["c.t"] * n,
        "kafka_topic": ["llmtower.calls"] * n,
        "kafka_offset": list(range(n)),
        "started_at": [call["started_at"] for call in calls],
        "names": [list(NAMES)] * n,
        "score_values": [call["values"] for call in calls],
        "weights": [call["weights"] for call in calls],
        "statuses": statuses,
        **{name: [[""] * len(NAMES)] * n for name in ("labels", "scorers", "scorer_versions", "reasons")},
        "positions": [[[]] * len(NAMES)] * n,
    }


def events(calls: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The same as score events."""
    flat = [(call["started_at"], *one) for call in calls for one in zip(NAMES, call["values"], call["weights"], strict=True)]
    started, names, values, weights = map(list, zip(*flat, strict=True))
    status = ["ok" if value is not None else "skipped" for value in values]
    return {"project": ["p"] * len(flat), "started_at": started, "name": names, "value": values, "weight": weights, "status": status}


def expected(calls: list[dict[str, Any]], seconds: int) -> Sums:
    sums: Sums = defaultdict(lambda: [0.0] * 10)
    for call in calls:
        for name, value, weight in zip(NAMES, call["values"], call["weights"], strict=True):
            key = (call["started_at"] // 1_000_000 // seconds * seconds, name, "ok" if value is not None else "skipped")
            low = value is not None and value < 0.5
            v, w = (value, weight) if value is not None else (0.0, 0.0)
            parts = (1, value is not None, low, w * low, w * (not low), w * w * low, w * w * (not low), w * v, w * w * v, w * w * v * v)
            sums[key] = [a + b for a, b in zip(sums[key], parts, strict=True)]
    return sums


def stored(client: Client, table: str, time: str) -> Sums:
    names = ("events", "scored", "low", "w_low", "w_high", "ww_low", "ww_high", "wv", "wwv", "wwvv")
    sums = ", ".join(f"sum(found.{name})" for name in names)
    sql = f"SELECT toUnixTimestamp({time}), name, status, {sums} FROM {table} AS found GROUP BY ALL"
    return {tuple(row[:3]): list(map(float, row[3:])) for row in client.query(sql).result_rows}


def same(left: Sums, right: Sums) -> bool:
    return left.keys() == right.keys() and all(
        math.isclose(a, b, rel_tol=1e-9) for key in left for a, b in zip(left[key], right[key], strict=True)
    )


def test_both_homes_add_up_to_the_sums_of_weighted_estimates_once(client: Client, insert: Insert) -> None:
    computed, sent = given()[:300], given()[300:]
    for _ in range(2):
        insert("call_scores", columns(computed), "c.t:quality:llmtower.calls:0:0-299")
        insert("scores", events(sent), "c.s:signals:llmtower.signals:0:0-99")
        client.command("OPTIMIZE TABLE rollup_scores_1m FINAL")
    assert same(stored(client, "rollup_scores_1m", "minute"), expected(given(), 60))
    assert same(stored(client, "rollup_scores_1h", "hour"), expected(given(), 3_600))
    assert client.command("SELECT count(), uniqExact(target_kind) FROM scores_of_calls") == ["1200", "2"]


def test_values_that_are_no_numbers_of_this_world_count_as_events_without_a_value(client: Client, insert: Insert) -> None:
    strange = [1e300, -1e300, math.inf, math.nan, 0.25]
    weights = [1.0, 1.0, 1.0, 1.0, 1e12]
    n = len(strange)
    insert("scores", {"name": ["odd"] * n, "value": strange, "weight": weights, "started_at": [NOON] * n}, "odd")
    found = client.query("SELECT sum(events), sum(scored), sum(w_low + w_high), sum(wwvv) FROM rollup_scores_1m").result_rows
    assert found == [(n, 0, 0.0, 0.0)]


def test_the_audit_finds_an_hour_that_differs_and_makes_it_anew_from_both_homes(client: Client, insert: Insert) -> None:
    insert("call_scores", columns(given()), "c.t:quality:llmtower.calls:0:0-399")
    insert("scores", events(given(50)), "c.s:signals:llmtower.signals:0:0-49")
    right = stored(client, "rollup_scores_1m", "minute")
    assert [audit_rollup(client, rollup, [HOUR, HOUR + 3_600]) for rollup in (MINUTES, HOURS)] == [[], []]
    client.command("INSERT INTO rollup_scores_1m SELECT * FROM rollup_scores_1m WHERE minute = (SELECT min(minute) FROM rollup_scores_1m)")
    (finding,) = audit_rollup(client, MINUTES, [HOUR, HOUR + 3_600])
    assert (finding.check, finding.hour) == ("rollup_scores_1m", HOUR)
    assert "events" in finding.detail
    assert repair_rollup(client, finding, current=["c.t"], token="early").open  # the ledger has none of these rows yet
    assert unsettled(client, MINUTES, HOUR, ["c.t"]) > 0
    row = {"processor": "quality", "incarnation": "c.t", "topic": "llmtower.calls", "partition": 0, "offset": 399}
    insert("ledger", {name: [value] for name, value in row.items()}, "ledger")
    assert not repair_rollup(client, finding, current=["c.t"], token="mend").open
    assert same(stored(client, "rollup_scores_1m", "minute"), right)
    assert [audit_rollup(client, rollup, [HOUR, HOUR + 3_600]) for rollup in (MINUTES, HOURS)] == [[], []]
