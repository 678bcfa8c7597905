-- What the LLM judge did, one row a round: written by whichever judge leads, under a token of its own, so once.
CREATE TABLE IF NOT EXISTS judge_rounds
(
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    model LowCardinality(String),
    state LowCardinality(String) COMMENT 'judged | idle | paced | over budget | endpoint down',
    budget_nano_usd Int64 COMMENT 'of the day (UTC)',
    spent_nano_usd Int64 COMMENT 'of it, by all judges, what was promised and not given back included',
    population UInt64 COMMENT 'calls that could have been asked',
    scored UInt32,
    failed UInt32,
    skipped UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY at
SETTINGS non_replicated_deduplication_window = 100000;

-- Calls that a judge has scored and a person has spoken of, one row each: judge, person and both their words. Feedback names a call, the
-- provider's response or the trace; a trace counts where it holds one judged call, or nobody knows which answer was meant.
CREATE VIEW IF NOT EXISTS judged_feedback AS
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
    SELECT project, target_kind, target_id, user_id, name AS kind_of_feedback, at AS said_at,
        score < 0 OR label IN ('bad', 'negative', 'thumbs_down', 'down') AS person_bad
    FROM feedback_current
    WHERE score != 0 OR label IN ('bad', 'negative', 'thumbs_down', 'down', 'good', 'positive', 'thumbs_up', 'up')
)
SELECT judged.project AS project, judged.app AS app, judged.environment AS environment, judged.request_model AS request_model,
    judged.prompt_name AS prompt_name, judged.prompt_version AS prompt_version, judged.started_at AS started_at, judged.call AS call,
    judged.name AS name, judged.scorer_version AS scorer_version, judged.weight AS weight, judged.judge_bad AS judge_bad,
    said.user_id AS user_id, said.kind_of_feedback AS feedback, said.said_at AS said_at, ifNull(said.person_bad, 0) AS person_bad
FROM judged
INNER JOIN targets ON targets.project = judged.project AND targets.call = judged.call
INNER JOIN said ON said.project = targets.project AND said.target_kind = targets.kind AND said.target_id = targets.target;
