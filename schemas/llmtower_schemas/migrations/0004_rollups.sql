-- Mergeable aggregate rows: sums are exact integers, percentiles are t-digests (0.02-0.13 % off), histograms count by power of 2^(1/4)
-- (bucket b holds values in [2^(b/4), 2^((b+1)/4)) microseconds). Nothing is averaged before it is stored.
CREATE TABLE IF NOT EXISTS rollup_1m
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    operation LowCardinality(String),
    error_class LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    streamed SimpleAggregateFunction(sum, UInt64),
    retries SimpleAggregateFunction(sum, UInt64),
    priced_calls SimpleAggregateFunction(sum, UInt64),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'of unknown cost; a call that failed before any usage costs nothing',
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cache_read_tokens SimpleAggregateFunction(sum, UInt64),
    cache_write_tokens SimpleAggregateFunction(sum, UInt64),
    cache_write_1h_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens SimpleAggregateFunction(sum, UInt64),
    audio_input_tokens SimpleAggregateFunction(sum, UInt64),
    audio_output_tokens SimpleAggregateFunction(sum, UInt64),
    image_input_tokens SimpleAggregateFunction(sum, UInt64),
    cost_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_input_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_cache_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_output_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_fees_nano_usd SimpleAggregateFunction(sum, Int64),
    duration_us SimpleAggregateFunction(sum, UInt64),
    ttft_us SimpleAggregateFunction(sum, UInt64),
    ttft_calls SimpleAggregateFunction(sum, UInt64),
    duration_digest AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), UInt64),
    ttft_digest AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(UInt64)),
    token_time_digest AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(Float64))
        COMMENT 'microseconds per output token after the first; only streamed calls with more than one token',
    duration_buckets SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    token_time_buckets SimpleAggregateFunction(sumMap, Map(UInt8, UInt64))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (project, app, environment, request_model, provider, operation, error_class, prompt_name, prompt_version, minute)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_1m_view TO rollup_1m AS
SELECT
    toStartOfMinute(toDateTime(started_at, 'UTC')) AS minute,
    project, app, environment, provider, request_model, operation, error_class, prompt_name, prompt_version,
    count() AS calls,
    countIf(status != 'ok') AS errors,
    countIf(stream) AS streamed,
    sum(ifNull(calls.retries, 0)) AS retries,
    count(calls.cost_nano_usd) AS priced_calls,
    countIf(isNull(calls.cost_nano_usd) AND cost_status != 'failed') AS unpriced_calls,
    sum(calls.input_tokens) AS input_tokens,
    sum(calls.cache_read_tokens) AS cache_read_tokens,
    sum(calls.cache_write_tokens) AS cache_write_tokens,
    sum(calls.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(calls.output_tokens) AS output_tokens,
    sum(calls.reasoning_tokens) AS reasoning_tokens,
    sum(calls.audio_input_tokens) AS audio_input_tokens,
    sum(calls.audio_output_tokens) AS audio_output_tokens,
    sum(calls.image_input_tokens) AS image_input_tokens,
    sum(ifNull(calls.cost_nano_usd, 0)) AS cost_nano_usd,
    sum(ifNull(calls.cost_input_nano_usd, 0)) AS cost_input_nano_usd,
    sum(ifNull(calls.cost_cache_nano_usd, 0)) AS cost_cache_nano_usd,
    sum(ifNull(calls.cost_output_nano_usd, 0)) AS cost_output_nano_usd,
    sum(ifNull(calls.cost_fees_nano_usd, 0)) AS cost_fees_nano_usd,
    sum(calls.duration_us) AS duration_us,
    sum(ifNull(calls.ttft_us, 0)) AS ttft_us,
    count(calls.ttft_us) AS ttft_calls,
    quantilesTDigestState(0.5, 0.9, 0.95, 0.99)(calls.duration_us) AS duration_digest,
    quantilesTDigestState(0.5, 0.9, 0.95, 0.99)(calls.ttft_us) AS ttft_digest,
    quantilesTDigestState(0.5, 0.9, 0.95, 0.99)(token_time_us) AS token_time_digest,
    sumMap(map(toUInt8(4 * log2(greatest(calls.duration_us, 1))), toUInt64(1))) AS duration_buckets,
    sumMap(if(isNull(calls.ttft_us), map(), map(toUInt8(4 * log2(greatest(ifNull(calls.ttft_us, 1), 1))), toUInt64(1)))) AS ttft_buckets,
    sumMap(if(isNull(token_time_us), map(), map(toUInt8(4 * log2(greatest(ifNull(token_time_us, 1), 1))), toUInt64(1)))) AS token_time_buckets
FROM
(
    SELECT *, if(isNotNull(ttft_us) AND duration_us >= ttft_us AND toUInt64(output_tokens) + reasoning_tokens > 1,
        (duration_us - ttft_us) / (toUInt64(output_tokens) + reasoning_tokens - 1), NULL) AS token_time_us
    FROM calls
) AS calls
GROUP BY minute, project, app, environment, provider, request_model, operation, error_class, prompt_name, prompt_version;

-- The same per hour, fed by the minutes. Reading digests is what a query costs, one row per error class and prompt makes many: the
-- projection, which the engine chooses by itself, answers "p95 per app (or model) over a day" from a twentieth of the rows.
CREATE TABLE IF NOT EXISTS rollup_1h
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    operation LowCardinality(String),
    error_class LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    streamed SimpleAggregateFunction(sum, UInt64),
    retries SimpleAggregateFunction(sum, UInt64),
    priced_calls SimpleAggregateFunction(sum, UInt64),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'of unknown cost; a call that failed before any usage costs nothing',
    input_tokens SimpleAggregateFunction(sum, UInt64),
    cache_read_tokens SimpleAggregateFunction(sum, UInt64),
    cache_write_tokens SimpleAggregateFunction(sum, UInt64),
    cache_write_1h_tokens SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    reasoning_tokens SimpleAggregateFunction(sum, UInt64),
    audio_input_tokens SimpleAggregateFunction(sum, UInt64),
    audio_output_tokens SimpleAggregateFunction(sum, UInt64),
    image_input_tokens SimpleAggregateFunction(sum, UInt64),
    cost_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_input_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_cache_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_output_nano_usd SimpleAggregateFunction(sum, Int64),
    cost_fees_nano_usd SimpleAggregateFunction(sum, Int64),
    duration_us SimpleAggregateFunction(sum, UInt64),
    ttft_us SimpleAggregateFunction(sum, UInt64),
    ttft_calls SimpleAggregateFunction(sum, UInt64),
    duration_digest AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), UInt64),
    ttft_digest AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(UInt64)),
    token_time_digest AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(Float64))
        COMMENT 'microseconds per output token after the first; only streamed calls with more than one token',
    duration_buckets SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    token_time_buckets SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    PROJECTION by_model
    (
        SELECT
            hour, project, app, environment, request_model,
            sum(calls), sum(errors), sum(unpriced_calls), sum(cost_nano_usd),
            quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(duration_digest),
            quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(ttft_digest),
            quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(token_time_digest)
        GROUP BY hour, project, app, environment, request_model
    )
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (project, app, environment, request_model, provider, operation, error_class, prompt_name, prompt_version, hour)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild';

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_1h_view TO rollup_1h AS
SELECT
    toStartOfHour(minute) AS hour,
    project, app, environment, provider, request_model, operation, error_class, prompt_name, prompt_version,
    sum(rollup_1m.calls) AS calls,
    sum(rollup_1m.errors) AS errors,
    sum(rollup_1m.streamed) AS streamed,
    sum(rollup_1m.retries) AS retries,
    sum(rollup_1m.priced_calls) AS priced_calls,
    sum(rollup_1m.unpriced_calls) AS unpriced_calls,
    sum(rollup_1m.input_tokens) AS input_tokens,
    sum(rollup_1m.cache_read_tokens) AS cache_read_tokens,
    sum(rollup_1m.cache_write_tokens) AS cache_write_tokens,
    sum(rollup_1m.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(rollup_1m.output_tokens) AS output_tokens,
    sum(rollup_1m.reasoning_tokens) AS reasoning_tokens,
    sum(rollup_1m.audio_input_tokens) AS audio_input_tokens,
    sum(rollup_1m.audio_output_tokens) AS audio_output_tokens,
    sum(rollup_1m.image_input_tokens) AS image_input_tokens,
    sum(rollup_1m.cost_nano_usd) AS cost_nano_usd,
    sum(rollup_1m.cost_input_nano_usd) AS cost_input_nano_usd,
    sum(rollup_1m.cost_cache_nano_usd) AS cost_cache_nano_usd,
    sum(rollup_1m.cost_output_nano_usd) AS cost_output_nano_usd,
    sum(rollup_1m.cost_fees_nano_usd) AS cost_fees_nano_usd,
    sum(rollup_1m.duration_us) AS duration_us,
    sum(rollup_1m.ttft_us) AS ttft_us,
    sum(rollup_1m.ttft_calls) AS ttft_calls,
    quantilesTDigestMergeState(0.5, 0.9, 0.95, 0.99)(rollup_1m.duration_digest) AS duration_digest,
    quantilesTDigestMergeState(0.5, 0.9, 0.95, 0.99)(rollup_1m.ttft_digest) AS ttft_digest,
    quantilesTDigestMergeState(0.5, 0.9, 0.95, 0.99)(rollup_1m.token_time_digest) AS token_time_digest,
    sumMap(rollup_1m.duration_buckets) AS duration_buckets,
    sumMap(rollup_1m.ttft_buckets) AS ttft_buckets,
    sumMap(rollup_1m.token_time_buckets) AS token_time_buckets
FROM rollup_1m
GROUP BY hour, project, app, environment, provider, request_model, operation, error_class, prompt_name, prompt_version;

-- Who spends: per user and hour, without percentiles.
CREATE TABLE IF NOT EXISTS rollup_user_1h
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    user_id String,
    request_model LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'of unknown cost; a call that failed before any usage costs nothing',
    total_tokens SimpleAggregateFunction(sum, UInt64),
    cost_nano_usd SimpleAggregateFunction(sum, Int64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (project, app, environment, user_id, request_model, hour)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_user_1h_view TO rollup_user_1h AS
SELECT
    toStartOfHour(toDateTime(started_at, 'UTC')) AS hour,
    project, app, environment, user_id, request_model,
    count() AS calls,
    countIf(status != 'ok') AS errors,
    countIf(isNull(calls.cost_nano_usd) AND cost_status != 'failed') AS unpriced_calls,
    sum(toUInt64(input_tokens) + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens + output_tokens + reasoning_tokens
        + audio_input_tokens + audio_output_tokens + image_input_tokens) AS total_tokens,
    sum(ifNull(calls.cost_nano_usd, 0)) AS cost_nano_usd
FROM calls
GROUP BY hour, project, app, environment, user_id, request_model;
