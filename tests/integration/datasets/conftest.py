"""A fresh, migrated database with calls, texts, scores and feedback chosen by the test."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import clickhouse_connect
import orjson
import pytest
from clickhouse_connect.driver.client import Client

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.settings import RetentionSettings

KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
BASE = {
    "app": "support",
    "request_model": "gpt-4o",
    "provider": "openai",
    "status": "ok",
    "cost_nano_usd": 1_000_000,
    "response_id": "",
    "trace_id": "",
}
Traffic = Callable[..., list[str]]


@pytest.fixture
def client(engine: EngineProcess, database: str) -> Iterator[Client]:
    """The writer on a database of its own."""
    password = engine.credentials.password(Role.WRITER)
    address: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "password": password}
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**address, database=database) as client:
            migrate(client, KEEP_ALL)
            yield client
        server.command(f"DROP DATABASE {database}")


def put(client: Client, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that name the same columns."""
    client.insert(table, [list(row.values()) for row in rows], column_names=list(rows[0]))


@pytest.fixture
def traffic(client: Client) -> Traffic:
    """Store calls: dictionaries of columns of `calls`, with `input` and `output` for `contents`; gives their ids."""

    def traffic(calls: Sequence[dict[str, Any]]) -> list[str]:
        rows, texts, ids = [], [], []
        for number, call in enumerate(calls):
            one = BASE | call
            given, answer = one.pop("input", f"question {number}"), one.pop("output", f"answer {number}")
            ids.append(str(uuid.UUID(int=number + 1)))
            head = {"call_id": ids[-1], "project": "default", "started_at": NOON + timedelta(seconds=number)}
            rows.append(head | one)
            content = [text if isinstance(text, str) else orjson.dumps(text).decode() for text in (given, answer)]
            texts.append(head | {"app": one["app"], "kind": "call", "input": content[0], "output": content[1]})
        put(client, "calls", rows)
        put(client, "contents", texts)
        return ids

    return traffic


def say(client: Client, target: str, score: float, *, correction: str = "", kind: str = "call_id", user: str = "ada") -> None:
    """Store a person's feedback."""
    feedback_id, at = str(uuid.uuid4()), NOON + timedelta(hours=1)
    row = {"feedback_id": feedback_id, "project": "default", "app": "support", "at": at, "target_kind": kind, "target_id": target}
    put(client, "feedback", [row | {"name": "thumbs", "score": score, "user_id": user}])
    if correction:
        text = {"call_id": feedback_id, "project": "default", "app": "support", "started_at": at, "kind": "feedback"}
        put(client, "contents", [text | {"correction": correction}])


def rate(client: Client, target: str, name: str, value: float) -> None:
    """Store a score."""
    row = {"score_id": str(uuid.uuid4()), "project": "default", "app": "support", "target_kind": "call_id", "target_id": target}
    put(client, "scores", [row | {"name": name, "value": value, "weight": 1.0, "at": NOON, "started_at": NOON}])


def compute(client: Client, call_id: str, name: str, value: float) -> None:
    """Store a score as the scoring processors do."""
    row: dict[str, Any] = {"call_id": call_id, "project": "default", "started_at": NOON}
    row |= {"names": ["other", name], "score_values": [None, value], "weights": [1.0, 1.0], "positions": [[], []]}
    row |= {column: ["", ""] for column in ("labels", "scorers", "scorer_versions", "statuses", "reasons")}
    put(client, "call_scores", [row])
