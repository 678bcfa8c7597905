"""How traffic behaves, from the sums of texts: refusals, lengths, tools, languages, and how people use an app."""

from collections.abc import Mapping
from typing import Final

from llmtower_dashboards.panel import Behind, Column, Panel, PanelUnit
from llmtower_dashboards.panels.changes import DETAIL, moved
from llmtower_dashboards.panels.common import APP, NO_CALLS, TIME, only
from llmtower_dashboards.panels.sql import DAY, END, OF_ROLLUPS, OF_SCORES, SPAN, Resolution, filters, outer, select

NO_TEXTS: Final = "No texts in this range: capture is off or hashed, or nothing was asked."

_SKETCHES: Final = (
    Resolution("drift_sketches", "minute", 60, f"{SPAN} <= {DAY}"),
    Resolution("drift_hours", "hour", 3_600, f"{SPAN} > {DAY}"),
)
_ANSWERED: Final = "nullIf(arraySum(mapValues(sumMap(lengths))), 0)"
"""Every text has a length, whether it came with its call or apart from it."""
_SUCCEEDED: Final = "nullIf(sum(calls) - sum(failed), 0)"
"""A model that calls a tool may well say nothing."""


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
    "tools",
    "Tool calls",
    "Do models call tools more or less often?",
    f"sum(tool_calls) / {_SUCCEEDED}",
    "ratio",
    "Calls that end in a tool call",
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
_VECTORLESS: Final = {
    "bad": "sum(bad_vectors)",
    "texts": "sum(texts) + sum(bad_vectors)",
    "share": "sum(bad_vectors) / nullIf(sum(texts) + sum(bad_vectors), 0)",
    "last": "max({time})",
}
_BY_EMBEDDER: Final = ("app", "direction", "embedder")
VECTORLESS = Panel(
    name="drift_vectorless",
    title="Texts without a usable vector",
    question="Which texts are in no drift figure, because their vector is of another length than declared, zero or not finite, or the model"
    " broke over them?",
    kind="table",
    unit="events",
    sql=outer(
        ["last", *_BY_EMBEDDER, "bad", "texts", "share"],
        "\nUNION ALL\n".join(
            select(
                {name: name for name in _BY_EMBEDDER} | {name: sql.replace("{time}", of.time) for name, sql in _VECTORLESS.items()},
                of.table,
                f"{of.within()} AND {filters(OF_SCORES)}",
                _BY_EMBEDDER,
                "\nHAVING bad_ > 0",
            )
            for of in _SKETCHES
        ),
        "\nORDER BY bad DESC, app, direction, embedder\nLIMIT 50",
    ).replace("last_ AS last", "last_ AS time"),
    columns=(
        Column("time", "Last", "time"),
        APP,
        Column("direction", "Direction", "text"),
        Column("embedder", "Embedder", "text"),
        Column("bad", "Without a vector", "events"),
        Column("texts", "Texts", "events"),
        Column("share", "Of its texts", "ratio"),
    ),
    no_data="Every text of this range has a vector (or there is none: see *Segments now*).",
    worse="up",
    variables=OF_SCORES,
    calls=None,
)
_INPUTS: Final = {"characters per input": "sum(characters) / nullIf(sum(texts), 0)"}
_OUTPUTS: Final = {
    "tokens per answer": f"sum(tokens) / {_ANSWERED}",
    "refusals, %": f"100 * sum(refusals) / {_ANSWERED}",
    "answers with a tool call, %": f"100 * sum(tool_calls) / {_SUCCEEDED}",
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
    calls=Behind(span="hours"),
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
    calls=only("sessions", span="hours"),
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
    + "\n)\n)\nORDER BY hour",
    columns=(
        Column("hour", "Hour (UTC)", "text"),
        Column("now", "Last 24 h", "ratio"),
        Column("usual", "Seven days before", "ratio"),
        Column("calls", "Calls", "calls", link="calls"),
    ),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
    calls=Behind(span="last_day"),
)
