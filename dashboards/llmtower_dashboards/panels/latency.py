"""Latency and errors: tails instead of means, classes instead of one rate, what hangs, and how close the providers' limits are."""

from typing import Final

from llmtower_dashboards.panel import Behind, Column, Dashboard, Panel, PanelUnit, Row, Threshold
from llmtower_dashboards.panels.common import APP, CALLS, FAILED, MODEL, NO_CALLS, NO_STREAM, PROVIDER, SLOWEST, TIME, only
from llmtower_dashboards.panels.intervals import wilson
from llmtower_dashboards.panels.limits import HEADROOM, HUNG
from llmtower_dashboards.panels.sql import (
    OF_ROLLUPS,
    Resolution,
    filters,
    grouped,
    metric,
    resolutions,
    select,
    series,
    total,
)

_LEVELS: Final = ("p50", "p95", "p99")


def _percentiles(name: str, metric_name: str, title: str, question: str, no_data: str, behind: Behind) -> Panel:
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="timeseries",
        unit="seconds",
        sql=series({level: metric(f"{metric_name}_{level}") for level in _LEVELS}),
        columns=(TIME, *(Column(level, level, "seconds", link="calls") for level in _LEVELS)),
        calls=behind,
        no_data=no_data,
        worse="up",
        variables=OF_ROLLUPS,
    )


DURATION = _percentiles(
    "latency_duration",
    "duration",
    "Duration",
    "How long do calls take: the middle one, and the slow ones that users remember?",
    NO_CALLS,
    SLOWEST,
)
TTFT = _percentiles(
    "latency_ttft", "ttft", "Time to first token", "How long do readers wait before text appears?", NO_STREAM, only("streamed")
)
TOKEN_TIME = _percentiles(
    "latency_token_time",
    "token_time",
    "Time per output token",
    "How fast does text flow after the first token?",
    "No streamed calls of more than one token in this range.",
    only("flowing"),
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
    calls=SLOWEST,
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
    calls=SLOWEST,
)


def _heatmap(name: str, column: str, title: str, question: str, no_data: str, behind: Behind) -> Panel:
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
        calls=behind,
        no_data=no_data,
        worse="up",
        variables=OF_ROLLUPS,
    )


DURATION_HEAT = _heatmap(
    "latency_duration_heat",
    "duration",
    "Durations",
    "Is there one kind of call, or are there several: cached, long, timed out?",
    NO_CALLS,
    SLOWEST,
)
TTFT_HEAT = _heatmap(
    "latency_ttft_heat", "ttft", "Times to first token", "How do the waits for the first token lie?", NO_STREAM, only("streamed")
)

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
    calls=FAILED,
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
    calls=FAILED,
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
    calls=FAILED,
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
    calls=only("retried"),
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
    calls=only("flowing"),
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
