"""Drift: how far each segment is from its reference, against its threshold; what moved with it, and what coincided."""

from collections.abc import Mapping
from typing import Final

from llmtower_dashboards.panel import Column, Dashboard, Panel, PanelUnit, Row, Threshold
from llmtower_dashboards.panels.changes import CHANGES, DETAIL, moved
from llmtower_dashboards.panels.common import APP, MODEL, NO_CALLS, PROMPT, TIME, VERSION
from llmtower_dashboards.panels.sql import DAY, END, OF_ROLLUPS, OF_SCORES, SPAN, START, Resolution, Rows, aliased, filters, outer, select

_ROWS: Final = Rows("drift", "at")
NO_VERDICTS: Final = "No segment was judged in this range: the worker judges every minute once it has texts (capture must not be off)."
NO_TEXTS: Final = "No texts in this range: capture is off or hashed, or nothing was asked."
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
    title="Statistic against threshold",
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
SEGMENTS = Panel(
    name="drift_segments",
    title="Segments now",
    question="How does every segment stand against its own threshold?",
    kind="table",
    unit="",
    sql=f"""
SELECT time_ AS time, app, request_model AS model, prompt_name AS prompt, prompt_version AS version, direction, metric,
    window_minutes * 60 AS window, reference, {aliased({name: _OF_LAST[name] for name in ("status", "reason")})}, {_RATIO} AS ratio,
    {aliased({name: _OF_LAST[name] for name in ("statistic", "threshold", "moved", "distance", "texts", "rank")})}
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
    FROM ({CHANGES}
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
    calls=False,
)

_SKETCHES: Final = (
    Resolution("drift_sketches", "minute", 60, f"{SPAN} <= {DAY}"),
    Resolution("drift_hours", "hour", 3_600, f"{SPAN} > {DAY}"),
)
_ANSWERED: Final = "nullIf(sum(calls) - sum(without_text), 0)"


def _texts(values: dict[str, str], by: dict[str, str], where: str) -> str:
    """Over time, from the sums of texts per minute or hour."""
    queries = [
        select(
            {"time": of.bucket(), **by, **values}, of.table, f"{of.within(of.bucket_s)} AND {where} AND {filters(OF_SCORES)}", ["time", *by]
        )
        for of in _SKETCHES
    ]
    names = ["time", *by]
    return outer([*names, *values], "\nUNION ALL\n".join(queries), f"\nORDER BY {', '.join(names)}")


def _behaviour(name: str, title: str, question: str, value: str, unit: PanelUnit, column: str) -> Panel:
    return Panel(
        name=f"drift_{name}",
        title=title,
        question=question,
        kind="timeseries",
        unit=unit,
        sql=_texts({"value": value}, {"app": "app"}, "direction = 'output'"),
        columns=(TIME, APP, Column("value", column, unit, link="calls")),
        no_data=NO_TEXTS,
        variables=OF_SCORES,
    )


REFUSALS = _behaviour(
    "refusals",
    "Refusals",
    "Do answers refuse more often (by how they begin)?",
    f"sum(refusals) / {_ANSWERED}",
    "ratio",
    "Answers that refuse",
)
LENGTH = _behaviour(
    "length", "Length of answers", "Did answers become shorter or longer?", f"sum(tokens) / {_ANSWERED}", "tokens", "Tokens per answer"
)
TOOLS = _behaviour(
    "tools", "Tool calls", "Do models call tools more or less often?", f"sum(tool_calls) / {_ANSWERED}", "ratio", "Answers that call a tool"
)
LANGUAGES = Panel(
    name="drift_languages",
    title="Languages asked in",
    question="Did the mix of languages change?",
    kind="timeseries",
    unit="calls/min",
    sql=_texts({"texts": "sum(texts)"}, {"language": "language"}, "direction = 'input' AND texts > 0").replace(
        "texts_ AS texts", "texts_ / (greatest($__interval_s, 60) / 60) AS texts"
    ),
    columns=(TIME, Column("language", "Language", "text"), Column("texts", "Texts", "calls/min", link="calls")),
    no_data=NO_TEXTS,
    variables=OF_SCORES,
    stacked=True,
)
_INPUTS: Final = {"characters per input": "sum(characters) / nullIf(sum(texts), 0)"}
_OUTPUTS: Final = {
    "tokens per answer": f"sum(tokens) / {_ANSWERED}",
    "refusals, %": f"100 * sum(refusals) / {_ANSWERED}",
    "answers with a tool call, %": f"100 * sum(tool_calls) / {_ANSWERED}",
    "ms per token": "sum(timed_us) / 1e3 / nullIf(sum(timed_tokens), 0)",
}


def _moved(figures: Mapping[str, str], direction: str) -> str:
    query = moved(figures, "drift_hours", f"direction = '{direction}' AND {filters(OF_SCORES)}")
    return f"SELECT * FROM ({query}\n)"  # noqa: S608 - literals


_BOTH_MOVED: Final = f"{_moved(_INPUTS, 'input')}\nUNION ALL\n{_moved(_OUTPUTS, 'output')}"
MOVED = Panel(
    name="drift_moved",
    title="What moved",
    question="Which behaviour left what the same hours of trailing days showed?",
    kind="table",
    unit="",
    sql=f"SELECT app_ AS app, what_ AS what, now, middle AS usual, {DETAIL} AS detail\nFROM (\n{_BOTH_MOVED}\n)\n"
    "ORDER BY app, what\nLIMIT 50",
    columns=(APP, Column("what", "What", "text"), Column("now", "Now"), Column("usual", "Usually"), Column("detail", "Detail", "text")),
    no_data="Every behaviour lies where the same hours of (at least three) trailing days had it, or there are not so many days yet.",
    variables=OF_SCORES,
)

_BY_THE_HOUR: Final = Resolution("drift_hours", "hour", 3_600, "1 = 1")
SESSIONS = Panel(
    name="drift_sessions",
    title="Calls per session",
    question="Do people ask more or less often within a session (counted by the hour)?",
    kind="timeseries",
    unit="",
    sql=outer(
        ["time", "app", "value", "sample"],
        select(
            {
                "time": _BY_THE_HOUR.bucket(),
                "app": "app",
                "value": "sum(session_calls) / uniqCombinedArrayMerge(12)(sessions)",
                "sample": "sum(session_calls)",
            },
            "drift_hours",
            f"{_BY_THE_HOUR.within(_BY_THE_HOUR.bucket_s)} AND direction = 'input' AND {filters(OF_SCORES)}",
            ["time", "app"],
            "\nHAVING sum(session_calls) > 0",
        ),
        "\nORDER BY time, app",
    ),
    columns=(TIME, APP, Column("value", "Calls per session"), Column("sample", "Calls", "calls", link="calls")),
    no_data="No call in this range names its session: set it with `llmtower.context(session_id=…)`.",
    variables=OF_SCORES,
)
_DAYS_BEFORE: Final = 7
_AGE: Final = f"intDiv(toUnixTimestamp(toStartOfHour({END})) - toUnixTimestamp(hour) - 1, {DAY})"
HOURS_ASKED = Panel(
    name="drift_hours",
    title="When people ask",
    question="At which hours (UTC) do people ask, in the last 24 whole hours and in the seven days before?",
    kind="table",
    unit="ratio",
    sql="SELECT hour_ AS hour, if(all_now_ > 0, now_ / all_now_, NULL) AS now, if(all_before_ > 0, before_ / all_before_, NULL) AS usual,\n"
    "    now_ AS calls\nFROM (\nSELECT hour_, now_, before_, sum(now_) OVER () AS all_now_, sum(before_) OVER () AS all_before_\nFROM (\n"
    + select(
        {
            "hour": "formatDateTime(hour, '%H:00', 'UTC')",
            "now": f"sumIf(calls, {_AGE} = 0)",
            "before": f"sumIf(calls, {_AGE} > 0)",
        },
        "rollup_1h",
        f"hour >= toStartOfHour({END}) - toIntervalDay({_DAYS_BEFORE + 1}) AND hour < toStartOfHour({END}) AND {filters(OF_ROLLUPS)}",
        ["hour"],
    )
    + "\n)\n)\nORDER BY hour\nLIMIT 24",
    columns=(
        Column("hour", "Hour (UTC)", "text"),
        Column("now", "Last 24 h", "ratio"),
        Column("usual", "Seven days before", "ratio"),
        Column("calls", "Calls", "calls", link="calls"),
    ),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
)

DRIFT = Dashboard(
    name="drift",
    title="Drift",
    question="Do questions or answers differ from what was usual, beyond chance, and what coincided?",
    rows=(
        Row("Now", (NOW, RATIO)),
        Row("Alarms", (ALARMS, SEGMENTS)),
        Row("What moved", (MASS, MOVED, UNJUDGED, LENGTH, REFUSALS, TOOLS)),
        Row("How people use it", (LANGUAGES, SESSIONS, HOURS_ASKED)),
    ),
)
