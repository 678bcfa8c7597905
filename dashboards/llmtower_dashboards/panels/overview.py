"""Overview: is it healthy, what does it cost, what changed?"""

from llmtower_dashboards.panel import Column, Dashboard, Panel, Row, Threshold
from llmtower_dashboards.panels.sql import OF_ROLLUPS, compared, metric, series

NO_CALLS = "No calls in this range: widen it, clear a filter, or check on the Pipeline page that events arrive."
BASELINE = Column("baseline", "Same hours before")
SAMPLE = Column("sample", "Calls", "calls", link="calls")
UNPRICED = Column("unpriced", "Unpriced calls", "calls", link="calls")

CALLS = Panel(
    name="overview_calls",
    title="Calls",
    question="How much is used, against the same hours of trailing days?",
    kind="stat",
    unit="calls",
    sql=compared(metric("calls"), additive=True),
    columns=(Column("value", "Calls", "calls", link="calls"), Column("baseline", "Same hours before", "calls"), SAMPLE),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
    trend="overview_traffic",
    width=5,
    height=4,
)
TRAFFIC = Panel(
    name="overview_traffic",
    title="Traffic",
    question="How much is used over time, and how much of it fails?",
    kind="timeseries",
    unit="calls/min",
    sql=series({"calls": "sum(calls) / {minutes}", "errors": "sum(errors) / {minutes}"}),
    columns=(Column("time", "Time", "time"), Column("calls", "Calls", "calls/min"), Column("errors", "Errors", "calls/min")),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
)
ERROR_RATE = Panel(
    name="overview_error_rate",
    title="Error rate",
    question="Which share of calls fails?",
    kind="stat",
    unit="ratio",
    sql=compared(metric("error_rate"), additive=False),
    columns=(Column("value", "Error rate", "ratio", link="calls"), Column("baseline", "Same hours before", "ratio"), SAMPLE),
    no_data=NO_CALLS,
    thresholds=(Threshold(0.02, "warn"), Threshold(0.1, "bad")),
    worse="up",
    variables=OF_ROLLUPS,
    trend="errors_rate",
    width=5,
    height=4,
)

OVERVIEW = Dashboard(
    name="overview",
    title="Overview",
    question="Is it healthy, what does it cost, what changed?",
    rows=(Row("Now", (CALLS, ERROR_RATE)), Row("Over time", (TRAFFIC,))),
)
