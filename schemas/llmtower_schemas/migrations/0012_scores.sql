-- What the scoring processors make of calls: one row per call and processor, one element of each array per score. `scores` stays the home
-- of the score events of `llmtower.signals`, row by row; what is computed here has no event of its own.
CREATE TABLE IF NOT EXISTS call_scores
(
    call_id UUID,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    processor LowCardinality(String),
    names Array(LowCardinality(String)) COMMENT 'of the answer; those of the question begin with input_ (injection is of the question, too)',
    score_values Array(Nullable(Float64)) CODEC(ZSTD) COMMENT 'NULL where status is not ok',
    labels Array(LowCardinality(String)),
    scorers Array(LowCardinality(String)),
    scorer_versions Array(LowCardinality(String)),
    statuses Array(LowCardinality(String)) COMMENT 'ok | skipped | error',
    reasons Array(LowCardinality(String)),
    weights Array(Float64) CODEC(ZSTD) COMMENT 'inverse of the probability with which the call was picked',
    positions Array(Array(UInt32)) CODEC(ZSTD) COMMENT 'what the score points at: numbers of sentences, never their text',
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32,
    INDEX call_id_bloom call_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (project, app, started_at)
SETTINGS non_replicated_deduplication_window = 100000;

-- Scores of both homes per minute. Sums for Horvitz-Thompson estimates: w is the weight, v the value; low and high are apart at 0.5, so
-- that a rate of bad answers and its variance follow for scores of either sense. What is not a number between -1e9 and 1e9 is no value.
CREATE TABLE IF NOT EXISTS rollup_scores_1m
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    name LowCardinality(String),
    scorer LowCardinality(String),
    scorer_version LowCardinality(String),
    status LowCardinality(String),
    reason LowCardinality(String),
    events SimpleAggregateFunction(sum, UInt64),
    scored SimpleAggregateFunction(sum, UInt64) COMMENT 'with a value',
    low SimpleAggregateFunction(sum, UInt64) COMMENT 'with a value below 0.5',
    w_low SimpleAggregateFunction(sum, Float64),
    w_high SimpleAggregateFunction(sum, Float64),
    ww_low SimpleAggregateFunction(sum, Float64) COMMENT 'squares of weights',
    ww_high SimpleAggregateFunction(sum, Float64),
    wv SimpleAggregateFunction(sum, Float64),
    wwv SimpleAggregateFunction(sum, Float64),
    wwvv SimpleAggregateFunction(sum, Float64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (project, name, minute, app, environment, request_model, prompt_name, prompt_version, scorer, scorer_version, status, reason)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_scores_1m_view TO rollup_scores_1m AS
SELECT
    toStartOfMinute(toDateTime(started_at, 'UTC')) AS minute,
    project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason,
    count() AS events,
    count(v) AS scored,
    countIf(v < 0.5) AS low,
    sumIf(w, v < 0.5) AS w_low,
    sumIf(w, v >= 0.5) AS w_high,
    sumIf(w * w, v < 0.5) AS ww_low,
    sumIf(w * w, v >= 0.5) AS ww_high,
    ifNull(sum(w * v), 0) AS wv,
    ifNull(sum(w * w * v), 0) AS wwv,
    ifNull(sum(w * w * v * v), 0) AS wwvv
FROM
(
    SELECT started_at, project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason,
        if(abs(given) <= 1e9 AND w <= 1e9, given, NULL) AS v, w
    FROM call_scores
    ARRAY JOIN names AS name, score_values AS given, scorers AS scorer, scorer_versions AS scorer_version, statuses AS status,
        reasons AS reason, weights AS w
)
GROUP BY minute, project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_scores_1m_scores_view TO rollup_scores_1m AS
SELECT
    toStartOfMinute(toDateTime(started_at, 'UTC')) AS minute,
    project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason,
    count() AS events,
    count(v) AS scored,
    countIf(v < 0.5) AS low,
    sumIf(w, v < 0.5) AS w_low,
    sumIf(w, v >= 0.5) AS w_high,
    sumIf(w * w, v < 0.5) AS ww_low,
    sumIf(w * w, v >= 0.5) AS ww_high,
    ifNull(sum(w * v), 0) AS wv,
    ifNull(sum(w * w * v), 0) AS wwv,
    ifNull(sum(w * w * v * v), 0) AS wwvv
FROM
(
    SELECT started_at, project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason,
        if(abs(value) <= 1e9 AND weight <= 1e9, value, NULL) AS v, weight AS w
    FROM scores
)
GROUP BY minute, project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason;

-- The same per hour, fed by the minutes.
CREATE TABLE IF NOT EXISTS rollup_scores_1h
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    name LowCardinality(String),
    scorer LowCardinality(String),
    scorer_version LowCardinality(String),
    status LowCardinality(String),
    reason LowCardinality(String),
    events SimpleAggregateFunction(sum, UInt64),
    scored SimpleAggregateFunction(sum, UInt64),
    low SimpleAggregateFunction(sum, UInt64),
    w_low SimpleAggregateFunction(sum, Float64),
    w_high SimpleAggregateFunction(sum, Float64),
    ww_low SimpleAggregateFunction(sum, Float64),
    ww_high SimpleAggregateFunction(sum, Float64),
    wv SimpleAggregateFunction(sum, Float64),
    wwv SimpleAggregateFunction(sum, Float64),
    wwvv SimpleAggregateFunction(sum, Float64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (project, name, hour, app, environment, request_model, prompt_name, prompt_version, scorer, scorer_version, status, reason)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_scores_1h_view TO rollup_scores_1h AS
SELECT
    toStartOfHour(minute) AS hour,
    project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason,
    sum(rollup_scores_1m.events) AS events,
    sum(rollup_scores_1m.scored) AS scored,
    sum(rollup_scores_1m.low) AS low,
    sum(rollup_scores_1m.w_low) AS w_low,
    sum(rollup_scores_1m.w_high) AS w_high,
    sum(rollup_scores_1m.ww_low) AS ww_low,
    sum(rollup_scores_1m.ww_high) AS ww_high,
    sum(rollup_scores_1m.wv) AS wv,
    sum(rollup_scores_1m.wwv) AS wwv,
    sum(rollup_scores_1m.wwvv) AS wwvv
FROM rollup_scores_1m
GROUP BY hour, project, app, environment, request_model, prompt_name, prompt_version, name, scorer, scorer_version, status, reason;

-- Every score of every call, whoever gave it: for a few calls at a time (rates are in the rollups).
CREATE VIEW IF NOT EXISTS scores_of_calls AS
SELECT started_at, project, app, environment, request_model, prompt_name, prompt_version, target_kind, target_id, name, value, label,
    scorer, scorer_version, status, reason, weight, CAST([], 'Array(UInt32)') AS positions
FROM scores
UNION ALL
SELECT started_at, project, app, environment, request_model, prompt_name, prompt_version, 'call_id' AS target_kind,
    toString(call_id) AS target_id, name, value, label, scorer, scorer_version, status, reason, weight, positions_ AS positions
FROM call_scores
ARRAY JOIN names AS name, score_values AS value, labels AS label, scorers AS scorer, scorer_versions AS scorer_version,
    statuses AS status, reasons AS reason, weights AS weight, positions AS positions_;
