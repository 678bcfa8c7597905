"""Rows about drift: verdicts, what explains them, and the sums of texts that behaviour is read from."""

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from tests.integration.dashboards.columns import Row

OTHERS: Final[tuple[Row, ...]] = (
    {},
    {"environment": "staging"},
    {"request_model": "o4-mini"},
    {"prompt_name": "sum"},
    {"project": "second", "app": "shop"},
)
"""How segments differ from the first one: each by what one filter chooses."""


def drift(end: datetime) -> Iterable[Row]:
    """Verdicts of two hours: half of the segments drift more and more, of the others there is too little."""
    for number, other in enumerate(OTHERS):
        for row in _verdicts(end, number):
            yield row | {"prompt_version": str(1 + number)} | other


def _verdicts(end: datetime, number: int) -> Iterable[Row]:
    for minutes in range(120):
        away = 9.0 + number * 0.7 - minutes * 0.1
        for app, metric, statistic, status in (
            ("chat", "embedding", away, ""),
            ("search", "length", 0.0, "insufficient"),
        ):
            yield {
                "at": int((end - timedelta(minutes=minutes + 1)).timestamp()),
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
                "distance": 0.1 + minutes / 500,
                "texts": 40 + minutes if not status else 3 + number,
                "rank": 0.9 - minutes / 500,
                "moved": 0.0 if status else 0.1 + minutes / 1_000 + number / 100,
            }


def explanations(end: datetime) -> Iterable[Row]:
    """One with examples, a mix and a deploy, and one of a time in which no content was captured; more, each of another segment."""
    for number, other in enumerate(OTHERS):
        for row in _explained(end):
            if row["examples"] or not number:
                examples = [f"{call[:9]}{number + 1:04}{call[13:]}" for call in row["examples"]]
                yield row | {"prompt_version": str(1 + number), "examples": examples} | other


def _explained(end: datetime) -> Iterable[Row]:
    for hours, examples, lengths in (
        (1, ["019e70a2-0001-7000-8000-000000000001", "019e70a2-0001-7000-8000-000000000002"], 80.0),
        (2, [], 0.0),
    ):
        yield {
            "at": int((end - timedelta(hours=hours)).timestamp()),
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


def texts(end: datetime, rng: random.Random) -> Iterable[Row]:
    """Twice as long answers in the last six hours than in the same hours of the days before."""
    for other in OTHERS:
        for row in _texts(end, rng):
            yield row | other


def _texts(end: datetime, rng: random.Random) -> Iterable[Row]:
    for hours in [*range(6), *(day * 24 + hour for day in range(1, 9) for hour in range(6))]:
        for direction, language in (("input", "en"), ("input", "de"), ("output", "en")):
            calls = 60 + rng.randrange(20)
            yield {
                "minute": int((end - timedelta(hours=hours, minutes=30)).timestamp()),
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
                "bad_vectors": 2 if language == "de" and hours % 2 else 0,
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
