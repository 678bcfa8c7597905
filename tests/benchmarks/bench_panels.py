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
from tests.benchmarks.beside import BESIDE, FIRST
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.storage import Storage, storage

LIMIT_MS: Final = 300
END: Final = datetime.fromtimestamp((START_US + DAY_US) / 1e6, UTC)
SPANS: Final = {"24 h": timedelta(hours=24), "6 h": timedelta(hours=6)}
BEFORE_DAYS: Final = 10
"""With a million calls, so that there is something to compare the day with."""


def run(quick: bool) -> list[Figure]:
    """Measure."""
    calls = QUICK_CALLS if quick else CALLS
    with storage("llmtower") as engine:
        _fill(engine, calls)
        call = str(engine.value(FIRST))
        of = f"{calls // 1_000_000} M calls"
        figures = [figure for name, span in SPANS.items() for figure in _figures(engine, f"{name} of {of}", _frame(span, call))]
        whole = _frame(timedelta(hours=24), call)
        one = replace(whole, variables={**whole.variables, "app": ["app-1"], "user": ["user-1"]})
        return [*figures, *_figures(engine, f"one user, 24 h of {of}", one), _narrowed(engine, of, whole), _off(engine, of, whole)]


def _fill(engine: Storage, calls: int) -> None:
    """Make the calls of the day, those of the days before, and what stands beside them."""
    before = BEFORE_DAYS * DAY_US / BLOCK
    blocks = [(START_US, DAY_US / calls, first) for first in range(0, calls, BLOCK)]
    for start_us, spacing_us, first in [*blocks, (START_US - int(before * (calls + BLOCK)), before, calls)]:
        engine.client.command(MAKE, parameters={"start_us": start_us, "spacing_us": spacing_us, "first": first, "count": BLOCK})
    for most, sql in BESIDE.values():
        count = min(most, calls)
        values = {"spacing_us": DAY_US / count, "count": count, "every": max(1, calls // count)}
        engine.client.command(sql, parameters={name: value for name, value in values.items() if f"{{{name}:" in sql})
    engine.wait_for_merges()


def _frame(span: timedelta, call: str) -> Frame:
    """No filter: the most there is to read. One call is chosen, so that its own panels answer."""
    return Frame(END - span, END, interval_for(END - span, END), {"call": [call]})


def _figures(engine: Storage, of: str, frame: Frame) -> Iterator[Figure]:
    asked = {name: _asked(engine, sql, frame) for name, sql in _queries()}
    taken = {name: ms for name, (ms, _) in asked.items()}
    nothing = [name for name, (_, rows) in asked.items() if not rows]
    worst = sorted(taken, key=lambda name: -taken[name])
    slow = [f"{name} {taken[name]:.0f}" for name in worst if taken[name] > LIMIT_MS]
    yield at_most(f"slowest panel, {of}", taken[worst[0]], "ms", LIMIT_MS, ", ".join(f"{name} {taken[name]:.0f}" for name in worst[:5]))
    yield at_most(f"panels above {LIMIT_MS} ms, {of}", len(slow), f"of {len(taken)}", 0, ", ".join(slow))
    yield Figure(f"panels that answered nothing, so were not measured, {of}", len(nothing), f"of {len(taken)}", note=", ".join(nothing))
    yield Figure(f"median panel, {of}", statistics.median(taken.values()), "ms")
    for name in ("overview", "latency"):
        panels: list[Panel] = [panel for row in DASHBOARDS[name].rows for panel in row.panels]
        yield Figure(f"dashboard {name}, all panels one after the other, {of}", sum(taken[panel.name] for panel in panels), "ms")


def _narrowed(engine: Storage, of: str, frame: Frame) -> Figure:
    """The latest calls behind figures of every kind: what "show calls" asks for."""
    chosen = [("only", name) for name in ONLY] + [("score", "toxicity"), ("feedback", "thumbs"), ("version", "3"), ("error", "timeout")]
    taken = {
        f"{name}={value}": _asked(engine, PANELS["calls_recent"].sql, replace(frame, variables={name: [value]}))[0]
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
    exact = (
        "SELECT app, count(), sum(cost_nano_usd), countIf(isNull(cost_nano_usd) AND cost_status != 'failed') FROM calls"
        " WHERE started_at >= {since:DateTime} GROUP BY app"
    )
    right = {row[0]: tuple(row[1:]) for row in engine.client.query(exact, parameters={"since": frame.start}).result_rows}
    wrong = sum(found.get(app) != values for app, values in right.items())
    return at_most(f"apps whose calls, cost or unpriced calls differ from the raw rows, 24 h of {of}", wrong, f"of {len(right)}", 0)


def _queries() -> Iterator[tuple[str, str]]:
    yield "completeness", COMPLETENESS_SQL
    for panel in (*PANELS.values(), *ANNOTATIONS.values()):
        yield panel.name, panel.sql


def _asked(engine: Storage, sql: str, frame: Frame) -> tuple[float, int]:
    """The median of three, in milliseconds, and how many rows there are."""
    query = expand(sql, frame)
    taken, rows = [], 0
    for _ in range(3):
        begun = time.perf_counter()
        rows = len(engine.client.query(query.sql, parameters=dict(query.parameters)).result_rows)
        taken.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(taken), rows


if __name__ == "__main__":
    main(run)
