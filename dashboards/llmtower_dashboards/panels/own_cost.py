"""What Llmtower itself takes, and how its engine is: processor time, memory, refused queries."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.panels.common import TIME
from llmtower_dashboards.panels.sql import END, Rows, outer, select

_ROWS: Final = Rows("own_cost", "at")
NO_COST: Final = "No process of Llmtower wrote in this range what it takes (every 30 s): no worker ran. Start one with `llmtower worker`."
_BY: Final = ("time", "process", "instance")
OWN_CPU = Panel(
    name="pipeline_own_cpu",
    title="Processor cores that Llmtower takes",
    question="What do the workers and ClickHouse cost in processor time, and when?",
    kind="timeseries",
    unit="",
    sql="SELECT time_ AS time, process_ AS process, sum(cores_) AS cores\nFROM (\n"
    + select(
        {"time": _ROWS.bucket(), "process": "process", "instance": "instance", "cores": "sum(cpu_s) / sum(seconds)"},
        "own_cost",
        _ROWS.within_buckets(),
        _BY,
    )
    + "\n)\nGROUP BY time, process\nORDER BY time, process",
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
