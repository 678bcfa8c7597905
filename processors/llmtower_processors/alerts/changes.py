"""What changed shortly before an alert began: deploys, prompt versions, models and snapshots not seen before, drift. Names, never text."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmtower_schemas.alerts import Change, Transition
from llmtower_schemas.queries import Query

BEFORE_US: Final = 7_200_000_000
"""How far back a change is thought to have to do with it."""
KNOWN_DAYS: Final = 7
LASTS_US: Final = 86_400_000_000
"""A segment that drifted within so long before drifts on, as one that is too quiet to be judged at night does: nothing changed again."""
MOST: Final = 5

_FIRST_SEEN: Final = """
SELECT '{kind}' AS kind, project, app, {what} AS what, toUnixTimestamp64Micro(toDateTime64(min(minute), 6, 'UTC')) AS at
FROM rollup_1m WHERE minute >= fromUnixTimestamp64Micro({{since:Int64}}) AND minute <= fromUnixTimestamp64Micro({{until:Int64}}) AND {named}
GROUP BY project, app, {columns}
HAVING (project, app, {columns}) NOT IN (
    SELECT DISTINCT project, app, {columns} FROM rollup_1h
    WHERE hour >= fromUnixTimestamp64Micro({{known:Int64}}) AND hour < toStartOfHour(fromUnixTimestamp64Micro({{since:Int64}}), 'UTC'))
AND (project, app) IN (
    SELECT DISTINCT project, app FROM rollup_1h
    WHERE hour >= fromUnixTimestamp64Micro({{known:Int64}}) AND hour < toStartOfHour(fromUnixTimestamp64Micro({{since:Int64}}), 'UTC'))
"""
"""Of an app that is new itself nothing else is new."""
_DRIFT: Final = """concat('of ', metric, ' (', direction, arrayStringConcat(arrayMap(
        one -> concat(', ', one), arrayFilter(one -> one != '', [request_model, prompt_name, prompt_version]))), ')',
    if(moved > 0, concat(', ', toString(round(100 * moved)), ' % lie elsewhere'), ''),
    if(empty(examples), '', concat(', such as call ', examples[1])))"""
_SEGMENT: Final = "project, app, environment, request_model, prompt_name, prompt_version, direction, embedder"
_SQL: Final = f"""
SELECT 'deploy' AS kind, project, app, concat(app, ' ', version) AS what, toUnixTimestamp64Micro(deploys.at) AS at
FROM deploys WHERE deploys.at >= fromUnixTimestamp64Micro({{since:Int64}}) AND deploys.at <= fromUnixTimestamp64Micro({{until:Int64}})
UNION ALL
{
    _FIRST_SEEN.format(
        kind="prompt", what="concat(prompt_name, ' ', prompt_version)", columns="prompt_name, prompt_version", named="prompt_name != ''"
    )
}
UNION ALL
SELECT action AS kind, used.project AS project, used.app AS app, concat(name, ' ', label, ' ', replaced, ' → ', version) AS what,
    toUnixTimestamp64Micro(toDateTime64(registry_events.at, 6, 'UTC')) AS at
FROM registry_events INNER JOIN (
    SELECT DISTINCT project, app, prompt_name FROM rollup_1h WHERE hour >= fromUnixTimestamp64Micro({{known:Int64}})
) AS used ON used.prompt_name = registry_events.name
WHERE registry_events.kind IN ('label', 'model') AND registry_events.at >= fromUnixTimestamp64Micro({{since:Int64}})
    AND registry_events.at <= fromUnixTimestamp64Micro({{until:Int64}})
UNION ALL
{_FIRST_SEEN.format(kind="model", what="request_model", columns="request_model", named="request_model != ''")}
UNION ALL
SELECT 'snapshot' AS kind, project, app, concat(request_model, ' → ', response_model) AS what,
    toUnixTimestamp64Micro(toDateTime64(min(hour), 6, 'UTC')) AS at
FROM rollup_models_1h WHERE hour >= fromUnixTimestamp64Micro({{known:Int64}}) AND hour <= fromUnixTimestamp64Micro({{until:Int64}})
    AND response_model != ''
GROUP BY project, app, request_model, response_model
HAVING min(hour) >= toStartOfHour(fromUnixTimestamp64Micro({{since:Int64}}), 'UTC') AND (project, app, request_model) IN (
    SELECT project, app, request_model FROM rollup_models_1h WHERE response_model != ''
        AND hour >= fromUnixTimestamp64Micro({{known:Int64}}) AND hour < toStartOfHour(fromUnixTimestamp64Micro({{since:Int64}}), 'UTC'))
UNION ALL
SELECT 'drift' AS kind, project, app, {_DRIFT} AS what, toUnixTimestamp64Micro(toDateTime64(drift_explanations.at, 6, 'UTC')) AS at
FROM drift_explanations WHERE drift_explanations.at >= fromUnixTimestamp64Micro({{since:Int64}})
    AND drift_explanations.at <= fromUnixTimestamp64Micro({{until:Int64}}) AND ({_SEGMENT}) NOT IN (
        SELECT {_SEGMENT} FROM drift_explanations
        WHERE at >= fromUnixTimestamp64Micro({{drifting:Int64}}) AND at < fromUnixTimestamp64Micro({{since:Int64}}))
ORDER BY drift_explanations.at LIMIT 1 BY {_SEGMENT}
"""  # noqa: S608 - literals


def changes_query(at_us: int) -> Query:
    """Ask for everything that changed within two hours."""
    since = at_us - BEFORE_US
    return Query(_SQL, {"since": since, "until": at_us, "known": since - KNOWN_DAYS * 86_400_000_000, "drifting": since - LASTS_US})


def with_changes(transition: Transition, rows: Sequence[Sequence[Any]]) -> Transition:
    """Add the changes of its project and app (of all, where it does not say), the latest first; drift, which has causes itself, last."""
    of = transition.group
    found = [
        Change(kind=kind, at_us=int(at), what=str(what)[:200])
        for kind, project, app, what, at in rows
        if of.get("project", project) == project and of.get("app", app) == app and at <= transition.at_us
    ]
    found.sort(key=lambda change: (change.kind == "drift", -change.at_us, change.kind, change.what))
    return transition.model_copy(update={"coincident": tuple(found[:MOST])}) if found else transition


def begins(transition: Transition) -> bool:
    """Whether people are told of something new: then they want to know what changed."""
    return transition.to_state == "firing" and transition.cause not in ("reminder", "kept", "eased")


def link_parameters(group: Mapping[str, str]) -> list[tuple[str, str]]:
    """Give a group as the variables of the live page."""
    names = {"request_model": "model", "user_id": "user", "prompt_name": "prompt"}
    known = ("project", "app", "environment", "provider", "request_model", "user_id", "prompt_name")
    return [(names.get(name, name), group[name]) for name in known if name in group]
