"""What Llmtower itself takes, and how its engine is: processor time, memory, refused queries."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.panels.common import TIME
from llmtower_dashboards.panels.sql import END, START, Rows, outer, select

_ROWS: Final = Rows("own_cost", "at")
NO_COST: Final = "No process of Llmtower wrote in this range what it takes (every 30 s): no worker ran. Start one with `llmtower worker`."
_WIDE: Final = "(toInt64(greatest($__interval_s, 60)) * 1000)"
"""Milliseconds of a bucket."""
_PERIODS: Final = f"""SELECT process, toUnixTimestamp64Milli(at) AS until,
        until - greatest(1, toInt64(round(seconds * 1000))) AS since, cpu_s
        FROM own_cost WHERE {_ROWS.within_buckets()}"""  # noqa: S608 - literals
"""Each row is a period that ends at its time."""
_SHARES: Final = f"""SELECT process, start,
        sum(cpu_s * greatest(0, least(until, start + {_WIDE}) - greatest(since, start)) / (until - since)) AS used,
        min(min(since)) OVER (PARTITION BY process) AS first, max(max(until)) OVER (PARTITION BY process) AS last
    FROM (SELECT *, arrayJoin(range(intDiv(since, {_WIDE}) * {_WIDE}, until, {_WIDE})) AS start FROM ({_PERIODS}))
    GROUP BY process, start"""  # noqa: S608 - literals
"""What each bucket has of every period. A bucket in which a process was first or last heard of is no longer than that."""
OWN_CPU = Panel(
    name="pipeline_own_cpu",
    title="Processor cores that Llmtower takes",
    question="What do the workers and ClickHouse cost in processor time, and when?",
    kind="timeseries",
    unit="",
    sql=f"""
SELECT toDateTime(intDiv(start, 1000), 'UTC') AS time, process,
    used / ((least(start + {_WIDE}, last) - greatest(start, first)) / 1000) AS cores
FROM ({_SHARES})
WHERE time >= toStartOfInterval({START}, toIntervalSecond(greatest($__interval_s, 60)))
ORDER BY time, process
""",  # noqa: S608 - literals
    columns=(TIME, Column("process", "Process", "text"), Column("cores", "Cores")),
    no_data=NO_COST,
    worse="up",
    calls=None,
    stacked=True,
)
OWN_COST = Panel(
    name="pipeline_own_cost",
    title="Llmtower itself",
    question="Which of its processes run, what do they take, and how many queries does ClickHouse refuse?",
    kind="table",
    unit="",
    sql=outer(
        ["time", "process", "instance", "cores", "memory", "failed"],
        select(
            {
                "process": "process",
                "instance": "instance",
                "time": "max(at)",
                "cores": "sum(cpu_s) / sum(seconds)",
                "memory": "max(memory_bytes)",
                "failed": "if(process_ = 'clickhouse', sum(failed_queries), NULL)",
            },
            "own_cost",
            _ROWS.within(),
            ("process", "instance"),
        ),
        f"\nORDER BY time < {END} - toIntervalSecond(120), process, instance\nLIMIT 50",
    ),
    columns=(
        Column("time", "Last heard", "time"),
        Column("process", "Process", "text"),
        Column("instance", "Instance", "text"),
        Column("cores", "Cores, mean"),
        Column("memory", "Memory, most", "bytes"),
        Column("failed", "Failed queries", "events"),
    ),
    no_data=NO_COST,
    worse="up",
    calls=None,
)
