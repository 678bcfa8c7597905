"""A million calls: two hundred of each of five thousand, no two alike, with the scores, feedback and requests that are about them.

Tables of drift, of the pipeline, of the registry and of the judge's rounds stay those of the small world.
"""

from typing import Final

import numpy as np
from tests.integration.dashboards.columns import ANSWER, TARGETS, UUIDS, Array, Column, Spelled, Table, Words, joined, known
from tests.integration.dashboards.world import COSTS, FIRST, SOUND, TOKENS, World, many

SOURCES: Final = 5_000
COPIES: Final = 200
SCORED: Final = 2
"""Of so many calls one is talked about as its source is."""
HUNG: Final = 400
_HOUR: Final = 3_600_000_000


def million() -> World:
    """The rows of every table; what does not grow with calls stays as it is."""
    rng = np.random.default_rng(20261126)
    small = many(SOURCES)
    calls = _calls(rng, small["calls"])
    scores, computed, feedback = (_about(small[name], small["calls"], calls) for name in ("scores", "call_scores", "feedback"))
    grown = {
        "calls": calls,
        "requests": _requests(small["requests"], calls),
        "scores": scores.with_columns(value=_varied(rng, scores["name"], scores["value"])),
        "call_scores": computed.with_columns(score_values=_varied(rng, computed["names"], computed["score_values"])),
        "feedback": feedback.with_columns(user_id=calls["user_id"][_places(feedback)]),
    }
    return World({**small.tables, **grown})


def _calls(rng: np.random.Generator, sources: Table) -> Table:
    count = SOURCES * COPIES
    wide = sources.take(np.tile(np.arange(SOURCES), COPIES))
    moment = wide["started_at"]
    later = rng.integers(0, 3 * 60_000_000, count)
    duration = rng.lognormal(14, 1, count).astype(np.int64)
    varied: dict[str, Column] = {
        "call_id": Words(FIRST + np.arange(count), UUIDS),
        "request_id": Words(np.arange(count), Spelled("r")),
        "response_id": Words(ANSWER + np.arange(count), TARGETS),
        "started_at": moment // _HOUR * _HOUR + (moment % _HOUR // 60_000_000 * 60_000_000 + later) % _HOUR,
        "user_id": Words(np.minimum(rng.pareto(0.9, count) * 3, 2_999).astype(np.int64), Spelled("user")),
        "session_id": Words(rng.integers(0, 20_000, count), Spelled("s")),
        "duration_us": duration,
        "ttft_us": _where_known(wide["ttft_us"], (duration * rng.uniform(0.05, 0.9, count)).astype(np.int64)),
    }
    for name in ("rate_limit_remaining_requests", "rate_limit_remaining_tokens"):
        varied[name] = _where_known(wide[name], rng.integers(5, 10_000, count))
    varied |= {name: rng.integers(0, 1_000, count, dtype=np.int32) * (wide[name] > 0 if name in SOUND else True) for name in TOKENS}
    lines = {name: _where_known(wide[name], rng.integers(0, 1 << 40, count)) for name in COSTS}
    return wide.with_columns(**varied, **lines, cost_nano_usd=np.ma.stack(list(lines.values())).sum(axis=0))


def _where_known(column: Column, values: Array) -> Array:
    return np.ma.masked_array(values, mask=~known(column))


def _places(table: Table) -> Array:
    """Which calls the rows are about: their places in the table of calls."""
    numbers: Array = table[_target(table)].numbers
    return np.where(numbers >= ANSWER, numbers - ANSWER, numbers - FIRST)


def _target(table: Table) -> str:
    return "call_id" if "call_id" in table else "target_id"


def _about(sources: Table, before: Table, calls: Table) -> Table:
    """What is about a source is about every other of its calls too, as long after its beginning."""
    copies = np.repeat(np.arange(0, COPIES, SCORED), len(sources)) * SOURCES
    wide = sources.take(np.tile(np.arange(len(sources)), COPIES // SCORED))
    place = _places(wide)
    began = calls["started_at"][place + copies]
    moments: dict[str, Column] = {"started_at": began, "at": wide["at"] - before["started_at"][place] + began if "at" in wide else began}
    target = wide[_target(wide)]
    spoken: dict[str, Column] = {_target(wide): Words(target.numbers + copies, target.names)}
    return wide.with_columns(**spoken, **{name: moment for name, moment in moments.items() if name in wide})


def _varied(rng: np.random.Generator, names: Words, values: Array) -> Array:
    """Other values on the same side of a half; flags and a judge's marks stay."""
    half = np.where(values >= 0.5, 0.5, 0.0) + rng.random(values.shape) / 2
    wide = (names == "retrieval_score") | (names == "document_age")
    fits = np.where(wide, 12 * rng.random(values.shape), half)
    kept = np.ma.getdata(values)
    marks = names.isin(("retrieval_empty", "judge_helpfulness"))
    return np.ma.masked_array(np.where(marks, kept, fits), mask=~known(values))


def _requests(sources: Table, calls: Table) -> Table:
    """One for each call, and some whose calls never ended."""
    same = [name for name in sources.names() if name in calls]
    hung = sources.take(np.arange(len(sources))[-3:][np.arange(HUNG) % 3])
    told = calls["started_at"].max() - np.arange(HUNG) * 30_000_000
    lost = hung.with_columns(call_id=Words(1 + np.arange(HUNG), UUIDS), started_at=told)
    never = np.ma.masked_array(np.zeros(len(calls), dtype=np.int64), mask=True)
    return joined(Table({name: calls[name] for name in same} | {"timeout_ms": never}), lost)
