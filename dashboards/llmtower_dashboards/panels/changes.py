"""What changed: deploys, prompt versions and models that were not seen before, figures that left what trailing days showed."""

from collections.abc import Mapping, Sequence
from typing import Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.panels.common import APP, TIME
from llmtower_dashboards.panels.sql import END, OF_ROLLUPS, OF_SCOPE, START, Resolution, before, filters, metric, resolutions

KNOWN_DAYS: Final = 30
"""What was seen within so many days before the range is not new."""
ENOUGH_CALLS: Final = 50
ENOUGH_RANGES: Final = 3
"""A figure is compared only where the range and so many ranges before it have enough calls."""
MARGIN: Final = 0.25
"""How far beyond everything the trailing ranges showed a figure must lie, relative to their middle."""

_BEFORE: Final = f"hour >= toStartOfHour({START}) - toIntervalDay({KNOWN_DAYS}) AND hour < toStartOfHour({START})"

_DEPLOYS: Final = f"""
SELECT toDateTime(at, 'UTC') AS time_, 'deploy' AS kind_, app AS app_, concat('version ', version) AS what_, note AS detail_
FROM deploys
WHERE at >= {START} AND at < {END} AND {filters(OF_SCOPE)}"""  # noqa: S608 - literals


def _seen(kind: str, columns: str, what: str) -> str:
    """First sights of a combination of columns in the range; of an app that is new itself nothing else is new."""

    def build(of: Resolution) -> str:
        return f"""
SELECT project, app AS app_, {columns}, min({of.time}) AS time_
FROM {of.table}
WHERE {of.when} AND {of.time} >= toStartOfHour({START}) AND {of.time} < {END} AND {filters(OF_ROLLUPS)}
GROUP BY project, app, {columns}
HAVING time_ >= {of.aligned_start()} AND (project, app, {columns}) NOT IN (
    SELECT DISTINCT project, app, {columns} FROM rollup_1h WHERE {_BEFORE})"""  # noqa: S608 - literals

    return f"""
SELECT time_, '{kind}' AS kind_, app_, {what} AS what_, '' AS detail_
FROM ({resolutions(build)}
)
WHERE {what} != '' AND (project, app_) IN (SELECT DISTINCT project, app FROM rollup_1h WHERE {_BEFORE})"""  # noqa: S608 - literals


_PROMPT: Final = "if(prompt_name = '', '', concat(prompt_name, ' ', prompt_version))"
_PROMPTS: Final = _seen("prompt", "prompt_name, prompt_version", _PROMPT)
_MODELS: Final = _seen("model", "request_model", "request_model")
_USED: Final = f"""SELECT DISTINCT app AS app_, prompt_name FROM rollup_1h
    WHERE hour >= toStartOfHour({START}) - toIntervalDay({KNOWN_DAYS}) AND hour < {END}"""  # noqa: S608 - literals
"""Which app uses which prompt."""
_MOVES: Final = f"""
SELECT toDateTime(moves.at, 'UTC') AS time_, moves.action AS kind_, used.app_ AS app_,
    concat(moves.name, ' ', moves.label, ' ', if(moves.replaced = '', '', concat(moves.replaced, ' → ')), moves.version) AS what_,
    concat(if(moves.by = '', '', concat('by ', moves.by)), if(moves.note = '', '', concat(': ', moves.note))) AS detail_
FROM registry_events AS moves
LEFT JOIN ({_USED} AND {filters(OF_SCOPE)}) AS used ON used.prompt_name = moves.name
WHERE moves.kind IN ('label', 'model') AND moves.at >= {START} AND moves.at < {END}
    AND (used.app_ != '' OR moves.name NOT IN (SELECT prompt_name FROM ({_USED})))"""  # noqa: S608 - literals
"""Labels that were moved, for each app that uses the prompt; of a prompt that nobody uses yet for none in particular."""
_OF_SNAPSHOTS: Final = ("project", "environment", "app", "model", "provider")
_SNAPSHOTS: Final = f"""
SELECT min(hour) AS time_, 'snapshot' AS kind_, app AS app_, concat(request_model, ' → ', response_model) AS what_, '' AS detail_
FROM rollup_models_1h
WHERE hour >= toStartOfHour({START}) - toIntervalDay({KNOWN_DAYS}) AND hour < {END} AND response_model != '' AND {filters(_OF_SNAPSHOTS)}
GROUP BY project, app, request_model, response_model
HAVING time_ >= toStartOfHour({START}) AND (project, app, request_model) IN (
    SELECT DISTINCT project, app, request_model FROM rollup_models_1h WHERE {_BEFORE} AND response_model != '')"""  # noqa: S608 - literals
"""Another snapshot answers for a model that an app used before; to the hour."""
CHANGES: Final = f"{_DEPLOYS}\nUNION ALL{_PROMPTS}\nUNION ALL{_MODELS}\nUNION ALL{_MOVES}"

BESIDE_DRIFT: Final = f"{CHANGES}\nUNION ALL{_SNAPSHOTS}"

_FIGURES: Final = {
    "p95 duration, s": metric("duration_p95"),
    "error rate, %": f"100 * {metric('error_rate')}",
    "cost per 1,000 calls, USD": f"1e3 * {metric('cost_per_call')}",
    "calls per hour": "sum(calls) / uniqExact(hour)",
    "output tokens per call": "sum(output_tokens + reasoning_tokens) / nullIf(sum(calls), 0)",
}


def moved(figures: Mapping[str, str], table: str, where: str) -> str:
    """Figures per app of this range against each of the ranges before, over the same whole hours: those that left what was usual."""
    number, within = before("hour", f"toStartOfHour({START})")
    values = ", ".join(f"({index}, toNullable(toFloat64({sql})))" for index, sql in enumerate(figures.values()))
    names = ", ".join(f"'{name}'" for name in figures)
    return f"""
SELECT app AS app_, [{names}][figure.1 + 1] AS what_,
    anyIf(value, back = 0) AS now, arraySort(groupArrayIf(value, back > 0)) AS past, past[intDiv(length(past) + 1, 2)] AS middle
FROM (
    SELECT app, {number} AS back, arrayJoin([{values}]) AS figure, assumeNotNull(figure.2) AS value
    FROM {table}
    WHERE {within} AND {where}
    GROUP BY app, back
    HAVING sum(calls) >= {ENOUGH_CALLS}
)
WHERE isNotNull(figure.2)
GROUP BY app, figure.1
HAVING countIf(back = 0) > 0 AND length(past) >= {ENOUGH_RANGES}
    AND (now > past[-1] + {MARGIN} * middle OR now < past[1] - {MARGIN} * middle)"""  # noqa: S608 - literals


_ROUND: Final = "toString(round({0}, 2 - toInt8(floor(log10(greatest(abs({0}), 1e-9))))))"
DETAIL: Final = (
    f"concat({_ROUND.format('now')}, ' (', {_ROUND.format('past[1]')}, ' to ', {_ROUND.format('past[-1]')}, ' in the same hours before)')"
)

CHANGED = Panel(
    name="overview_changed",
    title="What changed",
    question="What was deployed or seen for the first time, and which figures left what the same hours of trailing days showed?",
    kind="table",
    unit="",
    sql=f"""
SELECT time, kind, app, what, detail, coincided FROM
(
    SELECT time_ AS time, kind_ AS kind, app_ AS app, what_ AS what, detail_ AS detail, '' AS coincided FROM ({CHANGES}
    )
    UNION ALL
    SELECT {START} AS time, 'figure' AS kind, app_ AS app, what_ AS what, {DETAIL} AS detail, ifNull(reasons, '') AS coincided
    FROM ({moved(_FIGURES, "rollup_1h", filters(OF_ROLLUPS))}
    ) AS moved
    LEFT JOIN
    (
        SELECT app_ AS of_app, arrayStringConcat(arraySlice(arraySort(groupArray(concat(kind_, ' ', what_))), 1, 3), ', ') AS reasons
        FROM ({CHANGES}
        )
        GROUP BY of_app
    ) AS changes ON moved.app_ = changes.of_app
)
ORDER BY time DESC, kind, app, what
LIMIT 50
""",  # noqa: S608 - literals
    columns=(
        TIME,
        Column("kind", "Kind", "text"),
        APP,
        Column("what", "What", "text"),
        Column("detail", "Detail", "text"),
        Column("coincided", "Coincided with", "text"),
    ),
    no_data="Nothing was deployed, nothing is new, and every figure lies where the same hours of (at least three) trailing days had it.",
    variables=OF_ROLLUPS,
    width=24,
)

_MARK: Final = (
    Column("time", "Time", "time"),
    Column("title", "Title", "text"),
    Column("text", "Text", "text"),
    Column("app", "App", "text"),
)


def _marks(name: str, title: str, question: str, changes: str, words: str, variables: Sequence[str] = OF_ROLLUPS) -> Panel:
    sql = f"""
SELECT time_ AS time, concat({words}, ' ', what_) AS title, concat(app_, if(detail_ = '', '', concat(': ', detail_))) AS text, app_ AS app
FROM ({changes}
)
ORDER BY time, title
LIMIT 100
"""  # noqa: S608 - literals
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="table",
        unit="",
        sql=sql,
        columns=_MARK,
        no_data="Nothing of that kind in this range.",
        variables=tuple(variables),
    )


DEPLOY_MARKS = _marks("annotation_deploys", "Deploys", "When was what deployed?", _DEPLOYS, "'deploy'")
PROMPT_MARKS = _marks("annotation_prompts", "New prompt versions", "When was a prompt version first used?", _PROMPTS, "'prompt'")
MODEL_MARKS = _marks("annotation_models", "New models", "When was a model first used by an app?", _MODELS, "'model'")
MOVE_MARKS = _marks("annotation_moves", "Labels moved", "When was which label of a prompt moved, and by whom?", _MOVES, "kind_")
SNAPSHOT_MARKS = _marks(
    "annotation_snapshots",
    "Other snapshots",
    "When did a provider first answer with another snapshot of a model?",
    _SNAPSHOTS,
    "kind_",
    _OF_SNAPSHOTS,
)
