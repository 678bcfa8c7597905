"""Every panel's query over a day (and over six hours) of 10 M calls, with scores, feedback, drift and the pipeline's books beside them."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from llmtower_dashboards.completeness import COMPLETENESS_SQL
from llmtower_dashboards.macros import Frame, expand, interval_for
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.narrow import ONLY
from llmtower_dashboards.registry import ANNOTATIONS, DASHBOARDS, PANELS
from tests.benchmarks.bench_dashboard import BLOCK, CALLS, DAY_US, MAKE, QUICK_CALLS, START_US
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.storage import Storage, storage

LIMIT_MS: Final = 300
END: Final = datetime.fromtimestamp((START_US + DAY_US) / 1e6, UTC)
SPANS: Final = {"24 h": timedelta(hours=24), "6 h": timedelta(hours=6)}
_AT: Final = f"fromUnixTimestamp64Micro({START_US} + toInt64(number * {{spacing_us:Float64}}), 'UTC')"
_SEGMENT: Final = "'default', concat('app-', toString(number % 8)), 'production'"
_MANY: Final = "FROM numbers({count:UInt64})"
_SCORED: Final = "['pii', 'input_pii', 'injection', 'refusal', 'empty', 'truncated', 'looping', 'relevance', 'toxicity', 'length']"
_TEN: Final = "arrayWithConstant(10, {})"
BESIDE: Final[dict[str, tuple[int, str]]] = {
    "scores": (
        1_000_000,
        (
            "INSERT INTO llmtower.scores (project, app, environment, request_model, prompt_name, prompt_version, started_at, target_kind,"
            f" target_id, name, value, status, weight) SELECT {_SEGMENT}, concat('model-', toString(number % 7)), 'prompt-0', '3', {_AT},"
            " 'call_id', toString(number), ['toxicity', 'groundedness', 'pii', 'relevance'][number % 4 + 1], rand(number) / 4294967295,"
            " 'ok', 1 + number % 3 FROM numbers({count:UInt64})"
        ),
    ),
    "call_scores": (
        CALLS,
        (
            "INSERT INTO llmtower.call_scores (call_id, project, app, environment, request_model, prompt_name, prompt_version, started_at,"
            " processor, names, score_values, labels, scorers, scorer_versions, statuses, reasons, weights, positions)"
            f" SELECT generateUUIDv7(number), {_SEGMENT}, concat('model-', toString(number % 7)), 'prompt-0', '3',"
            f" {_AT}, 'quality', {_SCORED}, arrayMap(n -> if(rand(n) % 100 = 0, 0.9, 0.1), range(10)), {_TEN.format(chr(39) * 2)},"
            f" {_TEN.format(repr('patterns'))}, {_TEN.format(repr('1'))}, {_TEN.format(repr('ok'))}, {_TEN.format(chr(39) * 2)},"
            f" {_TEN.format('1.')}, {_TEN.format('emptyArrayUInt32()')} {_MANY}"
        ),
    ),
    "feedback": (
        100_000,
        (
            "INSERT INTO llmtower.feedback (project, app, environment, at, target_kind, target_id, name, score, user_id)"
            f" SELECT {_SEGMENT}, {_AT}, 'call_id', toString(number), 'thumbs', number % 5 - 1, toString(number % 20000)"
            f" {_MANY}"
        ),
    ),
    "drift": (
        1_440 * 40,
        (
            "INSERT INTO llmtower.drift (project, app, environment, request_model, direction, metric,"
            " reference, window_minutes, at, status,"
            f" statistic, threshold, texts) SELECT {_SEGMENT}, concat('model-', toString(intDiv(number, 8) % 5)), 'output', 'embedding',"
            f" 'trailing', 60, toDateTime({_AT}), if(number % 500 = 0, 'drift', 'ok'), rand(number) / 1e9, 5, 400 {_MANY}"
        ),
    ),
    "drift_ranges": (
        1_440 * 16,
        (
            "INSERT INTO llmtower.drift_ranges (project, app, environment, request_model, direction, language,"
            " embedder, minute, calls, texts,"
            f" characters, tokens, features, mean) SELECT {_SEGMENT}, 'model-0', if(intDiv(number, 8) % 2 = 0, 'input', 'output'), 'en',"
            f" 'hashed@1:384', toStartOfMinute(toDateTime({_AT})), 400, 390, 40000, 90000, range(256), range(384) {_MANY}"
        ),
    ),
    "heartbeats": (
        17_280 * 20,
        (
            "INSERT INTO llmtower.heartbeats (producer, project, app, environment, at, emitted, delivered)"
            f" SELECT concat('p', toString(number % 20)), {_SEGMENT}, {_AT}, number, number {_MANY}"
        ),
    ),
    "watermarks": (
        17_280,
        (
            "INSERT INTO llmtower.watermarks (at, project, watermark, live_producers)"
            f" SELECT {_AT} AS moment, 'default', moment - toIntervalSecond(1), 20 {_MANY}"
        ),
    ),
    "own_cost": (
        8_640,
        (
            "INSERT INTO llmtower.own_cost (at, process, instance, seconds, cpu_s, memory_bytes)"
            f" SELECT {_AT}, ['pipeline', 'scoring', 'clickhouse'][1 + number % 3], 'a:1', 30, 3, 100000000 {_MANY}"
        ),
    ),
    "ledger": (
        200_000,
        (
            "INSERT INTO llmtower.ledger (processor, producer, first_seq, count, project, app, minute, offset)"
            f" SELECT ['calls', 'signals'][number % 2 + 1], concat('p', toString(number % 20)), number, 100, 'default', 'app-0',"
            f" toStartOfMinute(toDateTime({_AT})), number {_MANY}"
        ),
    ),
    "requests": (
        1_000_000,
        (
            "INSERT INTO llmtower.requests (call_id, project, app, environment, started_at)"
            f" SELECT generateUUIDv7(number), {_SEGMENT}, {_AT} {_MANY}"
        ),
    ),
}
"""Table → rows (spread over the day) and how they are made. Every panel has something to read."""


def run(quick: bool) -> list[Figure]:
    """Measure."""
    calls = QUICK_CALLS if quick else CALLS
    with storage("llmtower") as engine:
        for first in range(0, calls, BLOCK):
            engine.client.command(MAKE, parameters={"start_us": START_US, "spacing_us": DAY_US / calls, "first": first, "count": BLOCK})
        for most, sql in BESIDE.values():
            count = min(most, calls)
            engine.client.command(sql, parameters={"spacing_us": DAY_US / count, "count": count})
        engine.wait_for_merges()
        call = str(engine.value("SELECT call_id FROM calls LIMIT 1"))
        of = f"{calls // 1_000_000} M calls"
        figures = [figure for name, span in SPANS.items() for figure in _figures(engine, f"{name} of {of}", _frame(span, call))]
        whole = _frame(timedelta(hours=24), call)
        one = replace(whole, variables={**whole.variables, "app": ["app-1"], "user": ["user-1"]})
        return [*figures, *_figures(engine, f"one user, 24 h of {of}", one), _narrowed(engine, of, whole), _off(engine, of, whole)]


def _frame(span: timedelta, call: str) -> Frame:
    """No filter: the most there is to read. One call is chosen, so that its own panels answer."""
    return Frame(END - span, END, interval_for(END - span, END), {"call": [call]})


def _figures(engine: Storage, of: str, frame: Frame) -> Iterator[Figure]:
    taken = {name: _median_ms(engine, sql, frame) for name, sql in _queries()}
    worst = sorted(taken, key=lambda name: -taken[name])
    slow = [f"{name} {taken[name]:.0f}" for name in worst if taken[name] > LIMIT_MS]
    yield at_most(f"slowest panel, {of}", taken[worst[0]], "ms", LIMIT_MS, ", ".join(f"{name} {taken[name]:.0f}" for name in worst[:5]))
    yield at_most(f"panels above {LIMIT_MS} ms, {of}", len(slow), f"of {len(taken)}", 0, ", ".join(slow))
    yield Figure(f"median panel, {of}", statistics.median(taken.values()), "ms")
    for name in ("overview", "latency"):
        panels: list[Panel] = [panel for row in DASHBOARDS[name].rows for panel in row.panels]
        yield Figure(f"dashboard {name}, all panels one after the other, {of}", sum(taken[panel.name] for panel in panels), "ms")


def _narrowed(engine: Storage, of: str, frame: Frame) -> Figure:
    """The latest calls behind figures of every kind: what "show calls" asks for."""
    chosen = [("only", name) for name in ONLY] + [("score", "toxicity"), ("feedback", "thumbs"), ("version", "3"), ("error", "timeout")]
    taken = {
        f"{name}={value}": _median_ms(engine, PANELS["calls_recent"].sql, replace(frame, variables={name: [value]}))
        for name, value in chosen
    }
    worst = sorted(taken, key=lambda name: -taken[name])
    said = ", ".join(f"{name} {taken[name]:.0f}" for name in worst[:5])
    return at_most(f"slowest list of the calls behind a figure, 24 h of {of}", taken[worst[0]], "ms", LIMIT_MS, said)


def _off(engine: Storage, of: str, frame: Frame) -> Figure:
    """Calls, cost, failed and unpriced calls per app, against the raw rows."""
    query = expand(PANELS["cost_by_app"].sql, frame)
    found = {
        row[0]: (row[2], round(row[1] * 1e9), row[5])
        for row in engine.client.query(query.sql, parameters=dict(query.parameters)).result_rows
    }
    exact = "SELECT app, count(), sum(cost_nano_usd), countIf(isNull(cost_nano_usd) AND cost_status != 'failed') FROM calls GROUP BY app"
    right = {row[0]: tuple(row[1:]) for row in engine.client.query(exact).result_rows}
    wrong = sum(found.get(app) != values for app, values in right.items())
    return at_most(f"apps whose calls, cost or unpriced calls differ from the raw rows, 24 h of {of}", wrong, f"of {len(right)}", 0)


def _queries() -> Iterator[tuple[str, str]]:
    yield "completeness", COMPLETENESS_SQL
    for panel in (*PANELS.values(), *ANNOTATIONS.values()):
        yield panel.name, panel.sql


def _median_ms(engine: Storage, sql: str, frame: Frame) -> float:
    query = expand(sql, frame)
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        engine.client.query(query.sql, parameters=dict(query.parameters))
        taken.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(taken)


if __name__ == "__main__":
    main(run)
