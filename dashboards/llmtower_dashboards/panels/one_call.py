"""One call: what is known of it, of what its cost is made, its steps, scores, feedback and texts."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.panels.common import PROVIDER, TIME, VERSION
from llmtower_dashboards.panels.lists import LIST_COLUMNS
from llmtower_schemas.late import messages, texts_of

_CHOSEN: Final = "${call:singlequote}"
_THIS: Final = f"""ifNull(toUUIDOrNull({_CHOSEN}), (SELECT anyOrNull(call_id) FROM calls
    WHERE isNull(toUUIDOrNull({_CHOSEN})) AND response_id = {_CHOSEN} AND response_id != ''))"""  # noqa: S608 - literals
"""The chosen call, by its id or by the provider's id of its answer; NULL, and so no row, while none is chosen or the text is no id."""
_NAMES: Final = f"""(SELECT toString({_THIS}) WHERE isNotNull({_THIS})
    UNION ALL SELECT arrayJoin(arrayFilter(id -> id != '', [response_id, trace_id])) FROM calls WHERE call_id = {_THIS})"""  # noqa: S608
"""By what scores and feedback may name this call: its own id, its answer's, its trace's."""
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
        calls=None,
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
_FACT_COLUMNS: Final = {column.name: column for column in (*LIST_COLUMNS, PROVIDER)} | {
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
    f"""
SELECT time, name, value, label, places, scorer, version, status, reason
FROM (
    SELECT at AS time, name, value, label, '' AS places, scorer, scorer_version AS version, status, reason
    FROM scores
    WHERE target_id IN {_NAMES}
    UNION ALL
    SELECT started_at AS time, name, value, label, arrayStringConcat(arrayMap(p -> toString(p), place), ', ') AS places, scorer, version,
        status, reason
    FROM call_scores
    ARRAY JOIN names AS name, score_values AS value, labels AS label, scorers AS scorer, scorer_versions AS version, statuses AS status,
        reasons AS reason, positions AS place
    WHERE call_id = {_THIS}
)
ORDER BY time, name
LIMIT 200
""",  # noqa: S608 - literals
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
    f"""
SELECT at AS time, name, score, label, user_id AS user
FROM feedback
WHERE target_id IN {_NAMES}
ORDER BY time, name
LIMIT 200
""",  # noqa: S608 - literals
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
    FROM ({texts_of(f"call_id = {_THIS}")})
    HAVING max(input) != '' OR max(output) != ''
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
    calls=None,
    reader="content",
)
