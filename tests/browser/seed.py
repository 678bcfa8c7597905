"""An hour of calls with an incident in its last quarter, a week of quiet before, one alert, one call with everything."""

import json
import random
import uuid
from datetime import datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

CALL: Final = uuid.UUID("01939000-0000-7000-8000-00000000c0de")
"""The call that has steps, scores, feedback and texts."""
SECRET: Final = "my card is [redacted:card], please help"
APPS: Final = {"support-bot": "gpt-4o", "search-assistant": "gpt-4.1-mini", "summarizer": "house-llama-8b"}
RULE: Final = "latency_p95"
GROUP: Final = {"app": "support-bot", "project": "default", "request_model": "gpt-4o"}


REGISTERED: Final = (("model", "stage", "gpt-4o", "production"), ("dataset", "build", "failures", "3"))


def _registered(end: datetime, kind: str, action: str, name: str, version: str) -> dict[str, Any]:
    told = {"kind": kind, "action": action, "name": name, "version": version, "by": "ada", "note": "seeded", "number": 1}
    return told | {"at": _us(end - timedelta(hours=3)) // 1_000, "incarnation": "i", "kafka_offset": 1}


def seed(client: Client, end: datetime) -> None:
    """Write it all; the hour ends at `end`."""
    chance = random.Random(7)
    rows = [_call(chance, end - timedelta(seconds=3_000 * number / 1_200 + 60), end) for number in range(1_200)]
    rows += [_call(chance, end - timedelta(days=day, seconds=12 * number), end) for day in range(1, 8) for number in range(1, 600)]
    rows[0] |= {"call_id": CALL, "app": "support-bot", "request_model": "gpt-4o", "status": "ok", "error_class": "", "request_id": "r-1"}
    _insert(client, "calls", rows)
    at = rows[0]["started_at"]
    _insert(
        client,
        "deploys",
        [
            {
                "deploy_id": uuid.uuid4(),
                "project": "default",
                "app": "support-bot",
                "environment": "production",
                "at": _us(end - timedelta(minutes=16)),
                "version": "2.4.0",
                "note": "seeded",
            }
        ],
    )
    _insert(client, "registry_events", [_registered(end, *told) for told in REGISTERED])
    _insert(
        client,
        "contents",
        [
            {
                "call_id": CALL,
                "kind": "call",
                "project": "default",
                "app": "support-bot",
                "started_at": at,
                "input": json.dumps([{"role": "user", "content": SECRET}]),
                "output": "Of course.",
            }
        ],
    )
    _insert(
        client,
        "steps",
        [
            {
                "step_id": uuid.uuid4(),
                "project": "default",
                "app": "support-bot",
                "request_id": "r-1",
                "name": "search docs",
                "kind": "retrieval",
                "started_at": at,
                "duration_us": 42_000,
                "status": "ok",
                "retrieved_ids": ["doc-1"],
            }
        ],
    )
    _insert(
        client,
        "scores",
        [
            {
                "score_id": uuid.uuid4(),
                "project": "default",
                "app": "support-bot",
                "at": at,
                "target_kind": "call",
                "target_id": str(CALL),
                "name": "helpful",
                "value": 0.75,
                "weight": 1.0,
                "scorer": "judge",
                "started_at": at,
            }
        ],
    )
    _insert(
        client,
        "feedback",
        [
            {
                "feedback_id": uuid.uuid4(),
                "project": "default",
                "app": "support-bot",
                "at": at,
                "target_kind": "call",
                "target_id": str(CALL),
                "name": "thumbs",
                "score": -1.0,
                "user_id": "u-1",
            }
        ],
    )
    _insert(client, "alert_events", [_firing(end)])


def _call(chance: random.Random, at: datetime, end: datetime) -> dict[str, Any]:
    app, model = chance.choice(list(APPS.items()))
    bad = app == "support-bot" and end - at < timedelta(minutes=15)
    failed = chance.random() < (0.2 if bad else 0.01)
    cost = None if app == "summarizer" else chance.randrange(100_000, 3_000_000)
    return {
        "call_id": uuid.UUID(int=chance.getrandbits(128)),
        "project": "default",
        "app": app,
        "environment": "production",
        "user_id": f"u-{chance.randrange(20)}",
        "session_id": f"s-{chance.randrange(60)}",
        "request_id": "",
        "operation": "chat",
        "provider": "openai",
        "request_model": model,
        "started_at": _us(at),
        "duration_us": int(chance.lognormvariate(14.7 if bad else 13.7, 0.4)),
        "status": "error" if failed else "ok",
        "error_class": "rate_limit" if failed else "",
        "input_tokens": 300,
        "output_tokens": 80,
        "usage_source": "provider",
        "cost_nano_usd": cost,
        "cost_input_nano_usd": cost and cost // 2,
        "cost_output_nano_usd": cost and cost - cost // 2,
        "cost_status": "ok" if cost else "unknown_model",
        "prompt_name": "support/answer" if app == "support-bot" else "",
        "prompt_version": ("7" if bad else "6") if app == "support-bot" else "",
    }


def _firing(end: datetime) -> dict[str, Any]:
    since = end - timedelta(minutes=6)
    return {
        "at": _us(since),
        "rule": RULE,
        "group_text": ", ".join(f"{name}={value}" for name, value in sorted(GROUP.items())),
        "group_values": GROUP,
        "transition_id": "t-1",
        "dedup_key": "d-1",
        "sequence": 1,
        "title": "p95 duration",
        "severity": "critical",
        "from_state": "pending",
        "to_state": "firing",
        "cause": "held",
        "value": 4.2,
        "threshold": 1.5,
        "unit": "seconds",
        "sample": 240.0,
        "completeness": 1.0,
        "window_start": _us(since - timedelta(minutes=5)),
        "window_end": _us(since),
        "since": _us(since),
        "reason": "4.2 s is above 1.5 s",
        "coincident": [("prompt", _us(end - timedelta(minutes=15)), "support/answer 7")],
        "panel": "latency_duration",
        "notify": True,
        "kafka_offset": 1,
    }


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def _insert(client: Client, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    client.insert(table, [[row[name] for name in names] for row in rows], column_names=names)
