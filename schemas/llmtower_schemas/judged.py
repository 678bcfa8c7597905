"""Calls that a judge has scored and a person has spoken of: one SQL text for the view `judged_feedback`, its panel and the command.

A condition on a view's columns does not reach the tables that it joins. So whoever knows the range puts it into the text, where scores and
calls are read; the view, which knows none, reads all of them.
"""

from typing import Final

TRACE_S: Final = 3_600
"""A trace is over within so many seconds: judged calls so near to a range are looked at to tell whether a trace in it holds only one."""
EVERYTHING: Final = "1 = 1"
_JUDGED: Final = "scorer = 'llmtower-judge' AND status = 'ok' AND target_kind = 'call_id'"
_BAD: Final = "('bad', 'negative', 'thumbs_down', 'down')"
_WORDS: Final = "('bad', 'negative', 'thumbs_down', 'down', 'good', 'positive', 'thumbs_up', 'up')"
_PAIR: Final = "project, app, environment, request_model, prompt_name, prompt_version, started_at, call, name, scorer_version"
_SAID: Final = f"""said AS
(
    SELECT words.project AS project, any(targets.call) AS call, words.app AS of_app, words.environment AS of_environment,
        words.target_kind AS kind, words.target_id AS target, words.user_id AS user_id, words.name AS kind_of_feedback,
        max(words.at) AS said_at, argMax((words.score, words.label), (words.at, words.feedback_id)) AS word
    FROM feedback AS words
    INNER JOIN targets ON targets.project = words.project AND targets.kind = words.target_kind AND targets.target = words.target_id
    GROUP BY project, of_app, of_environment, kind, target, user_id, kind_of_feedback
    HAVING word.1 != 0 OR word.2 IN {_WORDS}
)"""  # noqa: S608 - literals
_PAIRED: Final = f"""\
SELECT judged.project AS project, judged.app AS app, judged.environment AS environment, judged.request_model AS request_model,
    judged.prompt_name AS prompt_name, judged.prompt_version AS prompt_version, judged.started_at AS started_at, judged.call AS call,
    judged.name AS name, judged.scorer_version AS scorer_version, judged.weight AS weight, judged.judge_bad AS judge_bad,
    said.user_id AS user_id, said.kind_of_feedback AS feedback, said.said_at AS said_at,
    ifNull(said.word.1 < 0, 0) OR said.word.2 IN {_BAD} AS person_bad
FROM judged
INNER JOIN said ON said.project = judged.project AND said.call = judged.call"""  # noqa: S608 - literals


def _where_named(column: str) -> str:
    """Read a column of all calls only where somebody's feedback names such a thing: the engine decides it before it reads."""
    return f"if((SELECT count() FROM feedback WHERE target_kind = '{column}') > 0, {column}, '') AS {column}"  # noqa: S608 - literals


def judged_feedback(judged: str = EVERYTHING, near: str = EVERYTHING) -> str:
    """Give the SELECT of such calls, one row per judge's score, person and kind of feedback.

    `judged` is a condition on `scores`: which ones are paired. `near` is one on `started_at`, of `scores` and of `calls` alike: within what
    a call's answer and trace must be its own; TRACE_S wider than the range. Of feedback there is no range: it may come days later.
    """
    return f"""WITH
judged AS
(
    SELECT scores.project AS project, app, environment, request_model, prompt_name, prompt_version, started_at, target_id AS call, name,
        scorer_version, argMax(weight, at) AS weight, argMax(label, at) = 'bad' AS judge_bad
    FROM scores
    WHERE {_JUDGED} AND {judged}
    GROUP BY {_PAIR}
),
{_targets(judged, near)},
{_SAID}
{_PAIRED}"""  # noqa: S608 - literals


def _targets(judged: str, near: str) -> str:
    """Under what names people may have spoken of judged calls: their ids, and answers and traces that are of one call alone."""
    return f"""targets AS
(
    SELECT DISTINCT project, 'call_id' AS kind, target_id AS target, target_id AS call FROM scores WHERE {_JUDGED} AND {judged}
    UNION ALL
    SELECT project, name.1 AS kind, name.2 AS target, any(toString(call_id)) AS call
    FROM
    (
        SELECT project, call_id, {_where_named("response_id")}, {_where_named("trace_id")}
        FROM calls
        WHERE {near} AND (SELECT count() FROM feedback WHERE target_kind != 'call_id') > 0
            AND started_at IN (SELECT started_at FROM scores WHERE {_JUDGED} AND {near})
            AND call_id IN (SELECT toUUIDOrZero(target_id) FROM scores WHERE {_JUDGED} AND {near})
    )
    ARRAY JOIN [('response_id', response_id), ('trace_id', trace_id)] AS name
    WHERE target != ''
    GROUP BY project, kind, target
    HAVING uniqExact(call_id) = 1
)"""  # noqa: S608 - literals
