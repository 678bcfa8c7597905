"""Models as a user types them, on the real Kafka and the real engine; and the alert that another snapshot answers."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.cli.conftest import Command
from tests.integration.datasets.conftest import put

from llmtower_processors.alerts.load import load_rules

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
TUNED = "ft:base-1:acme:support:x1"


@pytest.fixture
def client(writer: Client) -> Client:
    """The writer, beside the commands: a base and its fine-tune are called, and a model that nobody knows."""
    call(writer, "base-1", 200, failed=40, cost=4_000_000, snapshot="base-1-may", hours=30)
    call(writer, TUNED, 100, failed=1, cost=1_000_000, snapshot=TUNED, hours=20)
    call(writer, "stranger", 3, failed=0, cost=None, snapshot="", hours=2)
    return writer


def call(client: Client, model: str, count: int, *, failed: int, cost: int | None, snapshot: str, hours: int) -> list[str]:
    rows: list[dict[str, Any]] = [
        {"call_id": str(uuid.uuid4()), "project": "default", "app": "support", "environment": "production", "provider": "openai",
         "request_model": model, "response_model": snapshot, "started_at": NOW - timedelta(hours=hours), "duration_us": 2_000_000,
         "status": "error" if number < failed else "ok", "error_class": "server" if number < failed else "", "output_tokens": 10,
         "cost_nano_usd": cost, "cost_status": "ok"}
        for number in range(count)
    ]  # fmt: skip
    put(client, "calls", rows)
    said = {"project": "default", "app": "support", "at": NOW, "target_kind": "call_id", "name": "thumbs", "score": -1.0, "user_id": "ada"}
    put(client, "feedback", [said | {"feedback_id": row["call_id"], "target_id": row["call_id"]} for row in rows[: failed // 4 + 1]])
    return [str(row["call_id"]) for row in rows]


def listed(command: Command, *words: str) -> dict[str, dict[str, Any]]:
    code, out, err = command("models", "list", "--format", "json", *words)
    assert (code, err) == (0, "")
    return {row["model"]: row for row in map(json.loads, out.splitlines())}


def test_a_fine_tune_from_registration_to_production(command: Command, client: Client, database: str) -> None:
    tuned = f"{TUNED}-{database}"
    call(client, tuned, 100, failed=1, cost=1_000_000, snapshot=tuned, hours=3)
    assert listed(command)[tuned]["stage"] == "unregistered"
    unknown = listed(command, "--unregistered")
    assert {tuned, "stranger"} <= set(unknown)
    assert (unknown["stranger"]["calls"], unknown["stranger"]["unpriced"]) == (3, 3)
    assert unknown["stranger"]["first_seen"] == f"{NOW - timedelta(hours=2):%Y-%m-%d %H:%M}"
    assert "There is no dataset" in command("models", "register", tuned, "--dataset", "nothing@3")[2]
    words = ("--provider", "openai", "--owner", "ada", "--parameter", "epochs=3", "--licence", "ours")
    assert command("models", "register", tuned, *words) == (0, f"{tuned} is registered, stage candidate.\n", "")
    assert command("models", "stage", tuned, "production", "--note", "gate")[1] == f"{tuned}: candidate → production.\n"
    row = listed(command)[tuned]
    assert (row["stage"], row["kind"], row["base"], row["owner"], row["calls"], row["usd"]) == (
        "production", "fine-tune", "base-1", "ada", 100, 0.1,
    )  # fmt: skip
    assert tuned not in listed(command, "--unregistered")
    shown = [line.split(",", 1) for line in command("models", "show", tuned, "--format", "csv")[1].splitlines()]
    assert {("parameter epochs", "3"), ("licence", "ours"), ("note", "gate"), ("calls", "100")} <= set(map(tuple, shown))
    assert len([name for name, _ in shown if name == "history"]) == 2
    assert ["fine-tune of it", tuned] in [
        line.split(",", 1) for line in command("models", "show", "base-1", "--format", "csv")[1].splitlines()
    ]


def test_a_fine_tune_is_held_against_its_base(command: Command, client: Client) -> None:
    code, out, err = command("models", "compare", TUNED, "--format", "json")
    assert (code, err) == (0, "")
    rows = {row["figure"]: row for row in map(json.loads, out.splitlines())}
    assert (rows["model"]["a"], rows["model"]["b"]) == (TUNED, "base-1")
    assert (rows["calls"]["a"], rows["calls"]["b"]) == (100, 200)
    assert (rows["cost per 1,000 priced calls"]["a"], rows["cost per 1,000 priced calls"]["b"]) == (1.0, 4.0)
    assert rows["p95 duration"]["a"] == pytest.approx(2.0, rel=0.01)
    assert rows["errors"]["a"].startswith("1.00% (0.18% to 5.45% of 100)")
    assert rows["errors"]["verdict"] == "differs"
    assert rows["negative feedback"]["b"].startswith("100.00%")
    assert "did not call nobody" in command("models", "compare", TUNED, "nobody")[2]
    assert "Nobody said what stranger was trained from" in command("models", "compare", "stranger")[2]
    assert "Nobody registered nobody" in command("models", "show", "nobody")[2]
    assert "reads name=value" in command("models", "register", "x", "--parameter", "epochs")[2]
    assert "Nobody registered" in command("models", "stage", "nobody", "production")[2]


def test_another_snapshot_under_the_same_name_is_an_alert(client: Client) -> None:
    rule = next(rule for rule in load_rules().rules if rule.name == "model_snapshot")
    assert rule.sql is not None

    def values() -> dict[str, int]:
        span: dict[str, Any] = {"start": NOW - timedelta(hours=1), "end": NOW + timedelta(hours=1)}
        span |= {"except_environment": ["experiment"], "except_app": []}
        return {str(row[2]): int(row[3]) for row in client.query(str(rule.sql), parameters=span).result_rows}

    assert values() == {"base-1": 0, TUNED: 0}
    call(client, "base-1", 5, failed=0, cost=1, snapshot="base-1-june", hours=0)
    call(client, "new-1", 5, failed=0, cost=1, snapshot="new-1-june", hours=0)
    assert values() == {"base-1": 1, TUNED: 0}


def test_snapshots_of_one_model_are_held_against_each_other(command: Command, client: Client) -> None:
    """The same name answers otherwise from one day to the next: more errors and a higher price are seen, scores are found by the call."""
    ids = call(client, "base-1", 200, failed=2, cost=9_000_000, snapshot="base-1-june", hours=3)
    rows: dict[str, Any] = {"names": ["relevance"], "score_values": [0.5], "weights": [1.0], "positions": [[]], "statuses": ["ok"]}
    rows |= {column: [""] for column in ("labels", "scorers", "scorer_versions", "reasons")}
    place = {"project": "default", "app": "support", "request_model": "base-1", "started_at": NOW - timedelta(hours=3)}
    put(client, "call_scores", [place | rows | {"call_id": one} for one in ids])
    told = {"project": "default", "app": "unknown", "started_at": NOW - timedelta(hours=3), "target_kind": "call_id", "name": "fluent"}
    put(client, "scores", [told | {"score_id": one, "target_id": one, "value": 0.5, "status": "ok", "weight": 1.0} for one in ids])
    code, out, err = command("models", "snapshots", "base-1", "--format", "json")
    assert (code, err.startswith("Intervals are of 95 %")) == (0, True)
    listed = [json.loads(line) for line in out.splitlines()]
    assert [(row["snapshot"], row["calls"], row["error_rate"], row["usd_per_1000"]) for row in listed[:2]] == [
        ("base-1-may", 200, "20.00%", 4.0),
        ("base-1-june", 200, "1.00%", 9.0),
    ]
    found = {row["figure"]: row for row in listed[2:]}
    assert (found["error rate, %"]["verdict"], found["cost per 1,000 calls, $"]["verdict"]) == ("better", "worse")
    assert found["score relevance"]["B: base-1-june"].startswith("0.5 [")
    assert found["score relevance"]["A: base-1-may"] == "unknown"
    assert found["score fluent"]["B: base-1-june"].startswith("0.5 ["), "told by somebody who does not say which model it was"
    assert "$9 per 1,000 calls" in command("models", "show", "base-1")[1]
    assert "base-1-may" in command("models", "snapshots", "base-1", "base-1-june", "base-1-july")[2]
    assert "Name two snapshots" in command("models", "snapshots", "base-1", "base-1-june")[2]
    assert "named a snapshot" in command("models", "snapshots", "stranger")[2]
    assert command("models", "snapshots", TUNED, "--format", "csv")[1].count("\n") == 2, "one snapshot has nothing to be held against"
