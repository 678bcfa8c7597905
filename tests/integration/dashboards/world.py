"""Rows of every table that panels read, drawn from a seed: plain dicts, from which the oracle computes what panels must say."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from clickhouse_connect.driver.client import Client
from tests.integration.dashboards.pipeline import Row, audits, dead_letters, heartbeats, ledger, us, watermarks

END: Final = datetime(2025, 11, 20, 12, tzinfo=UTC)
"""In the past for every clock, so that `now()` never cuts a range."""
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


@dataclass
class World:
    """Rows by table."""

    tables: dict[str, list[Row]] = field(default_factory=dict)

    def __getitem__(self, table: str) -> list[Row]:
        return self.tables.setdefault(table, [])

    def store(self, client: Client) -> None:
        """Insert everything; every tenth call arrives late, in an insert of its own."""
        for table, rows in self.tables.items():
            for part in (rows[::2], rows[1::2]) if table == "calls" else (rows,):
                insert(client, table, part)


def insert(client: Client, table: str, rows: Sequence[Row]) -> None:
    """Insert rows that share their columns; moments are integers of the column's own unit."""
    if rows:
        names = list(rows[0])
        client.insert(table, [[row[name] for row in rows] for name in names], column_names=names, column_oriented=True)


def call(rng: random.Random, number: int, at: datetime) -> Row:
    """One call; a fifth has no price, some fail, half are streamed."""
    provider, model = MODELS[rng.randrange(3)]
    failed, streamed, priced = rng.random() < 0.1, rng.random() < 0.5, rng.random() < 0.8
    recent = at > END - timedelta(hours=3)
    duration = int(rng.lognormvariate(14, 1))
    row: Row = {
        "call_id": UUID(int=0x1000 + number),
        "started_at": us(at),
        "project": "default",
        "app": ("chat", "search")[rng.randrange(2)],
        "environment": _environment(number, staging=rng.random() < 0.2),
        "provider": provider,
        "request_model": model,
        "response_model": "" if failed else f"{model}-{'new' if recent else 'old'}",
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


def _environment(number: int, *, staging: bool) -> str:
    return "experiment" if number % 40 in (7, 8, 12) else "staging" if staging else "production"


def many(count: int = 4_500) -> World:
    """Calls of the mornings of nine days, more of them in the last six hours; scores, feedback, drift, the pipeline's books."""
    rng = random.Random(7)
    world = World()
    for number in range(count):
        hours = rng.uniform(0, 6) if number % 3 == 0 else rng.randrange(9) * 24 + rng.uniform(0, 12)
        world["calls"].append(call(rng, number, END - timedelta(hours=hours) - timedelta(microseconds=1)))
    world["requests"].extend(_requests(world["calls"]))
    world["deploys"].extend(_deploy(END - timedelta(hours=hours), version) for hours, version in ((2, "1.1"), (30, "1.0")))
    world["registry_events"].extend(_moves())
    world["scores"].extend(_scores(rng, world["calls"]))
    world["call_scores"].extend(_call_scores(rng, world["calls"]))
    world["feedback"].extend(_feedback(rng, world["calls"]))
    world["scores"].extend(_judged(random.Random(9), world["calls"]))
    world["judge_rounds"].extend(_rounds())
    world["drift"].extend(_drift())
    world["drift_explanations"].extend(_explanations())
    world["drift_ranges"].extend(_texts(rng))
    for make in (heartbeats, watermarks, ledger, dead_letters, audits):
        world[make.__name__].extend(make(END))
    return world


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
            "note": "",
            "incarnation": "i",
            "kafka_offset": hours,
        }


def single() -> World:
    """One call without a price, and nothing else."""
    rng = random.Random(1)
    row = call(rng, 1, END - timedelta(minutes=30))
    for name in ("cost_nano_usd", *COSTS):
        row[name] = None
    return World({"calls": [row | {"cost_status": "unknown_model", "status": "ok", "error_class": ""}]})


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


_SHARED: Final = ("project", "app", "environment", "request_model", "prompt_name", "prompt_version", "started_at")


def _given(rng: random.Random) -> Sequence[tuple[str, float | None, float, str, str]]:
    sure = rng.random() < 0.3
    return (
        ("toxicity", 0.9 if sure and rng.random() < 0.3 else 0.1, 1.0 if sure else 4.0, "ok", ""),
        ("groundedness", rng.random(), 1.0, "ok", ""),
        ("faithful", rng.random(), 2.0, "ok", ""),
        ("pii", None, 1.0, "error", "no text"),
    )


def _scores(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
    for number, one in enumerate(calls):
        for name, value, weight, status, reason in _given(rng) if number % 8 == 0 else ():
            yield {key: one[key] for key in _SHARED} | {
                "at": one["started_at"] + 1_000,
                "target_kind": "call_id",
                "target_id": str(one["call_id"]),
                "name": name,
                "value": value,
                "label": "",
                "scorer": "test",
                "scorer_version": "1",
                "status": status,
                "reason": reason,
                "weight": weight,
            }


def _call_scores(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
    for number, one in enumerate(calls):
        if number % 8 == 4:
            retrieved = (
                ("retrieval_empty", float(rng.random() < 0.2), 1.0, "ok", ""),
                ("retrieval_score", 12 * rng.random(), 1.0, "ok", ""),
            )
            names, values, weights, statuses, reasons = map(list, zip(*_given(rng), *retrieved, strict=True))
            yield {key: one[key] for key in (*_SHARED, "call_id")} | {
                "processor": "quality",
                "names": names,
                "score_values": values,
                "weights": weights,
                "statuses": statuses,
                "reasons": reasons,
                "scorers": ["test"] * len(names),
                "scorer_versions": ["1"] * len(names),
                "labels": [""] * len(names),
                "positions": [[2, 5] if name == "groundedness" else [] for name in names],
            }


def _judged(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
    """What a judge said: of every fifth call, so that people have spoken of every other one of those."""
    for number, one in enumerate(calls):
        if number % 5 == 0:
            value, failed = rng.choice([0.0, 0.25, 0.75, 1.0]), rng.random() < 0.1
            yield {key: one[key] for key in _SHARED} | {
                "at": one["started_at"] + 3_000,
                "target_kind": "call_id",
                "target_id": str(one["call_id"]),
                "name": "judge_helpfulness",
                "value": None if failed else value,
                "label": "" if failed else "bad" if value < 0.5 else "good",
                "scorer": "llmtower-judge",
                "scorer_version": "1/m",
                "status": "error" if failed else "ok",
                "reason": "timeout" if failed else "",
                "weight": rng.choice([1.0, 3.0]),
            }


def _rounds() -> Iterable[Row]:
    """A judge's rounds, every minute for four hours."""
    for minute in range(240):
        yield {
            "at": int((END - timedelta(minutes=minute, seconds=30)).timestamp() * 1_000),
            "model": "m",
            "state": "judged",
            "budget_nano_usd": 2_000_000_000,
            "spent_nano_usd": 1_500_000_000 - minute * 5_000_000,
        }


def _target(one: Row, *, by_answer: bool) -> Row:
    """What feedback is about: a call, by its own id or by the provider's id of its answer, which is what a browser knows."""
    if by_answer:
        return {"target_kind": "response_id", "target_id": one["response_id"]}
    return {"target_kind": "call_id", "target_id": str(one["call_id"])}


def _feedback(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
    for number, one in enumerate(calls):
        if number % 10 == 0:
            first = {key: one[key] for key in ("project", "app", "environment", "user_id")} | {
                "at": one["started_at"] + 2_000,
                **_target(one, by_answer=number % 50 == 10),
                "name": "thumbs",
                "score": rng.choice([1.0, -1.0, None]),
                "label": rng.choice(["", "bad"]),
            }
            yield first
            if number % 30 == 0:
                yield first | {"at": first["at"] + 1_000, "score": 1.0, "label": ""}


def _drift() -> Iterable[Row]:
    for minutes in range(120):
        for app, metric, statistic, status in (("chat", "embedding", 9.0 - minutes * 0.1, ""), ("search", "length", 0.0, "insufficient")):
            yield {
                "at": int((END - timedelta(minutes=minutes + 1)).timestamp()),
                "window_minutes": 60,
                "project": "default",
                "app": app,
                "environment": "production",
                "request_model": "gpt-4o",
                "prompt_name": "greet",
                "prompt_version": "1",
                "direction": "output",
                "embedder": "hash@1:384",
                "metric": metric,
                "reference": "trailing",
                "status": status or ("drift" if statistic > 5.0 else "ok"),
                "reason": "too few texts" if status else "",
                "statistic": statistic,
                "threshold": 0.0 if status else 5.0,
                "distance": 0.1,
                "texts": 40 if not status else 3,
                "rank": 0.9,
                "moved": 0.0 if status else 0.1 + minutes / 1_000,
            }


def _explanations() -> Iterable[Row]:
    """One with examples, a mix and a deploy, and one of a time in which no content was captured."""
    for hours, examples, lengths in (
        (1, ["019e70a2-0001-7000-8000-000000000001", "019e70a2-0001-7000-8000-000000000002"], 80.0),
        (2, [], 0.0),
    ):
        yield {
            "at": int((END - timedelta(hours=hours)).timestamp()),
            "project": "default",
            "app": "chat",
            "environment": "production",
            "request_model": "gpt-4o",
            "prompt_name": "greet",
            "prompt_version": "1",
            "direction": "output",
            "embedder": "hash@1:384",
            "metric": "embedding",
            "window_minutes": 60,
            "reference": "trailing",
            "moved": 0.31 if examples else 0.0,
            "examples": examples,
            "texts_before": 300,
            "texts_now": 400,
            "characters_before": lengths,
            "characters_now": 2 * lengths,
            "shares": [("language", "de", 0.1, 0.25)] if examples else [],
            "deploys": ["chat 1.1"] if examples else [],
        }


def _texts(rng: random.Random) -> Iterable[Row]:
    """Twice as long answers in the last six hours than in the same hours of the days before."""
    for hours in [*range(6), *(day * 24 + hour for day in range(1, 9) for hour in range(6))]:
        for direction, language in (("input", "en"), ("input", "de"), ("output", "en")):
            calls = 60 + rng.randrange(20)
            yield {
                "minute": int((END - timedelta(hours=hours, minutes=30)).timestamp()),
                "project": "default",
                "app": "chat",
                "environment": "production",
                "request_model": "gpt-4o",
                "prompt_name": "greet",
                "direction": direction,
                "language": language,
                "embedder": "hash@1:384",
                "calls": calls,
                "texts": calls - 5,
                "without_text": 5,
                "characters": calls * 100,
                "tokens": calls * (200 if hours < 6 else 100 + rng.randrange(5)),
                "refusals": calls // 10,
                "tool_calls": calls // 5,
                "failed": 3,
                "timed_us": calls * 1_000,
                "timed_tokens": calls * 10,
                "features": [1, 2],
                "mean": [3],
                "lengths": {3: calls - 5},
                "token_times": {4: calls},
                "finish_reasons": {"stop": calls},
                "session_calls": calls if direction == "input" else 0,
                "sessions": [hours * 100 + one for one in range(10 + hours % 3)] if direction == "input" else [],
            }
