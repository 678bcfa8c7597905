"""Call explorer: a table of calls, and one call with its steps, tokens, cost lines, scores and feedback."""

from typing import Final

from llmtower_dashboards.panel import Column, Dashboard, Panel, Row
from llmtower_dashboards.panels.common import APP, MODEL, PROMPT, PROVIDER, TIME, VERSION
from llmtower_dashboards.panels.sql import END, OF_CALLS, OF_ROLLUPS, START, filters
from llmtower_schemas.late import messages

LISTED: Final = 100
_RANGE: Final = f"started_at >= {START} AND started_at < {END}"
_OF_LIST: Final = (*OF_CALLS, "session")
_SESSION: Final = "$__conditionalAll(session_id IN (${session:singlequote}), $session)"
_OF_USER: Final = (
    "$__conditionalAll((project, app, request_model) IN (SELECT project, app, request_model FROM rollup_user_1h"  # noqa: S608 - literals
    f" WHERE user_id IN (${{user:singlequote}}) AND hour >= toStartOfHour({START}) AND hour < {END}), $user)"
)
"""The hourly rollup knows in which apps a user is: the primary key then skips the rest of `calls`."""


def _since(count: str) -> str:
    """The start of the minute from which on there are enough calls, by the rollup: the list then reads a few minutes of `calls`.

    Users and sessions are not in the rollup: with one of them chosen, the whole range is read.
    """
    return f"""if($__conditionalAll(1 = 0, $user) AND $__conditionalAll(1 = 0, $session), greatest({START}, (
        SELECT maxIf(minute, found >= {LISTED}) FROM
        (
            SELECT minute, sum(here) OVER (ORDER BY minute DESC) AS found FROM
            (
                SELECT minute, {count} AS here FROM rollup_1m
                WHERE minute >= toStartOfMinute({START}) AND minute < {END} AND {filters(OF_ROLLUPS)}
                GROUP BY minute
            )
        ))), {START})"""  # noqa: S608 - literals


_LIST: Final = """SELECT started_at AS time, toString(call_id) AS call, calls.app AS app, request_model AS model, prompt_name AS prompt,
    prompt_version AS version, calls.status AS status, calls.error_class AS error_class, duration_us / 1e6 AS duration,
    ttft_us / 1e6 AS ttft, toUInt64(input_tokens) + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens AS tokens_in,
    toUInt64(output_tokens) + reasoning_tokens AS tokens_out, cost_nano_usd / 1e9 AS cost, calls.cost_status AS cost_status,
    user_id AS user, session_id AS session
FROM calls"""
_COLUMNS: Final = (
    TIME,
    Column("call", "Call", "text", link="call"),
    APP,
    MODEL,
    PROMPT,
    VERSION,
    Column("status", "Status", "text"),
    Column("error_class", "Error", "text"),
    Column("duration", "Duration", "seconds"),
    Column("ttft", "First token", "seconds"),
    Column("tokens_in", "Tokens in", "tokens"),
    Column("tokens_out", "Tokens out", "tokens"),
    Column("cost", "Cost", "usd"),
    Column("cost_status", "Price", "text"),
    Column("user", "User", "text", link="user"),
    Column("session", "Session", "text", link="calls"),
)
_NO_CALLS: Final = "No such calls in this range: widen it or clear a filter."


def _listed(name: str, title: str, question: str, where: str, order: str) -> Panel:
    sql = f"{_LIST}\nWHERE {where} AND {filters(OF_CALLS)} AND {_OF_USER} AND {_SESSION}\nORDER BY {order}\nLIMIT {LISTED}"
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="table",
        unit="",
        sql=sql,
        columns=_COLUMNS,
        no_data=_NO_CALLS,
        variables=_OF_LIST,
        width=24,
        height=12,
        calls=False,
    )


RECENT = _listed(
    "calls_recent",
    "Latest calls",
    "Which calls were made last?",
    f"{_RANGE} AND started_at >= {_since('sum(calls)')}",
    "started_at DESC, call_id",
)
FAILED = _listed(
    "calls_failed",
    "Latest failed calls",
    "Which calls failed last?",
    f"{_RANGE} AND started_at >= {_since('sum(errors)')} AND calls.status != 'ok'",
    "started_at DESC, call_id",
)
SLOWEST = _listed("calls_slowest", "Slowest calls", "Which calls took longest?", _RANGE, "duration_us DESC, started_at DESC")
DEAREST = _listed(
    "calls_dearest",
    "Most expensive calls",
    "Which single calls cost most?",
    f"{_RANGE} AND isNotNull(cost_nano_usd)",
    "cost_nano_usd DESC, started_at DESC",
)

_THIS: Final = "toUUIDOrNull(${call:singlequote})"
"""The chosen call; NULL, and so no row, while none is chosen or the text is no id."""
_NO_CALL: Final = "No such call: choose one from a table, or its row is past its retention."


def _one(name: str, title: str, question: str, sql: str, columns: tuple[Column, ...], no_data: str = _NO_CALL) -> Panel:
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="table",
        unit="",
        sql=sql,
        columns=columns,
        no_data=no_data,
        variables=("call",),
        width=24,
        calls=False,
    )


_FACTS: Final = {
    "time": "started_at",
    "call": "toString(call_id)",
    "project": "project",
    "app": "app",
    "environment": "environment",
    "release": "release",
    "operation": "operation",
    "provider": "provider",
    "model": "request_model",
    "response_model": "response_model",
    "prompt": "prompt_name",
    "version": "prompt_version",
    "status": "status",
    "error_class": "error_class",
    "error_type": "error_type",
    "http_status": "http_status",
    "retries": "retries",
    "finish": "arrayStringConcat(finish_reasons, ', ')",
    "stream": "stream",
    "duration": "duration_us / 1e6",
    "ttft": "ttft_us / 1e6",
    "usage_source": "usage_source",
    "cost": "cost_nano_usd / 1e9",
    "cost_status": "cost_status",
    "cost_source": "cost_source",
    "price_version": "price_version",
    "user": "user_id",
    "session": "session_id",
    "request": "request_id",
    "route": "route",
    "trace": "trace_id",
    "parameters": "parameters",
    "tags": "toString(tags)",
    "offset": "concat(kafka_topic, '/', toString(kafka_partition), '/', toString(kafka_offset), '#', toString(event_index))",
}
_FACT_COLUMNS: Final = {column.name: column for column in (*_COLUMNS, PROVIDER)} | {
    "trace": Column("trace", "Trace", "text", link="trace"),
    "retries": Column("retries", "Retries", "calls"),
}
CALL = _one(
    "call_facts",
    "The call",
    "What is known of this call?",
    "SELECT "
    + ", ".join(f"{name}_ AS {name}" for name in _FACTS)
    + "\nFROM (SELECT "
    + ", ".join(f"{sql} AS {name}_" for name, sql in _FACTS.items())
    + f"\nFROM calls\nWHERE call_id = {_THIS}\nLIMIT 1)",
    tuple(_FACT_COLUMNS.get(name, Column(name, name.replace("_", " ").capitalize(), "text")) for name in _FACTS),
)
_LINES: Final = (
    ("input", "input_tokens + audio_input_tokens + image_input_tokens", "cost_input_nano_usd"),
    ("cache", "cache_read_tokens + cache_write_tokens + cache_write_1h_tokens", "cost_cache_nano_usd"),
    ("output", "output_tokens + reasoning_tokens + audio_output_tokens", "cost_output_nano_usd"),
    ("fees", "NULL", "cost_fees_nano_usd"),
)
COST_LINES = _one(
    "call_cost",
    "What it cost",
    "Of what is its cost made?",
    "SELECT entry.1 AS line, entry.2 AS tokens, entry.3 / 1e9 AS cost\nFROM (\nSELECT arrayJoin(["
    + ", ".join(f"('{name}', toNullable(toInt64({tokens})), {cost})" for name, tokens, cost in _LINES)
    + f"]) AS entry\nFROM calls\nWHERE call_id = {_THIS}\nLIMIT {len(_LINES)}\n)",
    (Column("line", "Line", "text"), Column("tokens", "Tokens", "tokens"), Column("cost", "Cost", "usd")),
)
_AROUND: Final = f"(SELECT any(started_at) FROM calls WHERE call_id = {_THIS})"  # noqa: S608 - names from literals
STEPS = _one(
    "call_steps",
    "Its steps",
    "Which retrievals, tools and agents belong to the same request?",
    f"""
SELECT started_at AS time, kind, name, duration_us / 1e6 AS duration, steps.status AS status, steps.error_class AS error_class,
    length(retrieved_ids) AS documents, arrayStringConcat(arraySlice(retrieved_ids, 1, 10), ', ') AS retrieved
FROM steps
WHERE (project, app) IN (SELECT project, app FROM calls WHERE call_id = {_THIS})
    AND started_at BETWEEN {_AROUND} - toIntervalHour(1) AND {_AROUND} + toIntervalHour(1)
    AND (
        parent_id = {_THIS}
        OR step_id IN (SELECT assumeNotNull(parent_id) FROM calls WHERE call_id = {_THIS} AND isNotNull(parent_id))
        OR (request_id != '' AND request_id IN (SELECT request_id FROM calls WHERE call_id = {_THIS}))
        OR (trace_id != '' AND trace_id IN (SELECT trace_id FROM calls WHERE call_id = {_THIS}))
    )
ORDER BY time, name
LIMIT 200
""",  # noqa: S608 - literals
    (
        TIME,
        Column("kind", "Kind", "text"),
        Column("name", "Name", "text"),
        Column("duration", "Duration", "seconds"),
        Column("status", "Status", "text"),
        Column("error_class", "Error", "text"),
        Column("documents", "Documents", "rows"),
        Column("retrieved", "Ids of documents", "text"),
    ),
    "No steps belong to this call: record them with `llmtower.step(…)`, sharing its request or trace.",
)
SCORES = _one(
    "call_scores",
    "Its scores",
    "How was this answer rated by evaluations?",
    """
SELECT time, name, value, label, places, scorer, version, status, reason
FROM (
    SELECT at AS time, name, value, label, '' AS places, scorer, scorer_version AS version, status, reason
    FROM scores
    WHERE target_id = ${call:singlequote} AND target_id != ''
    UNION ALL
    SELECT started_at AS time, name, value, label, arrayStringConcat(arrayMap(p -> toString(p), place), ', ') AS places, scorer, version,
        status, reason
    FROM call_scores
    ARRAY JOIN names AS name, score_values AS value, labels AS label, scorers AS scorer, scorer_versions AS version, statuses AS status,
        reasons AS reason, positions AS place
    WHERE call_id = toUUIDOrNull(${call:singlequote})
)
ORDER BY time, name
LIMIT 200
""",
    (
        TIME,
        Column("name", "Score", "text"),
        Column("value", "Value"),
        Column("label", "Label", "text"),
        Column("places", "At", "text"),
        Column("scorer", "Scorer", "text"),
        VERSION,
        Column("status", "Status", "text"),
        Column("reason", "Reason", "text"),
    ),
    "No scores for this call.",
)
FEEDBACK = _one(
    "call_feedback",
    "Its feedback",
    "What did users say about this answer?",
    """
SELECT at AS time, name, score, label, user_id AS user
FROM feedback
WHERE target_id = ${call:singlequote} AND target_id != ''
ORDER BY time, name
LIMIT 200
""",
    (
        TIME,
        Column("name", "Kind", "text"),
        Column("score", "Score"),
        Column("label", "Label", "text"),
        Column("user", "User", "text", "user"),
    ),
    "No feedback for this call.",
)
CONTENT = Panel(
    name="call_content",
    title="Its texts",
    question="What was asked, answered and retrieved?",
    kind="table",
    unit="text",
    sql=f"""
SELECT argMin(kind, late) AS kind, argMinIf(input, late, input != '') AS input, argMinIf(output, late, output != '') AS output,
    max(retrieved) AS retrieved, max(parameters) AS parameters, max(error_message) AS error_message
FROM (
    SELECT 0 AS late, toString(kind) AS kind, input, output, retrieved, parameters, error_message
    FROM contents WHERE call_id = {_THIS} LIMIT 1
    UNION ALL
    SELECT 1, 'messages', {messages("input")}, {messages("output")}, '', '', ''
    FROM late_contents WHERE call_id = {_THIS}
    HAVING count() > 0
)
HAVING count() > 0
""",  # noqa: S608 - literals
    columns=tuple(
        Column(name, name.replace("_", " ").capitalize(), "text")
        for name in ("kind", "input", "output", "retrieved", "parameters", "error_message")
    ),
    no_data="No texts: capture is off or hashed for this application, or they are past their retention.",
    variables=("call",),
    width=24,
    calls=False,
    reader="content",
)

EXPLORER = Dashboard(
    name="explorer",
    title="Call explorer",
    question="Which calls are behind a figure, and what happened in one of them?",
    rows=(
        Row("Calls", (RECENT, FAILED, SLOWEST, DEAREST)),
        Row("One call", (CALL, COST_LINES, STEPS, SCORES, FEEDBACK, CONTENT)),
    ),
    annotations=False,
    variables=("project", "environment", "app", "model", "provider", "prompt", "user", "session", "call"),
)
