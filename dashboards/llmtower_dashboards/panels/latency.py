"""Latency and errors: tails instead of means, classes instead of one rate, what hangs, and how close the providers' limits are."""

from typing import Final, Literal

from llmtower_dashboards.panel import Column, Dashboard, Panel, PanelUnit, Row, Threshold
from llmtower_dashboards.panels.common import APP, CALLS, MODEL, NO_CALLS, NO_STREAM, PROVIDER, TIME
from llmtower_dashboards.panels.intervals import wilson
from llmtower_dashboards.panels.sql import (
    END,
    OF_CALLS,
    OF_ROLLUPS,
    START,
    Resolution,
    Rows,
    filters,
    grouped,
    metric,
    outer,
    resolutions,
    select,
    series,
    total,
)

_LEVELS: Final = ("p50", "p95", "p99")


def _percentiles(name: str, metric_name: str, title: str, question: str, no_data: str) -> Panel:
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="timeseries",
        unit="seconds",
        sql=series({level: metric(f"{metric_name}_{level}") for level in _LEVELS}),
        columns=(TIME, *(Column(level, level, "seconds", link="calls") for level in _LEVELS)),
        no_data=no_data,
        worse="up",
        variables=OF_ROLLUPS,
    )


DURATION = _percentiles(
    "latency_duration", "duration", "Duration", "How long do calls take: the middle one, and the slow ones that users remember?", NO_CALLS
)
TTFT = _percentiles("latency_ttft", "ttft", "Time to first token", "How long do readers wait before text appears?", NO_STREAM)
TOKEN_TIME = _percentiles(
    "latency_token_time",
    "token_time",
    "Time per output token",
    "How fast does text flow after the first token?",
    "No streamed calls of more than one token in this range.",
)
_BOTH: Final = {
    "calls": "sum(calls)",
    "p50": metric("duration_p50"),
    "p95": metric("duration_p95"),
    "p99": metric("duration_p99"),
    "ttft_p95": metric("ttft_p95"),
    "token_time_p50": metric("token_time_p50"),
    "error_rate": metric("error_rate"),
}
_BOTH_COLUMNS: Final = (
    CALLS,
    Column("p50", "p50", "seconds"),
    Column("p95", "p95", "seconds"),
    Column("p99", "p99", "seconds"),
    Column("ttft_p95", "p95 to first token", "seconds"),
    Column("token_time_p50", "p50 per token", "seconds"),
    Column("error_rate", "Error rate", "ratio"),
)
BY_APP = Panel(
    name="latency_by_app",
    title="By app",
    question="Which app is slow or failing?",
    kind="table",
    unit="seconds",
    sql=grouped(_BOTH, by={"app": "app"}, order="p95 DESC NULLS LAST, app"),
    columns=(APP, *_BOTH_COLUMNS),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
)
BY_MODEL = Panel(
    name="latency_by_model",
    title="By model",
    question="Which model is slow or failing?",
    kind="table",
    unit="seconds",
    sql=grouped(_BOTH, by={"model": "request_model", "provider": "provider"}, order="p95 DESC NULLS LAST, model"),
    columns=(MODEL, PROVIDER, *_BOTH_COLUMNS),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
)


def _heatmap(name: str, column: str, title: str, question: str, no_data: str) -> Panel:
    """Calls by time and by bucket of half a power of two (two of the stored ones, 41 % wide), in seconds."""

    def build(of: Resolution) -> str:
        values = {"time": of.bucket(), "counts": f"sumMap({column}_buckets)"}
        return select(values, of.table, f"{of.within(of.bucket_s)} AND {filters(OF_ROLLUPS)}", ["time"])

    sql = f"""
SELECT time_ AS time, exp2(bucket / 2) / 1e6 AS bucket_start, exp2((bucket + 1) / 2) / 1e6 AS bucket_end, sum(counted) AS calls
FROM (
SELECT time_, intDiv(mapped.1, 2) AS bucket, mapped.2 AS counted
FROM (
{resolutions(build)}
)
ARRAY JOIN CAST(counts_, 'Array(Tuple(UInt8, UInt64))') AS mapped
)
GROUP BY time, bucket
ORDER BY time, bucket
"""  # noqa: S608 - literals
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="heatmap",
        unit="seconds",
        sql=sql,
        columns=(TIME, Column("bucket_start", "From", "seconds"), Column("bucket_end", "To", "seconds"), CALLS),
        no_data=no_data,
        worse="up",
        variables=OF_ROLLUPS,
    )


DURATION_HEAT = _heatmap(
    "latency_duration_heat", "duration", "Durations", "Is there one kind of call, or are there several: cached, long, timed out?", NO_CALLS
)
TTFT_HEAT = _heatmap("latency_ttft_heat", "ttft", "Times to first token", "How do the waits for the first token lie?", NO_STREAM)

_RATE_LOW, _RATE_HIGH = wilson("sum(errors)", "sum(calls)")
RATE = Panel(
    name="errors_rate",
    title="Error rate",
    question="Which share of calls fails, and how sure is that?",
    kind="timeseries",
    unit="ratio",
    sql=series({"rate": metric("error_rate"), "low": _RATE_LOW, "high": _RATE_HIGH, "sample": "sum(calls)"}),
    columns=(
        TIME,
        Column("rate", "Error rate", "ratio", link="calls"),
        Column("low", "Low", "ratio"),
        Column("high", "High", "ratio"),
        Column("sample", "Calls", "calls"),
    ),
    no_data=NO_CALLS,
    thresholds=(Threshold(0.02, "warn"), Threshold(0.1, "bad")),
    worse="up",
    variables=OF_ROLLUPS,
)
CLASSES = Panel(
    name="errors_classes",
    title="Errors by class",
    question="What kind of failure is it: limits, timeouts, the provider, us?",
    kind="timeseries",
    unit="calls/min",
    sql=series({"errors": "sum(errors) / {minutes}"}, by={"error_class": "error_class"}, extra=" AND errors > 0"),
    columns=(TIME, Column("error_class", "Class", "text"), Column("errors", "Errors", "calls/min", link="calls")),
    no_data="No failed calls in this range.",
    worse="up",
    variables=OF_ROLLUPS,
    stacked=True,
)
BY_CLASS = Panel(
    name="errors_by_class",
    title="Where errors come from",
    question="Which app, model and class of error?",
    kind="table",
    unit="calls",
    sql=grouped(
        {"errors": "sum(errors)"},
        by={"error_class": "error_class", "app": "app", "model": "request_model", "provider": "provider"},
        order="errors DESC, error_class, app, model",
        extra=" AND errors > 0",
    ),
    columns=(Column("error_class", "Class", "text"), APP, MODEL, PROVIDER, Column("errors", "Errors", "calls", link="calls")),
    no_data="No failed calls in this range.",
    worse="up",
    variables=OF_ROLLUPS,
)
RETRIES = Panel(
    name="errors_retries",
    title="Retries",
    question="How often do clients try again before a call succeeds or fails?",
    kind="timeseries",
    unit="ratio",
    sql=series({"retries": "sum(retries) / nullIf(sum(calls), 0)"}, by={"model": "request_model"}),
    columns=(TIME, MODEL, Column("retries", "Retries per call", "ratio", link="calls")),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
)
HEADROOM_S: Final = 21_600
_CALLS: Final = Rows("calls", "started_at")


def _headroom(of: Literal["requests", "tokens"]) -> Panel:
    column = f"rate_limit_remaining_{of}"
    values = {"time": _CALLS.bucket(), "model": "request_model", "provider": "provider", "left": f"min({column})"}
    within = f"started_at >= greatest({START}, {END} - toIntervalSecond({HEADROOM_S})) AND started_at < {END}"
    unit: PanelUnit = "calls" if of == "requests" else "tokens"
    return Panel(
        name=f"latency_headroom_{of}",
        title=f"Rate limits: {of} left (last six hours of the range)",
        question=f"How many {of} did the provider still allow, at the worst moment of each bucket?",
        kind="timeseries",
        unit=unit,
        sql=outer(
            list(values),
            select(values, "calls", f"{within} AND isNotNull({column}) AND {filters(OF_CALLS)}", ["time", "model", "provider"]),
            "\nORDER BY time, model, provider",
        ),
        columns=(TIME, MODEL, PROVIDER, Column("left", f"{of.capitalize()} left", unit)),
        no_data="No provider said what is left: only answers with rate-limit headers carry it.",
        worse="down",
        variables=OF_CALLS,
    )


HEADROOM: Final = (_headroom("requests"), _headroom("tokens"))
HUNG_S: Final = 300
HUNG_WINDOW_S: Final = 10_800
_HUNG_TIME: Final = f"started_at >= greatest({START}, {END} - toIntervalSecond({HUNG_WINDOW_S})) AND started_at < {END}"
_AGE: Final = f"dateDiff('second', started_at, least({END}, now()))"
HUNG = Panel(
    name="latency_hung",
    title="Hung calls (begun in the last three hours of the range)",
    question="Which calls have begun and not ended, beyond their own timeout (five minutes if they have none)?",
    kind="table",
    unit="seconds",
    sql=f"""
SELECT started_at AS time, toString(call_id) AS call, requests.app AS app, request_model AS model, requests.provider AS provider,
    user_id AS user, {_AGE} AS waiting, timeout_ms / 1000 AS timeout
FROM requests
WHERE {_HUNG_TIME} AND {_AGE} > ifNull(timeout_ms / 1000, {HUNG_S}) AND {filters(OF_CALLS)}
    AND call_id NOT IN (SELECT call_id FROM calls WHERE {_HUNG_TIME})
ORDER BY time, call
LIMIT 100
""",  # noqa: S608 - literals
    columns=(
        TIME,
        Column("call", "Call", "text", link="call"),
        APP,
        MODEL,
        PROVIDER,
        Column("user", "User", "text", link="user"),
        Column("waiting", "Waiting", "seconds"),
        Column("timeout", "Timeout", "seconds"),
    ),
    no_data="No call hangs. Calls are known to have begun only where the application sends `request` events (the SDK does).",
    worse="up",
    variables=OF_CALLS,
    width=24,
)
_SPEED: Final[PanelUnit] = "tokens/s"
SPEED = Panel(
    name="latency_speed",
    title="Output speed",
    question="How many tokens a second does a stream give after its first one?",
    kind="stat",
    unit=_SPEED,
    sql=total({"value": f"1 / nullIf({metric('token_time_p50')}, 0)", "sample": "sum(streamed)"}),
    columns=(Column("value", "Output speed, median", _SPEED), Column("sample", "Streamed calls", "calls")),
    no_data=NO_STREAM,
    worse="down",
    variables=OF_ROLLUPS,
    width=6,
    height=4,
)

LATENCY = Dashboard(
    name="latency",
    title="Latency and errors",
    question="How slow is it for whom, what fails, what hangs, how close are the limits?",
    rows=(
        Row("Latency", (DURATION, TTFT, TOKEN_TIME, DURATION_HEAT, TTFT_HEAT, SPEED)),
        Row("Errors", (RATE, CLASSES, BY_CLASS, RETRIES)),
        Row("Who", (BY_APP, BY_MODEL)),
        Row("Limits and hangs", (*HEADROOM, HUNG)),
    ),
)
