"""Dead letters: what could not be stored, of which app, and why."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel, Threshold
from llmtower_dashboards.panels.common import APP, TIME
from llmtower_dashboards.panels.sql import OF_LETTERS, Rows, filters, outer, select

_ROWS: Final = Rows("dead_letters", "at")
NO_LETTERS: Final = "No dead letters: every event could be stored."

LETTERS = Panel(
    name="pipeline_dead_letters",
    title="Dead letters",
    question="How many events could not be stored?",
    kind="stat",
    unit="events",
    sql=f"SELECT count() AS value, sum(bytes) AS bytes, uniqExact(app) AS apps\nFROM dead_letters\n"
    f"WHERE {_ROWS.within()} AND {filters(OF_LETTERS)}\nHAVING count() > 0",
    columns=(Column("value", "Dead letters", "events"), Column("bytes", "Bytes", "bytes"), Column("apps", "Apps")),
    no_data=NO_LETTERS,
    thresholds=(Threshold(1, "warn"), Threshold(100, "bad")),
    worse="up",
    variables=OF_LETTERS,
    calls=None,
    trend="pipeline_letters_series",
    width=6,
    height=4,
)
_BY_REASON: Final = {
    "app": "app",
    "processor": "processor",
    "reason": "reason",
    "events": "count()",
    "first": "min(dead_letters.at)",
    "last": "max(dead_letters.at)",
}
BY_REASON = Panel(
    name="pipeline_letters_by_reason",
    title="Dead letters by app and reason",
    question="Which app sends what cannot be stored, and why? (See them with `llmtower dead-letters list`.)",
    kind="table",
    unit="events",
    sql=outer(
        list(_BY_REASON),
        select(_BY_REASON, "dead_letters", f"{_ROWS.within()} AND {filters(OF_LETTERS)}", ["app", "processor", "reason"]),
        "\nORDER BY events DESC, app, processor, reason\nLIMIT 50",
    ),
    columns=(
        APP,
        Column("processor", "Processor", "text"),
        Column("reason", "Reason", "text"),
        Column("events", "Events", "events"),
        Column("first", "First", "time"),
        Column("last", "Last", "time"),
    ),
    no_data=NO_LETTERS,
    worse="up",
    variables=OF_LETTERS,
    calls=None,
)
OVER_TIME = Panel(
    name="pipeline_letters_series",
    title="Dead letters over time",
    question="When could events not be stored?",
    kind="timeseries",
    unit="events",
    sql="SELECT time_ AS time, reason_ AS reason, events_ AS events\nFROM (\n"
    + select(
        {"time": _ROWS.bucket(), "reason": "reason", "events": "count()"},
        "dead_letters",
        f"{_ROWS.within_buckets()} AND {filters(OF_LETTERS)}",
        ["time", "reason"],
    )
    + "\n)\nORDER BY time, reason",
    columns=(TIME, Column("reason", "Reason", "text"), Column("events", "Events", "events")),
    no_data=NO_LETTERS,
    worse="up",
    variables=OF_LETTERS,
    calls=None,
    stacked=True,
)
