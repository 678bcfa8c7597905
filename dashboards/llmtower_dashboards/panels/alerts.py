"""Alerts: what is firing now, what happened, what is silenced. Their rows are written by the evaluator in the worker."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.panels.common import TIME
from llmtower_dashboards.panels.sql import END, START

_OF_GROUP: Final = " AND ".join(
    f"$__conditionalAll((group_values['{column}'] IN (${{{name}:singlequote}}) OR NOT mapContains(group_values, '{column}')), ${name})"
    for name, column in (("project", "project"), ("environment", "environment"), ("app", "app"))
)
"""An alert of the whole belongs to every app."""
_SCOPE: Final = ("project", "environment", "app")
_RULE: Final = Column("rule", "Rule", "text")
_GROUP: Final = Column("group_text", "Group", "text")
_FIGURES: Final = (
    Column("severity", "Severity", "text"),
    Column("value", "Value"),
    Column("threshold", "Threshold"),
    Column("unit", "Unit", "text"),
    Column("sample", "Sample"),
    Column("completeness", "Complete", "ratio"),
)
_COINCIDENT: Final = "arrayStringConcat(arrayMap(change -> concat(change.1, ' ', change.3), coincident), ', ')"

FIRING: Final = Panel(
    name="alerts_firing",
    title="Firing",
    question="What is wrong now, since when, and what changed shortly before?",
    kind="table",
    unit="",
    sql=f"""
SELECT states.rule AS rule, states.title AS title, states.group_text AS group_text, toJSONString(states.group_values) AS group_json,
    states.state AS state, states.severity AS severity, states.value AS value, states.threshold AS threshold, states.unit AS unit,
    states.sample AS sample, states.completeness AS completeness, states.since AS since, states.changed_at AS changed_at,
    states.window_start AS window_start, states.window_end AS window_end, states.reason AS reason,
    {_COINCIDENT} AS coincident, states.panel AS panel, states.runbook AS runbook, states.corrected AS corrected
FROM alert_states AS states
WHERE states.state IN ('firing', 'pending') AND NOT states.shadow AND {_OF_GROUP}
ORDER BY state, severity, since DESC, rule, group_text
LIMIT 100
""",  # noqa: S608 - literals
    columns=(
        _RULE,
        Column("title", "Alert", "text"),
        _GROUP,
        Column("group_json", "Group as JSON", "text"),
        Column("state", "State", "text"),
        *_FIGURES,
        Column("since", "Since", "time"),
        Column("changed_at", "Changed", "time"),
        Column("window_start", "Window from", "time"),
        Column("window_end", "Window to", "time"),
        Column("reason", "Reason", "text"),
        Column("coincident", "Shortly before", "text"),
        Column("panel", "Panel", "text"),
        Column("runbook", "Runbook", "text"),
        Column("corrected", "Corrected", "text"),
    ),
    no_data="Nothing is firing.",
    variables=_SCOPE,
    width=24,
    calls=None,
)
SILENCES: Final = Panel(
    name="alerts_silences",
    title="Silences and acknowledgements",
    question="Of which alerts is nobody told, by whom, and until when?",
    kind="table",
    unit="",
    sql="""
SELECT silence_id, kind, rule, toJSONString(group_values) AS group_json, starts_at, ends_at, by, comment
FROM silences
WHERE ends_at > now64(6) AND starts_at <= now64(6)
ORDER BY ends_at, silence_id
LIMIT 200
""",
    columns=(
        Column("silence_id", "Id", "text"),
        Column("kind", "Kind", "text"),
        _RULE,
        Column("group_json", "Group", "text"),
        Column("starts_at", "From", "time"),
        Column("ends_at", "Until", "time"),
        Column("by", "By", "text"),
        Column("comment", "Comment", "text"),
    ),
    no_data="Nothing is silenced.",
    width=24,
    calls=None,
)
HISTORY: Final = Panel(
    name="alerts_history",
    title="What alerts went through",
    question="Which alerts began, grew graver and ended in this range, and who was told?",
    kind="table",
    unit="",
    sql=f"""
SELECT events.at AS time, events.rule AS rule, events.group_text AS group_text, events.to_state AS state, events.severity AS severity,
    events.value AS value, events.threshold AS threshold, events.unit AS unit, events.sample AS sample,
    events.completeness AS completeness, events.reason AS reason, {_COINCIDENT} AS coincident,
    multiIf(events.silence_id != '', 'silenced', NOT events.notify, 'nobody', sends.told = '', 'nobody yet', sends.told) AS told
FROM alert_events AS events
LEFT JOIN
(
    SELECT transition_id, arrayStringConcat(groupUniqArray(route), ', ') AS told FROM alert_sends
    WHERE at >= {START} AND outcome = 'sent'
    GROUP BY transition_id
) AS sends ON events.transition_id = sends.transition_id
WHERE events.at >= {START} AND events.at < {END} AND events.cause != 'kept' AND NOT events.shadow AND {_OF_GROUP}
ORDER BY time DESC, rule, group_text
LIMIT 100
""",  # noqa: S608 - literals
    columns=(
        TIME,
        _RULE,
        _GROUP,
        Column("state", "State", "text"),
        *_FIGURES,
        Column("reason", "Reason", "text"),
        Column("coincident", "Shortly before", "text"),
        Column("told", "Told", "text"),
    ),
    no_data="No alert changed in this range.",
    variables=_SCOPE,
    width=24,
    calls=None,
)
