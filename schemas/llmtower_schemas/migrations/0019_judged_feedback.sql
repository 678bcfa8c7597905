-- What people said is brought to its call, and grouped, before it meets the judge: beyond a GROUP BY the engine does not reorder joins.
-- Three joins in a row it reordered, once it had learned the sizes of the tables from the first questions, so that judge and people met by
-- project alone: of 100,000 scores and 50,000 words the view then gave no answer within a minute. The text is that of
-- `llmtower_schemas.judged`, without a range (tested); whoever knows one puts it in there.
CREATE OR REPLACE VIEW judged_feedback AS
WITH
judged AS
(
    SELECT scores.project AS project, app, environment, request_model, prompt_name, prompt_version, started_at, target_id AS call, name,
        scorer_version, argMax(weight, at) AS weight, argMax(label, at) = 'bad' AS judge_bad
    FROM scores
    WHERE scorer = 'llmtower-judge' AND status = 'ok' AND target_kind = 'call_id' AND 1 = 1
    GROUP BY project, app, environment, request_model, prompt_name, prompt_version, started_at, call, name, scorer_version
),
targets AS
(
    SELECT DISTINCT project, 'call_id' AS kind, target_id AS target, target_id AS call FROM scores WHERE scorer = 'llmtower-judge' AND status = 'ok' AND target_kind = 'call_id' AND 1 = 1
    UNION ALL
    SELECT project, name.1 AS kind, name.2 AS target, any(toString(call_id)) AS call
    FROM
    (
        SELECT project, call_id, if((SELECT count() FROM feedback WHERE target_kind = 'response_id') > 0, response_id, '') AS response_id, if((SELECT count() FROM feedback WHERE target_kind = 'trace_id') > 0, trace_id, '') AS trace_id
        FROM calls
        WHERE 1 = 1 AND (SELECT count() FROM feedback WHERE target_kind != 'call_id') > 0
            AND started_at IN (SELECT started_at FROM scores WHERE scorer = 'llmtower-judge' AND status = 'ok' AND target_kind = 'call_id' AND 1 = 1)
            AND call_id IN (SELECT toUUIDOrZero(target_id) FROM scores WHERE scorer = 'llmtower-judge' AND status = 'ok' AND target_kind = 'call_id' AND 1 = 1)
    )
    ARRAY JOIN [('response_id', response_id), ('trace_id', trace_id)] AS name
    WHERE target != ''
    GROUP BY project, kind, target
    HAVING uniqExact(call_id) = 1
),
said AS
(
    SELECT words.project AS project, any(targets.call) AS call, words.app AS of_app, words.environment AS of_environment,
        words.target_kind AS kind, words.target_id AS target, words.user_id AS user_id, words.name AS kind_of_feedback,
        max(words.at) AS said_at, argMax((words.score, words.label), (words.at, words.feedback_id)) AS word
    FROM feedback AS words
    INNER JOIN targets ON targets.project = words.project AND targets.kind = words.target_kind AND targets.target = words.target_id
    GROUP BY project, of_app, of_environment, kind, target, user_id, kind_of_feedback
    HAVING word.1 != 0 OR word.2 IN ('bad', 'negative', 'thumbs_down', 'down', 'good', 'positive', 'thumbs_up', 'up')
)
SELECT judged.project AS project, judged.app AS app, judged.environment AS environment, judged.request_model AS request_model,
    judged.prompt_name AS prompt_name, judged.prompt_version AS prompt_version, judged.started_at AS started_at, judged.call AS call,
    judged.name AS name, judged.scorer_version AS scorer_version, judged.weight AS weight, judged.judge_bad AS judge_bad,
    said.user_id AS user_id, said.kind_of_feedback AS feedback, said.said_at AS said_at,
    ifNull(said.word.1 < 0, 0) OR said.word.2 IN ('bad', 'negative', 'thumbs_down', 'down') AS person_bad
FROM judged
INNER JOIN said ON said.project = judged.project AND said.call = judged.call;
