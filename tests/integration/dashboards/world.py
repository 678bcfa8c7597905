"""Rows of every table that panels read, drawn from a seed: plain dicts, from which the oracle computes what panels must say."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from clickhouse_connect.driver.client import Client
from tests.integration.dashboards.columns import Array, Row, Table, plain
from tests.integration.dashboards.drifting import drift, explanations, texts
from tests.integration.dashboards.pipeline import END, audits, dead_letters, heartbeats, ledger, own_cost, us, watermarks
from tests.integration.dashboards.said import OF_SCORES, call_scores, feedback, judged, rounds, scores

MODELS: Final = (("openai", "gpt-4o"), ("openai", "o4-mini"), ("anthropic", "claude-haiku-4-5"))
TOKENS: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
)
SOUND: Final = ("audio_input_tokens", "image_input_tokens")
COSTS: Final = ("cost_input_nano_usd", "cost_cache_nano_usd", "cost_output_nano_usd", "cost_fees_nano_usd")
ERRORS: Final = ("rate_limit", "timeout", "server")
LATE: Final = 7
"""One call in so many comes after everything else: also after what is said of it."""
AT_ONCE: Final = 100_000
CALLS: Final = 4_500
FIRST: Final = 0x1000
"""Calls are numbered from here on."""


@dataclass(frozen=True)
class World:
    """What was put into a database, by table."""

    tables: Mapping[str, Table] = field(default_factory=dict)

    def __getitem__(self, table: str) -> Table:
        return self.tables[table]

    def store(self, client: Client) -> None:
        """Insert everything, calls in the order of their beginning; every seventh comes late: after all else, in inserts of its own."""
        calls = self.tables.get("calls", Table({}))
        late = np.arange(len(calls)) % LATE == 3
        for table, rows in self.tables.items():
            order = np.argsort(rows["started_at"], kind="stable") if table == "calls" else np.arange(len(rows))
            insert(client, table, rows, order[~late[order]] if table == "calls" else order)
        insert(client, "calls", calls, np.flatnonzero(late))


def insert(client: Client, table: str, rows: Table, order: Array | None = None) -> None:
    """Insert rows, as many at a time as a worker does; moments are integers of the column's own unit."""
    names = rows.names()
    picked = np.arange(len(rows)) if order is None else order
    for start in range(0, len(picked), AT_ONCE):
        part = rows.take(picked[start : start + AT_ONCE])
        client.insert(table, [plain(part[name]) for name in names], column_names=names, column_oriented=True)


def call(rng: random.Random, number: int, at: datetime) -> Row:
    """One call; a fifth has no price, some fail, half are streamed."""
    provider, model = MODELS[rng.randrange(3)]
    failed, streamed, priced = rng.random() < 0.1, rng.random() < 0.5, rng.random() < 0.8
    recent = at > END - timedelta(hours=3)
    duration = int(rng.lognormvariate(14, 1))
    row: Row = {
        "call_id": UUID(int=FIRST + number),
        "started_at": us(at),
        **_owner(number, ("chat", "search")[rng.randrange(2)]),
        "environment": _environment(number, staging=rng.random() < 0.2),
        "provider": provider,
        "request_model": model,
        "response_model": "" if failed and number % 2 else f"{model}-{'new' if recent else 'old'}",
        "operation": "chat",
        "user_id": f"user{rng.randrange(5)}",
        "session_id": f"s{rng.randrange(8)}",
        "request_id": f"r{number}",
        "prompt_name": ("", "greet", "sum")[rng.randrange(3)],
        "prompt_version": "",
        "status": "error" if failed else "ok",
        "error_class": ERRORS[rng.randrange(3)] if failed else "",
        "stream": streamed,
        "retries": rng.choice([None, 0, 1, 2]),
        "duration_us": duration,
        "ttft_us": int(duration * 0.3) if streamed else None,
        "rate_limit_remaining_requests": rng.choice([None, 5, 50, 500]),
        "rate_limit_remaining_tokens": rng.choice([None, 1_000, 9_000]),
    }
    if row["prompt_name"]:
        row["prompt_version"] = "2" if recent and row["prompt_name"] == "greet" else "1"
    row |= {name: 0 if name in SOUND and number % 4 else rng.randrange(1_000) for name in TOKENS}
    lines = [rng.randrange(1 << 40) for _ in COSTS]
    row |= {name: line if priced else None for name, line in zip(COSTS, lines, strict=True)}
    row["cost_nano_usd"] = sum(lines) if priced else None
    row["cost_status"] = "ok" if priced else "failed" if failed else "unknown_model"
    row["response_id"] = f"answer{number}"
    trial = {"experiment": f"trial {number % 2}", "dataset": "failures@2", "case": str(number % 12)}
    row["tags"] = trial if row["environment"] == "experiment" else {"team": "a"}
    return row


def _owner(number: int, app: str) -> Row:
    """One call in eleven is of another project, which has one app."""
    return {"project": "second", "app": "shop"} if number % 11 == 5 else {"project": "default", "app": app}


def _environment(number: int, *, staging: bool) -> str:
    return "experiment" if number % 40 in (7, 8, 12) else "staging" if staging else "production"


def many(count: int = CALLS) -> World:
    """Calls of the mornings of nine days, more of them in the last six hours; scores, feedback, drift, the pipeline's books."""
    rng = random.Random(7)
    calls = []
    for number in range(count):
        hours = rng.uniform(0, 6) if number % 3 == 0 else rng.randrange(9) * 24 + rng.uniform(0, 12)
        calls.append(call(rng, number, END - timedelta(hours=hours) - timedelta(microseconds=1)))
    rows: dict[str, Iterable[Row]] = {
        "calls": calls,
        "requests": _requests(calls),
        "deploys": [_deploy(END - timedelta(hours=hours), version) for hours, version in ((2, "1.1"), (30, "1.0"))]
        + [_deploy(END - timedelta(hours=3), "7") | {"project": "second", "app": "shop"}],
        "registry_events": _moves(),
        "scores": [*scores(rng, calls), *judged(random.Random(9), calls)],
        "call_scores": call_scores(rng, calls),
        "feedback": feedback(rng, calls),
        "judge_rounds": rounds(),
        "drift": drift(END),
        "drift_explanations": explanations(END),
        "drift_ranges": texts(END, rng),
        **{make.__name__: make(END) for make in (heartbeats, watermarks, ledger, dead_letters, audits, own_cost)},
    }
    return World({table: Table.of(found, wide=OF_SCORES if table == "call_scores" else ()) for table, found in rows.items()})


def _moves() -> Iterable[Row]:
    """A push, a promotion of a prompt in use, a rollback of one that nobody uses; models long ago, and datasets."""
    told = (
        ("prompt", "push", "greet", "", "2", "1", 4),
        ("label", "promote", "greet", "production", "2", "1", 3),
        ("label", "rollback", "idle", "staging", "1", "2", 2),
        ("model", "register", "gpt-4o", "candidate", "candidate", "", 600),
        ("model", "stage", "gpt-4o", "production", "production", "candidate", 599),
        ("model", "register", "ft:gpt-4o:acme::1", "candidate", "candidate", "", 598),
        ("dataset", "build", "failures", "", "1", "", 50),
        ("dataset", "build", "failures", "", "2", "1", 5),
    )
    for kind, action, name, label, version, replaced, hours in told:
        row: Row = {"at": us(END - timedelta(hours=hours)) // 1_000, "kind": kind, "action": action, "name": name, "label": label}
        yield row | {
            "number": 1,
            "version": version,
            "replaced": replaced,
            "by": "anna",
            "note": "" if kind in ("prompt", "label") else "as agreed",
            "incarnation": "i",
            "kafka_offset": hours,
        }


def single() -> World:
    """One call without a price, and nothing else."""
    rng = random.Random(1)
    row = call(rng, 1, END - timedelta(minutes=30))
    for name in ("cost_nano_usd", *COSTS):
        row[name] = None
    nothing = {name: table.take(slice(0)) for name, table in many(40).tables.items()}
    return World(nothing | {"calls": Table.of([row | {"cost_status": "unknown_model", "status": "ok", "error_class": ""}])})


def _requests(calls: Iterable[Row]) -> Iterable[Row]:
    same = ("call_id", "started_at", "project", "app", "environment", "provider", "request_model", "user_id", "prompt_name")
    began = [{name: one[name] for name in same} | {"timeout_ms": None} for one in calls]
    hung = [
        began[0] | {"call_id": UUID(int=number), "started_at": us(END - timedelta(minutes=20)), "timeout_ms": limit}
        for number, limit in ((1, None), (2, 60_000), (3, 3_600_000))
    ]
    return [*began, *hung]


def _deploy(at: datetime, version: str) -> Row:
    return {"project": "default", "app": "chat", "environment": "production", "at": us(at), "version": version, "note": "by hand"}
