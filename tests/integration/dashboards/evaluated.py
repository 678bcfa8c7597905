"""Calls of a morning, scored hours later, several times each, or by their traces: what evaluations over OpenTelemetry are like."""

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from tests.integration.dashboards.columns import Row, Table
from tests.integration.dashboards.pipeline import END, us
from tests.integration.dashboards.world import World, call

SCORED: Final = {"late": range(150), "often": range(150, 210), "traced": range(210, 270)}
"""Name of a score → the numbers of the calls that it is of."""


def evaluated() -> World:
    """Three hundred calls, one every half minute, the last an hour before the end; their scores came in the last minutes."""
    rng = random.Random(5)
    began = END - timedelta(hours=1)
    calls = [call(rng, number, began - timedelta(seconds=30 * (300 - number))) for number in range(300)]
    for number, one in enumerate(calls):
        one["trace_id"] = _trace(number) if number in SCORED["traced"] else ""
    tables: dict[str, Iterable[Row]] = {"calls": calls, "scores": [score for name in SCORED for score in _given(name, calls)]}
    return World({name: Table.of(rows) for name, rows in tables.items()})


def _trace(number: int) -> str:
    return str(UUID(int=number + 1))


def _given(name: str, calls: list[Row]) -> Iterable[Row]:
    """Scores without the time of their call: they stand where they were given."""
    times = {"late": 1, "often": 4, "traced": 2}[name]
    for place, number in enumerate(number for number in SCORED[name] for _ in range(times)):
        at = us(END - timedelta(minutes=10) + timedelta(seconds=place % 60))
        target = ("trace_id", _trace(number)) if name == "traced" else ("call_id", str(calls[number]["call_id"]))
        yield {key: calls[number][key] for key in ("project", "app", "environment")} | {
            "started_at": at,
            "at": at,
            "target_kind": target[0],
            "target_id": target[1],
            "name": name,
            "value": 0.5,
            "scorer": "elsewhere",
            "status": "ok",
            "weight": 1.0,
        }
