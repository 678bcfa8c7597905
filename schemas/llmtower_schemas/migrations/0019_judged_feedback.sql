-- What people said is brought to its call before it meets the judge, behind a DISTINCT, beyond which the engine does not reorder joins.
-- Three joins in a row it reordered, once it had learned the sizes of the tables from the first questions, so that judge and people met by
-- project alone: of 100,000 scores and 50,000 words the view then gave no answer within a minute.
CREATE OR REPLACE VIEW judged_feedback AS
WITH
judged AS
(
    SELECT scores.project AS project, app, environment, request_model, prompt_name, prompt_version, started_at, target_id AS call, name, scorer_version,
        argMax(weight, at) AS weight, argMax(label, at) = 'bad' AS judge_bad
    FROM scores
    WHERE scorer = 'llmtower-judge' AND status = 'ok' AND target_kind = 'call_id'
    GROUP BY project, app, environment, request_model, prompt_name, prompt_version, started_at, call, name, scorer_version
),
named AS
(
    SELECT calls.project AS project, toString(call_id) AS call, response_id, trace_id FROM calls
    WHERE started_at IN (SELECT started_at FROM judged) AND toString(call_id) IN (SELECT call FROM judged)
),
targets AS
(
    SELECT project, 'call_id' AS kind, call AS target, call FROM named
    UNION ALL
    SELECT project, 'response_id', response_id, any(call) FROM named WHERE response_id != '' GROUP BY project, response_id HAVING uniqExact(call) = 1
    UNION ALL
    SELECT project, 'trace_id', trace_id, any(call) FROM named WHERE trace_id != '' GROUP BY project, trace_id HAVING uniqExact(call) = 1
),
said AS
(
    SELECT DISTINCT targets.project AS project, targets.call AS call, words.app AS of_app, words.environment AS of_environment,
        words.target_kind AS kind, words.target_id AS target, words.user_id AS user_id, words.name AS kind_of_feedback, words.at AS said_at,
        ifNull(words.score < 0, 0) OR words.label IN ('bad', 'negative', 'thumbs_down', 'down') AS person_bad
    FROM feedback_current AS words
    INNER JOIN targets ON targets.project = words.project AND targets.kind = words.target_kind AND targets.target = words.target_id
    WHERE words.score != 0 OR words.label IN ('bad', 'negative', 'thumbs_down', 'down', 'good', 'positive', 'thumbs_up', 'up')
)
SELECT judged.project AS project, judged.app AS app, judged.environment AS environment, judged.request_model AS request_model,
    judged.prompt_name AS prompt_name, judged.prompt_version AS prompt_version, judged.started_at AS started_at, judged.call AS call,
    judged.name AS name, judged.scorer_version AS scorer_version, judged.weight AS weight, judged.judge_bad AS judge_bad,
    said.user_id AS user_id, said.kind_of_feedback AS feedback, said.said_at AS said_at, said.person_bad AS person_bad
FROM judged
INNER JOIN said ON said.project = judged.project AND said.call = judged.call;
