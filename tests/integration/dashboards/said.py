"""What is said of calls: scores of both homes, a judge's marks and its rounds, people's feedback."""

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from tests.integration.dashboards.columns import Row
from tests.integration.dashboards.pipeline import END

OF_SCORES: Final = ("names", "score_values", "weights", "statuses", "reasons", "scorers", "scorer_versions", "labels", "positions")
"""Columns of `call_scores` that hold one value a score."""
_SHARED: Final = ("project", "app", "environment", "request_model", "prompt_name", "prompt_version", "started_at")


def _given(rng: random.Random) -> Sequence[tuple[str, float | None, float, str, str]]:
    sure = rng.random() < 0.3
    return (
        ("toxicity", 0.9 if sure and rng.random() < 0.3 else 0.1, 1.0 if sure else 4.0, "ok", ""),
        ("groundedness", rng.random(), 1.0, "ok", ""),
        ("faithful", rng.random(), 2.0, "ok", ""),
        ("pii", *_flag(rng, unread=0.3)),
        ("injection", *_flag(rng)),
        ("refusal", *_flag(rng)),
        ("relevance", rng.random(), rng.choice([1.0, 4.0]), "ok", ""),
    )


def _flag(rng: random.Random, *, unread: float = 0) -> tuple[float | None, float, str, str]:
    """Yes or no, of which a fifth is yes; some could not be told."""
    if rng.random() < unread:
        return None, 1.0, "error", "no text"
    return float(rng.random() < 0.2), rng.choice([1.0, 3.0]), "ok", ""


def scores(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
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


def call_scores(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
    for number, one in enumerate(calls):
        if number % 8 == 4:
            retrieved = (
                ("retrieval_empty", float(rng.random() < 0.2), 1.0, "ok", ""),
                ("retrieval_score", 12 * rng.random(), 2.0, "ok", ""),
                ("document_age", 400 * rng.random(), 1.0, "ok", ""),
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


def judged(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
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


def rounds() -> Iterable[Row]:
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


def feedback(rng: random.Random, calls: Iterable[Row]) -> Iterable[Row]:
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
