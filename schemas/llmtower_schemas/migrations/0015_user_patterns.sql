-- How people use an app, for drift: sessions per hour (a session counts once for each hour in which it made a call), and how much moved.
-- Hashes of (session, hour), merged as estimates of their number, so that a replay or another cut into ranges adds nothing.
ALTER TABLE drift ADD COLUMN IF NOT EXISTS moved Float64
    COMMENT 'share of texts or calls that lie elsewhere: of behaviours less what chance shows, of meaning at least so much';
ALTER TABLE drift_ranges ADD COLUMN IF NOT EXISTS session_calls UInt64 COMMENT 'calls that named their session';
ALTER TABLE drift_ranges ADD COLUMN IF NOT EXISTS sessions Array(UInt64) CODEC(ZSTD);
ALTER TABLE drift_sketches ADD COLUMN IF NOT EXISTS session_calls SimpleAggregateFunction(sum, UInt64);
ALTER TABLE drift_sketches ADD COLUMN IF NOT EXISTS sessions AggregateFunction(uniqCombinedArray(12), Array(UInt64));
ALTER TABLE drift_hours ADD COLUMN IF NOT EXISTS session_calls SimpleAggregateFunction(sum, UInt64);
ALTER TABLE drift_hours ADD COLUMN IF NOT EXISTS sessions AggregateFunction(uniqCombinedArray(12), Array(UInt64));
ALTER TABLE drift_sketches_view MODIFY QUERY
SELECT
    minute, project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder,
    sum(drift_ranges.calls) AS calls,
    sum(drift_ranges.texts) AS texts,
    sum(drift_ranges.without_text) AS without_text,
    sum(drift_ranges.bad_vectors) AS bad_vectors,
    sum(drift_ranges.cut) AS cut,
    sum(drift_ranges.characters) AS characters,
    sum(drift_ranges.tokens) AS tokens,
    sum(drift_ranges.refusals) AS refusals,
    sum(drift_ranges.tool_calls) AS tool_calls,
    sum(drift_ranges.failed) AS failed,
    sum(drift_ranges.timed_us) AS timed_us,
    sum(drift_ranges.timed_tokens) AS timed_tokens,
    sumForEachState(drift_ranges.features) AS features,
    sumForEachState(drift_ranges.mean) AS mean,
    sumMap(drift_ranges.lengths) AS lengths,
    sumMap(drift_ranges.token_times) AS token_times,
    sumMap(drift_ranges.finish_reasons) AS finish_reasons,
    sum(drift_ranges.session_calls) AS session_calls,
    uniqCombinedArrayState(12)(drift_ranges.sessions) AS sessions
FROM drift_ranges
GROUP BY minute, project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder;
ALTER TABLE drift_hours_view MODIFY QUERY
SELECT
    toStartOfHour(minute) AS hour,
    project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder,
    sum(drift_sketches.calls) AS calls,
    sum(drift_sketches.texts) AS texts,
    sum(drift_sketches.without_text) AS without_text,
    sum(drift_sketches.bad_vectors) AS bad_vectors,
    sum(drift_sketches.cut) AS cut,
    sum(drift_sketches.characters) AS characters,
    sum(drift_sketches.tokens) AS tokens,
    sum(drift_sketches.refusals) AS refusals,
    sum(drift_sketches.tool_calls) AS tool_calls,
    sum(drift_sketches.failed) AS failed,
    sum(drift_sketches.timed_us) AS timed_us,
    sum(drift_sketches.timed_tokens) AS timed_tokens,
    sumForEachMergeState(drift_sketches.features) AS features,
    sumForEachMergeState(drift_sketches.mean) AS mean,
    sumMap(drift_sketches.lengths) AS lengths,
    sumMap(drift_sketches.token_times) AS token_times,
    sumMap(drift_sketches.finish_reasons) AS finish_reasons,
    sum(drift_sketches.session_calls) AS session_calls,
    uniqCombinedArrayMergeState(12)(drift_sketches.sessions) AS sessions
FROM drift_sketches
GROUP BY hour, project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder;
