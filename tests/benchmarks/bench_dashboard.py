"""A day's dashboard query over 10 M calls: on `calls`, and on the rollups. The calls are made inside the engine, views and all."""

from functools import partial

from tests.benchmarks.figures import Figure, Samples, at_most, interleave, main
from tests.benchmarks.storage import Storage, storage

CALLS = 10_000_000
QUICK_CALLS = 2_000_000
BLOCK = 1_000_000
DAY_US = 86_400_000_000
START_US = 1_795_132_800_000_000
"""2026-11-20 00:00:00 UTC."""
SHARE = 1 / 20

MAKE = """
INSERT INTO llmtower.calls (call_id, project, app, environment, user_id, operation, provider, request_model, started_at, duration_us,
    ttft_us, stream, status, error_class, input_tokens, output_tokens, cost_nano_usd, cost_input_nano_usd, cost_output_nano_usd,
    cost_status, prompt_name, prompt_version, response_id, trace_id, session_id, retries, response_model, rate_limit_remaining_requests,
    rate_limit_remaining_tokens)
WITH cityHash64(number) AS h, h % 20000 AS user, user % 8 AS app_number, h % 1000 < 40 AS failed, h % 10 < 6 AS streamed,
    (app_number + intDiv(h, 20000) % (app_number % 3 + 1)) % 7 AS model,
    (1 + cityHash64(number, 1) % 1000000) / 1000001 AS u, (cityHash64(number, 2) % 1000000) / 1000000 AS v,
    toUInt64(exp(14 + 0.8 * sqrt(-2 * log(u)) * cos(2 * pi() * v))) AS duration,
    intDiv(h, 77) % 4000 AS input, intDiv(h, 99) % 900 + 5 AS output
SELECT generateUUIDv7(number), 'default', concat('app-', toString(app_number)), 'production', concat('user-', toString(user)), 'chat',
    if(model < 3, 'openai', 'anthropic'), concat('model-', toString(model)),
    fromUnixTimestamp64Micro({start_us:Int64} + toInt64(number * {spacing_us:Float64}), 'UTC'),
    duration, if(streamed AND NOT failed, toUInt64(duration * (0.1 + 0.4 * v)), NULL), streamed, if(failed, 'error', 'ok'),
    if(failed, ['rate_limit', 'timeout', 'server', 'content_filter'][intDiv(h, 1000) % 4 + 1], ''),
    input, output, input * 150 + output * 600, input * 150, output * 600, 'ok',
    concat('prompt-', toString(intDiv(h, 131) % (app_number % 3 + 1))), toString(3 + intDiv(h, 313) % 2),
    if(failed, '', concat('resp-', toString(number))), hex(cityHash64(intDiv(number, 2), 3)),
    if(h % 4 = 0, hex(intDiv(h, 20000) % 5000), ''), if(h % 50 = 0, 1, 0),
    if(failed, '', concat('model-', toString(model), '-2026')), if(h % 10 = 0, h % 5000, NULL), if(h % 10 = 0, h % 90000, NULL)
FROM numbers({first:UInt64}, {count:UInt64})
SETTINGS max_insert_block_size = 1000000, min_insert_block_size_rows = 1000000
"""

_SUMS = "sum(cost_nano_usd), sum(errors) / sum(calls)"
_P95 = "quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(duration_digest)[3]"
_DAY = "{time} >= '2026-11-20 00:00:00' AND {time} < '2026-11-21 00:00:00'"
_CALLS_SUMS = "sum(cost_nano_usd), countIf(status != 'ok') / count()"
QUERIES = {
    "calls, p95": f"SELECT app, quantile(0.95)(duration_us), {_CALLS_SUMS} FROM llmtower.calls WHERE {_DAY} GROUP BY app",
    "calls, sums": f"SELECT app, {_CALLS_SUMS} FROM llmtower.calls WHERE {_DAY} GROUP BY app",
    "rollup_1h, p95": f"SELECT app, {_P95}, {_SUMS} FROM llmtower.rollup_1h WHERE {_DAY} GROUP BY app",
    "rollup_1h, sums": f"SELECT app, {_SUMS} FROM llmtower.rollup_1h WHERE {_DAY} GROUP BY app",
    "rollup_1m, p95": f"SELECT app, {_P95}, {_SUMS} FROM llmtower.rollup_1m WHERE {_DAY} GROUP BY app",
    "rollup_1m, sums": f"SELECT app, {_SUMS} FROM llmtower.rollup_1m WHERE {_DAY} GROUP BY app",
}
TIMES = {"calls": "started_at", "rollup_1h": "hour", "rollup_1m": "minute"}


def run(quick: bool) -> list[Figure]:
    """Measure."""
    calls = QUICK_CALLS if quick else CALLS
    with storage("llmtower") as engine:
        for first in range(0, calls, BLOCK):
            parameters = {"start_us": START_US, "spacing_us": DAY_US / calls, "first": first, "count": BLOCK}
            engine.client.command(MAKE, parameters=parameters)
        engine.wait_for_merges()
        queries = {name: sql.format(time=TIMES[name.partition(",")[0]]) for name, sql in QUERIES.items()}
        taken = interleave({name: partial(_ask, engine, sql) for name, sql in queries.items()}, 5 if quick else 9)
        return [*_figures(f"{calls // 1_000_000} M calls", taken, judge=not quick), _off(engine, queries)]


def _ask(engine: Storage, sql: str, _round: int) -> None:
    engine.client.query(sql)


def _figures(of: str, taken: dict[str, Samples], *, judge: bool) -> list[Figure]:
    """The target is meant for 10 M calls: on fewer, `calls` is quicker and the rollups are not."""

    def figure(table: str, what: str, title: str, *, judged: bool) -> Figure:
        rollup, raw = taken[f"{table}, {what}"], taken[f"calls, {what}"]
        cpu = f"CPU {rollup.cpu_s * 1e3:.0f} / {raw.cpu_s * 1e3:.0f} ms"
        note = f"{rollup.wall_s * 1e3:.0f} / {raw.wall_s * 1e3:.0f} ms, {cpu}, {rollup.spread()}"
        name, value = f"24 h, {title} per app: {table} / calls ({of})", rollup.wall_s / raw.wall_s
        return at_most(name, value, "of the time", SHARE, note) if judged else Figure(name, value, "of the time", note=note)

    return [
        figure("rollup_1h", "p95", "p95, cost and errors", judged=judge),
        figure("rollup_1h", "sums", "cost and errors", judged=judge),
        figure("rollup_1m", "sums", "cost and errors", judged=False),
        figure("rollup_1m", "p95", "p95, cost and errors", judged=False),
    ]


def _off(engine: Storage, queries: dict[str, str]) -> Figure:
    exact = "SELECT app, quantileExact(0.95)(duration_us) FROM llmtower.calls GROUP BY app"
    expected = {app: float(value) for app, value in engine.client.query(exact).result_rows}
    found = {row[0]: float(row[1]) for row in engine.client.query(queries["rollup_1h, p95"]).result_rows}
    off = max(abs(found[app] / value - 1) for app, value in expected.items())
    return at_most("p95 per app from rollup_1h, off exact", off * 100, "%", 0.5, "worst of the apps")


if __name__ == "__main__":
    main(run)
