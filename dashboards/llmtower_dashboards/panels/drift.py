"""Drift: how far each segment is from its reference, against its threshold; what moved with it, and what coincided."""

from typing import Final

from llmtower_dashboards.panel import Behind, Column, Dashboard, Panel, Row, Threshold
from llmtower_dashboards.panels.behaviour import HOURS_ASKED, LANGUAGES, LENGTH, MOVED, REFUSALS, SESSIONS, TOOLS, VECTORLESS
from llmtower_dashboards.panels.changes import BESIDE_DRIFT
from llmtower_dashboards.panels.common import APP, MODEL, PROMPT, TIME, VERSION
from llmtower_dashboards.panels.sql import END, OF_ROLLUPS, OF_SCORES, START, Rows, aliased, filters, outer, select

_ROWS: Final = Rows("drift", "at")
NO_VERDICTS: Final = "No segment was judged in this range: the worker judges every minute once it has texts (capture must not be off)."
SEGMENT: Final = (
    "project",
    "environment",
    "app",
    "request_model",
    "prompt_name",
    "prompt_version",
    "direction",
    "embedder",
    "metric",
    "window_minutes",
    "reference",
)
"""What one verdict is about."""
_KEY: Final = ", ".join(SEGMENT)
RECENT_S: Final = 3_600
"""Segments that were judged within so many seconds before the range's end are the present ones; a verdict comes every minute."""
_JUDGED: Final = ("status", "reason", "statistic", "threshold", "distance", "texts", "rank", "moved")
_LAST: Final = f"""SELECT {_KEY}, max(drift.at) AS time_, argMax(tuple({", ".join(f"drift.{name}" for name in _JUDGED)}), drift.at) AS last
FROM drift
WHERE at >= greatest({START}, {END} - toIntervalSecond({RECENT_S})) AND at < {END} AND {filters(OF_SCORES)}
GROUP BY {_KEY}"""  # noqa: S608 - literals
_OF_LAST: Final = {name: f"last.{number}" for number, name in enumerate(_JUDGED, 1)}
_RATIO: Final = f"if({_OF_LAST['threshold']} > 0, {_OF_LAST['statistic']} / {_OF_LAST['threshold']}, NULL)"

NOW = Panel(
    name="drift_now",
    title="Segments that drift",
    question="How many segments are away from their reference now, of how many that can be judged?",
    kind="stat",
    unit="",
    sql=f"SELECT countIf({_OF_LAST['status']} = 'drift') AS value, countIf({_OF_LAST['status']} != 'insufficient') AS sample,\n"
    f"    countIf({_OF_LAST['status']} = 'insufficient') AS insufficient\nFROM (\n{_LAST}\n)\nHAVING count() > 0",
    columns=(Column("value", "Drifting"), Column("sample", "Judged"), Column("insufficient", "Too little data")),
    no_data=NO_VERDICTS,
    thresholds=(Threshold(1, "bad"),),
    worse="up",
    variables=OF_SCORES,
    calls=Behind(span="last_hour"),
    trend="drift_ratio",
    width=6,
    height=4,
)


def _by_app_and_metric(value: str, extra: str = "") -> str:
    """The worst of an app's segments over time, by what is watched."""
    inner = select(
        {"time": _ROWS.bucket(), "app": "app", "metric": "concat(metric, ' ', direction)", "value": value},
        "drift",
        f"{_ROWS.within_buckets()} AND status != 'insufficient'{extra} AND {filters(OF_SCORES)}",
        ["time", "app", "metric"],
    )
    return outer(["time", "app", "metric", "value"], inner, "\nORDER BY time, app, metric")


RATIO = Panel(
    name="drift_ratio",
    title="Drift: statistic against threshold",
    question="Which app moves away from its reference, in what, and when did it pass its threshold (1)?",
    kind="timeseries",
    unit="",
    sql=_by_app_and_metric("max(statistic / threshold)", " AND threshold > 0").replace("value_ AS value", "value_ AS ratio"),
    columns=(TIME, APP, Column("metric", "Of", "text"), Column("ratio", "Statistic / threshold", link="calls")),
    no_data=NO_VERDICTS,
    thresholds=(Threshold(1, "bad"),),
    worse="up",
    variables=OF_SCORES,
    width=18,
)
MASS = Panel(
    name="drift_mass",
    title="Moved mass",
    question="Which share of texts or calls lies elsewhere than usual (of meaning: at least; of behaviour: less what chance shows)?",
    kind="timeseries",
    unit="ratio",
    sql=_by_app_and_metric("max(drift.moved)").replace("value_ AS value", "value_ AS moved"),
    columns=(TIME, APP, Column("metric", "Of", "text"), Column("moved", "Moved mass", "ratio", link="calls")),
    no_data=NO_VERDICTS,
    worse="up",
    variables=OF_SCORES,
)
_WHERE_KNOWN: Final = {
    name: sql if name == "texts" else f"if({_OF_LAST['status']} = 'insufficient', NULL, {sql})" for name, sql in _OF_LAST.items()
}
"""What is not judged for want of data is unknown, and not 0."""
SEGMENTS = Panel(
    name="drift_segments",
    title="Segments now",
    question="How does every segment stand against its own threshold?",
    kind="table",
    unit="",
    sql=f"""
SELECT time_ AS time, app, request_model AS model, prompt_name AS prompt, prompt_version AS version, direction, metric,
    window_minutes * 60 AS window, reference, {aliased({name: _OF_LAST[name] for name in ("status", "reason")})}, {_RATIO} AS ratio,
    {aliased({name: _WHERE_KNOWN[name] for name in ("statistic", "threshold", "moved", "distance", "texts", "rank")})}
FROM (
{_LAST}
)
ORDER BY status = 'drift' DESC, ratio DESC NULLS LAST, app, model, prompt, version, direction, metric, window, reference
LIMIT 100
""",  # noqa: S608 - literals
    columns=(
        TIME,
        APP,
        MODEL,
        PROMPT,
        VERSION,
        Column("direction", "Direction", "text"),
        Column("metric", "Of", "text"),
        Column("window", "Window", "seconds"),
        Column("reference", "Reference", "text"),
        Column("status", "Status", "text"),
        Column("reason", "Reason", "text"),
        Column("ratio", "Statistic / threshold"),
        Column("statistic", "Statistic"),
        Column("threshold", "Threshold"),
        Column("moved", "Moved mass", "ratio"),
        Column("distance", "Distance"),
        Column("texts", "Texts", "events"),
        Column("rank", "Nearer before", "ratio"),
    ),
    no_data=NO_VERDICTS,
    worse="up",
    variables=OF_SCORES,
    calls=Behind(span="last_hour"),
    width=24,
    height=10,
)
ALARMS = Panel(
    name="drift_alarms",
    title="When it began, and what coincided",
    question="Since when is a segment away from its reference, and what changed in that app before (in this range)?",
    kind="table",
    unit="",
    sql=f"""
SELECT time, app, metric, last, minutes, peak, coincided FROM (
SELECT began AS time, alarms.app AS app, alarms.metric AS metric, until AS last, minutes, peak,
    arrayMap(one -> one.2, arrayReverseSort(arrayFilter(one -> one.1 <= began, changed))) AS before,
    arrayStringConcat(arraySlice(before, 1, 3), ', ') AS coincided
FROM (
    SELECT app, concat(metric, ' ', direction) AS metric, min(drift.at) AS began, max(drift.at) AS until, uniqExact(drift.at) AS minutes,
        max(statistic / threshold) AS peak
    FROM drift
    WHERE {_ROWS.within()} AND status = 'drift' AND threshold > 0 AND {filters(OF_SCORES)}
    GROUP BY app, drift.metric, direction
) AS alarms
LEFT JOIN (
    SELECT app_, groupArray((time_, concat(kind_, ' ', what_))) AS changed
    FROM ({BESIDE_DRIFT}
    )
    GROUP BY app_
) AS changes ON alarms.app = changes.app_
)
ORDER BY time, app, metric
LIMIT 50
""",  # noqa: S608 - literals
    columns=(
        TIME,
        APP,
        Column("metric", "Of", "text"),
        Column("last", "Last seen", "time"),
        Column("minutes", "Minutes of alarm"),
        Column("peak", "Worst statistic / threshold"),
        Column("coincided", "Coincided with", "text"),
    ),
    no_data="No segment passed its threshold in this range.",
    worse="up",
    variables=OF_ROLLUPS,
    width=24,
)
_EXPLAINED: Final = Rows("drift_explanations", "at")
_MIX: Final = """arrayStringConcat(arrayMap(
        one -> concat(one.what, ' ', one.value, ' ', toString(round(100 * one.before)), ' → ', toString(round(100 * one.now)), ' %'), shares
    ), ', ')"""
_LENGTHS: Final = (
    "if(characters_before = 0, '', concat('characters ', toString(round(characters_before)), ' → ', toString(round(characters_now))))"
)
_LIVE: Final = "if(empty(deploys), '', concat('deployed ', arrayStringConcat(deploys, ', ')))"
WHY = Panel(
    name="drift_why",
    title="Why",
    question="Which calls lie farthest out, which share of the texts does, and what else is different from the same minutes a day before?",
    kind="table",
    unit="",
    sql=f"""
SELECT at AS time, example AS call, app, request_model AS model, prompt_version AS version, direction, metric, moved,
    arrayStringConcat(arrayFilter(one -> one != '', [{_LENGTHS}, {_MIX}, {_LIVE}]), '; ') AS why
FROM drift_explanations LEFT ARRAY JOIN examples AS example
WHERE {_EXPLAINED.within()} AND {filters(OF_SCORES)}
ORDER BY time DESC, app, model, version, direction, call
LIMIT 50
""",  # noqa: S608 - literals
    columns=(
        TIME,
        Column("call", "Call", "text", link="call"),
        APP,
        MODEL,
        VERSION,
        Column("direction", "Direction", "text"),
        Column("metric", "Of", "text"),
        Column("moved", "Lie elsewhere", "ratio"),
        Column("why", "What is different", "text"),
    ),
    no_data="No alarm began in this range. `llmtower drift explain` explains any two slices, also by changed terms.",
    variables=OF_SCORES,
    width=24,
)
UNJUDGED = Panel(
    name="drift_unjudged",
    title="What cannot be judged",
    question="Which segments have no verdict, and why?",
    kind="table",
    unit="",
    sql=f"SELECT {_OF_LAST['reason']} AS reason, app, count() AS segments, max({_OF_LAST['texts']}) AS most_texts\nFROM (\n{_LAST}\n)\n"
    f"WHERE {_OF_LAST['status']} = 'insufficient'\nGROUP BY reason, app\nORDER BY segments DESC, reason, app\nLIMIT 50",
    columns=(Column("reason", "Reason", "text"), APP, Column("segments", "Segments"), Column("most_texts", "Most texts", "events")),
    no_data="Every segment of the last hour could be judged (or none is there: see the number judged above).",
    variables=OF_SCORES,
    calls=None,
)

DRIFT = Dashboard(
    name="drift",
    title="Drift",
    question="Do questions or answers differ from what was usual, beyond chance, and what coincided?",
    rows=(
        Row("Now", (NOW, RATIO)),
        Row("Alarms", (ALARMS, WHY, SEGMENTS)),
        Row("What moved", (MASS, MOVED, UNJUDGED, VECTORLESS, LENGTH, REFUSALS, TOOLS)),
        Row("How people use it", (LANGUAGES, SESSIONS, HOURS_ASKED)),
    ),
)
