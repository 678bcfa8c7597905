"""Overview: is it healthy, what does it cost, what changed?"""

from llmtower_dashboards.panel import Column, Dashboard, Panel, Row, Threshold
from llmtower_dashboards.panels.changes import CHANGED
from llmtower_dashboards.panels.common import APP, DEAREST, FAILED, NO_CALLS, NO_PRICE, SAMPLE, SLOWEST, TIME, UNPRICED, figure, only
from llmtower_dashboards.panels.cost import MONTH, TODAY
from llmtower_dashboards.panels.drift import RATIO
from llmtower_dashboards.panels.latency import DURATION
from llmtower_dashboards.panels.sql import OF_ROLLUPS, compared_ratio, compared_sum, metric, series

CALLS = Panel(
    name="overview_calls",
    title="Calls",
    question="How much is used, against the same hours of trailing days?",
    kind="stat",
    unit="calls",
    sql=compared_sum(metric("calls")),
    columns=(*figure("Calls", "calls"), SAMPLE),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
    trend="overview_traffic",
    width=6,
    height=4,
)
ERROR_RATE = Panel(
    name="overview_error_rate",
    title="Error rate",
    question="Which share of calls fails?",
    kind="stat",
    unit="ratio",
    sql=compared_ratio(metric("error_rate")),
    columns=(*figure("Error rate", "ratio"), SAMPLE),
    no_data=NO_CALLS,
    thresholds=(Threshold(0.02, "warn"), Threshold(0.1, "bad")),
    worse="up",
    variables=OF_ROLLUPS,
    trend="errors_rate",
    width=6,
    height=4,
    calls=FAILED,
)
P95 = Panel(
    name="overview_p95",
    title="p95 duration",
    question="How slow are the slowest five in a hundred calls?",
    kind="stat",
    unit="seconds",
    sql=compared_ratio(metric("duration_p95")),
    columns=(*figure("p95 duration", "seconds"), SAMPLE),
    no_data=NO_CALLS,
    thresholds=(Threshold(10, "warn"), Threshold(30, "bad")),
    worse="up",
    variables=OF_ROLLUPS,
    trend="overview_p95_series",
    width=6,
    height=4,
    calls=SLOWEST,
)
COST = Panel(
    name="overview_cost",
    title="Cost",
    question="What did this range cost, against the same hours of trailing days?",
    kind="stat",
    unit="usd",
    sql=compared_sum(metric("cost"), unpriced=True),
    columns=(*figure("Cost", "usd"), UNPRICED, SAMPLE),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
    trend="cost_by_app_series",
    width=6,
    height=4,
    calls=DEAREST,
)
UNPRICED_SHARE = Panel(
    name="overview_unpriced",
    title="Unpriced calls",
    question="How much is missing from the sums of money?",
    kind="stat",
    unit="ratio",
    sql=compared_ratio(metric("unpriced_share"), more={"unpriced": "sum(unpriced_calls)"}),
    columns=(*figure("Unpriced share", "ratio"), UNPRICED, SAMPLE),
    no_data=NO_CALLS,
    thresholds=(Threshold(0.01, "warn"), Threshold(0.1, "bad")),
    worse="up",
    variables=OF_ROLLUPS,
    width=6,
    height=4,
    calls=only("unpriced"),
)
TTFT = Panel(
    name="overview_ttft",
    title="p95 time to first token",
    question="How long do readers wait before text appears?",
    kind="stat",
    unit="seconds",
    sql=compared_ratio(metric("ttft_p95"), sample="sum(ttft_calls)"),
    columns=(*figure("p95 time to first token", "seconds"), Column("sample", "Streamed calls", "calls")),
    no_data="No streamed calls in this range: only a streamed call has a first token.",
    thresholds=(Threshold(3, "warn"), Threshold(10, "bad")),
    worse="up",
    variables=OF_ROLLUPS,
    trend="latency_ttft",
    width=6,
    height=4,
    calls=only("streamed"),
)
TRAFFIC = Panel(
    name="overview_traffic",
    title="Traffic",
    question="How much is used over time, and how much of it fails?",
    kind="timeseries",
    unit="calls/min",
    sql=series({"calls": "sum(calls) / {minutes}", "errors": "sum(errors) / {minutes}"}),
    columns=(TIME, Column("calls", "Calls", "calls/min", link="calls"), Column("errors", "Errors", "calls/min")),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
)
P95_SERIES = Panel(
    name="overview_p95_series",
    title="p95 duration by app",
    question="Which app became slower, and when?",
    kind="timeseries",
    unit="seconds",
    sql=series({"p95": metric("duration_p95")}, by={"app": "app"}),
    columns=(TIME, APP, Column("p95", "p95 duration", "seconds", link="calls")),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
    calls=SLOWEST,
)
COST_SERIES = Panel(
    name="cost_by_app_series",
    title="Cost by app",
    question="Which app spends, and when?",
    kind="timeseries",
    unit="usd/h",
    sql=series({"cost": f"{metric('cost')} / {{minutes}} * 60", "unpriced": "sum(unpriced_calls)"}, by={"app": "app"}),
    columns=(TIME, APP, Column("cost", "Cost", "usd/h", link="calls"), UNPRICED),
    no_data=NO_PRICE,
    worse="up",
    variables=OF_ROLLUPS,
    stacked=True,
    calls=DEAREST,
)

OVERVIEW = Dashboard(
    name="overview",
    title="Overview",
    question="Is it healthy, what does it cost, what changed?",
    rows=(
        Row("Now", (CALLS, ERROR_RATE, P95, TTFT, COST, TODAY, MONTH, UNPRICED_SHARE)),
        Row("What changed", (CHANGED,)),
        Row("Over time", (TRAFFIC, DURATION, COST_SERIES, P95_SERIES, RATIO)),
    ),
)
