"""Pipeline: does everything arrive, how late, what was refused, what do the books and the audits say, how much room does it take?"""

from typing import Final

from llmtower_dashboards.completeness import BEFORE_S, EVENTS, RUNS_SQL
from llmtower_dashboards.panel import Column, Dashboard, Panel, PanelUnit, Row, Threshold
from llmtower_dashboards.panels.common import APP, TIME
from llmtower_dashboards.panels.letters import BY_REASON, LETTERS, OVER_TIME
from llmtower_dashboards.panels.own_cost import OWN_COST, OWN_CPU
from llmtower_dashboards.panels.sql import END, OF_LETTERS, OF_SCOPE, START, Rows, aliased, filters, select

_OF_PROJECT: Final = ("project",)
_MARKS: Final = Rows("watermarks", "at")
_LEDGER: Final = Rows("ledger", "minute")
NO_MARKS: Final = "Nobody wrote watermarks in this range: no worker ran. Start one with `llmtower worker` or `llmtower up`."
_BEHIND: Final = "greatest(0, dateDiff('millisecond', watermarks.watermark, watermarks.at) / 1000)"
_LAST: Final = f"""SELECT argMax(tuple({_BEHIND}, lag_records, silent_producers, live_producers), watermarks.at) AS last
FROM watermarks
WHERE {_MARKS.within()} AND {filters(_OF_PROJECT)}
GROUP BY project"""  # noqa: S608 - literals


def _mark(name: str, title: str, question: str, value: str, unit: PanelUnit, limits: tuple[float, float]) -> Panel:
    return Panel(
        name=f"pipeline_{name}",
        title=title,
        question=question,
        kind="stat",
        unit=unit,
        sql=f"SELECT {value} AS value\nFROM (\n{_LAST}\n)\nHAVING count() > 0",
        columns=(Column("value", title, unit),),
        no_data=NO_MARKS,
        thresholds=(Threshold(limits[0], "warn"), Threshold(limits[1], "bad")),
        worse="up",
        variables=_OF_PROJECT,
        calls=None,
        trend=f"pipeline_{name}_series",
        width=6,
        height=4,
    )


FRESHNESS = _mark(
    "freshness", "Behind", "How old is the newest moment up to which everything is stored?", "max(last.1)", "seconds", (10, 60)
)
LAG = _mark("lag", "Waiting in Kafka", "How many records have not been processed?", "max(last.2)", "records", (10_000, 1_000_000))
SILENT = _mark("silent", "Silent producers", "How many producers stopped without saying so?", "sum(last.3)", "", (1, 10))


def _mark_series(name: str, title: str, question: str, value: str, unit: PanelUnit) -> Panel:
    values = {"time": _MARKS.bucket(), "project": "project", "value": value}
    inner = select(values, "watermarks", f"{_MARKS.within_buckets()} AND {filters(_OF_PROJECT)}", ["time", "project"])
    return Panel(
        name=f"pipeline_{name}_series",
        title=title,
        question=question,
        kind="timeseries",
        unit=unit,
        sql=f"SELECT time_ AS time, project_ AS project, value_ AS value\nFROM (\n{inner}\n)\nORDER BY time, project",
        columns=(TIME, Column("project", "Project", "text"), Column("value", title, unit)),
        no_data=NO_MARKS,
        worse="up",
        variables=_OF_PROJECT,
        calls=None,
        width=8,
    )


FRESHNESS_SERIES = _mark_series("freshness", "Behind, at worst", "When did figures arrive late?", f"max({_BEHIND})", "seconds")
LAG_SERIES = _mark_series("lag", "Waiting in Kafka, at worst", "When did the worker not keep up?", "max(lag_records)", "records")
SILENT_SERIES = _mark_series("silent", "Silent producers, at worst", "When did producers fall silent?", "max(silent_producers)", "")

_STORED: Final = {
    "time": _LEDGER.bucket(),
    "processor": "processor",
    "stored": "sumIf(count, duplicate = 0) / greatest($__interval_s, 60)",
    "doubles": "sumIf(count, duplicate != 0)",
}
STORED = Panel(
    name="pipeline_stored",
    title="Stored events",
    question="How much does each processor store, and how many repeated events did it drop?",
    kind="timeseries",
    unit="records/s",
    sql="SELECT time_ AS time, processor_ AS processor, stored_ AS stored, doubles_ AS doubles\nFROM (\n"
    + select(_STORED, "ledger", f"{_LEDGER.within_buckets()} AND {filters(OF_LETTERS)}", ["time", "processor"])
    + "\n)\nORDER BY time, processor",
    columns=(
        TIME,
        Column("processor", "Processor", "text"),
        Column("stored", "Events a second", "records/s"),
        Column("doubles", "Dropped repeats", "events"),
    ),
    no_data="Nothing was stored in this range.",
    variables=OF_LETTERS,
    calls=None,
)
COMPLETE_BY_APP = Panel(
    name="pipeline_complete",
    title="Completeness by app",
    question="Of what each app emitted in this range, how much has arrived, and where is the rest?",
    kind="table",
    unit="events",
    sql=f"""
WITH{RUNS_SQL}
SELECT of_app AS app, {aliased(EVENTS)}, count() AS producers,
    if(emitted <= 0, NULL, greatest(0, 1 - (dropped + spooled + waiting) / emitted)) AS share
FROM runs LEFT JOIN books USING (producer)
GROUP BY app
ORDER BY share NULLS LAST, app
LIMIT 50
""",  # noqa: S608 - literals
    columns=(
        APP,
        Column("emitted", "Emitted", "events"),
        Column("dropped", "Dropped", "events"),
        Column("spooled", "On disk there", "events"),
        Column("waiting", "In Kafka", "events"),
        Column("producers", "Producers"),
        Column("share", "Arrived", "ratio"),
    ),
    no_data="No producer keeps books here (OpenTelemetry exporters and replays do not): completeness cannot be told.",
    worse="down",
    variables=OF_SCOPE,
    calls=None,
)
_RUN: Final = ("app", "emitted", "delivered", "spooled", "dropped", "oldest_unsent_at", "closing", "sdk")
PRODUCERS = Panel(
    name="pipeline_producers",
    title="Producers",
    question="Which processes report, and which fell silent with events unsent?",
    kind="table",
    unit="events",
    sql=f"""
SELECT seen AS time, last.1 AS app, producer, if(last.7, 'closed', if(silent_s > {BEFORE_S}, 'silent', 'live')) AS state,
    last.2 AS emitted, last.3 AS delivered, last.4 AS spooled, last.5 AS dropped,
    toUInt64(greatest(0, toInt64(last.2) - last.3 - last.4 - last.5)) AS held, last.8 AS sdk
FROM (
    SELECT producer, max(heartbeats.at) AS seen, dateDiff('second', seen, least(toDateTime64({END}, 6), now64(6))) AS silent_s,
        argMax(tuple({", ".join(f"heartbeats.{name}" for name in _RUN)}), heartbeats.at) AS last
    FROM heartbeats
    WHERE at >= {START} AND at < {END} AND {filters(OF_SCOPE)}
    GROUP BY producer
)
ORDER BY state = 'silent' DESC, state = 'live' DESC, time DESC, producer
LIMIT 100
""",  # noqa: S608 - literals
    columns=(
        Column("time", "Last heard", "time"),
        APP,
        Column("producer", "Producer", "text"),
        Column("state", "State", "text"),
        Column("emitted", "Emitted", "events"),
        Column("delivered", "Delivered", "events"),
        Column("spooled", "On its disk", "events"),
        Column("dropped", "Dropped", "events"),
        Column("held", "Still held", "events"),
        Column("sdk", "SDK", "text"),
    ),
    no_data="No producer reported in this range: applications without the SDK (OpenTelemetry exporters) keep no books.",
    variables=OF_SCOPE,
    calls=None,
)
AUDITS = Panel(
    name="pipeline_audits",
    title="Audits",
    question="What did the last audit of each kind find wrong, and was it mended?",
    kind="table",
    unit="events",
    sql=f"""
SELECT time_ AS time, check_ AS check, found_ AS found, repaired_ AS repaired, hours_ AS hours
FROM (
    SELECT max(audits.at) AS time_, check AS check_, sum(audits.found) AS found_, sum(audits.repaired) AS repaired_,
        uniqExact(audits.hour) AS hours_
    FROM audits
    WHERE at >= {START} AND at < {END} AND check != 'audited_to'
    GROUP BY check
)
ORDER BY found > repaired DESC, found DESC, check
LIMIT 50
""",  # noqa: S608 - literals
    columns=(
        TIME,
        Column("check", "Check", "text"),
        Column("found", "Wrong", "events"),
        Column("repaired", "Mended", "events"),
        Column("hours", "Hours looked at"),
    ),
    no_data="No audit ran in this range: the worker audits closed hours by timer; run `llmtower audit` for the rest.",
    worse="up",
    calls=None,
)
ROOM = Panel(
    name="pipeline_room",
    title="Room on disk, and parts",
    question="How much does each table take now, and do merges keep up (inserts are slowed down from 1,000 parts in a month of a table on)?"
    " Of the present, whatever range is chosen.",
    kind="bars",
    unit="bytes",
    sql="""
SELECT name AS table, total_bytes AS bytes, total_rows AS rows, total_bytes / nullIf(total_rows, 0) AS row_bytes,
    active_parts AS parts
FROM system.tables
WHERE database = currentDatabase() AND total_rows > 0
ORDER BY bytes DESC, table
LIMIT 50
""",
    columns=(
        Column("table", "Table", "text"),
        Column("bytes", "Bytes", "bytes"),
        Column("rows", "Rows", "rows"),
        Column("row_bytes", "A row", "bytes"),
        Column("parts", "Parts"),
    ),
    no_data="Nothing is stored yet.",
    calls=None,
)

PIPELINE = Dashboard(
    name="pipeline",
    title="Pipeline",
    question="Does everything arrive, how late is it, what was refused, and what does it take?",
    rows=(
        Row("Now", (FRESHNESS, LAG, SILENT, LETTERS)),
        Row("Over time", (FRESHNESS_SERIES, LAG_SERIES, SILENT_SERIES, STORED, OVER_TIME)),
        Row("Books", (COMPLETE_BY_APP, BY_REASON, PRODUCERS, AUDITS)),
        Row("What it takes", (OWN_CPU, OWN_COST, ROOM)),
    ),
    variables=OF_SCOPE,
)
