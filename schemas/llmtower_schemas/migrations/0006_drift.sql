-- Sums of what was asked and answered, per segment and minute. A row of `drift_ranges` holds what one range of Kafka offsets adds; its
-- place in Kafka is the end of that range and the row's number in it, so that a replay is found again. The views merge them to minutes
-- and hours. All sums are integers (features and mean in units of 1/32768), so that merging is exact in any order.
-- Nobody reads `drift_ranges` but the runtime, when it completes a range by rows.
CREATE TABLE IF NOT EXISTS drift_ranges
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    direction LowCardinality(String) COMMENT 'input | output',
    language LowCardinality(String),
    embedder LowCardinality(String) COMMENT 'name@version:dimension',
    calls UInt64,
    texts UInt64 COMMENT 'with a vector: the count of features and mean',
    without_text UInt64 COMMENT 'empty, not captured, or not text',
    bad_vectors UInt64 COMMENT 'carried by the event and not usable',
    cut UInt64 COMMENT 'longer than what is looked at',
    characters UInt64,
    tokens UInt64,
    refusals UInt64,
    tool_calls UInt64,
    failed UInt64,
    timed_us UInt64,
    timed_tokens UInt64,
    features Array(Int64) CODEC(T64, ZSTD),
    mean Array(Int64) CODEC(T64, ZSTD),
    lengths Map(UInt8, UInt64) COMMENT 'texts by the bits of the square of their length in characters: buckets of a factor of 1.41',
    token_times Map(UInt8, UInt64) COMMENT 'calls by microseconds per output token, in the same buckets',
    finish_reasons Map(String, UInt64),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (project, minute, app)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, min_bytes_for_wide_part = 134217728;

-- A row is 4 kB: small granules, so that one segment of one hour is not paid for with a thousand others.
CREATE TABLE IF NOT EXISTS drift_sketches
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    direction LowCardinality(String),
    language LowCardinality(String),
    embedder LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    texts SimpleAggregateFunction(sum, UInt64),
    without_text SimpleAggregateFunction(sum, UInt64),
    bad_vectors SimpleAggregateFunction(sum, UInt64),
    cut SimpleAggregateFunction(sum, UInt64),
    characters SimpleAggregateFunction(sum, UInt64),
    tokens SimpleAggregateFunction(sum, UInt64),
    refusals SimpleAggregateFunction(sum, UInt64),
    tool_calls SimpleAggregateFunction(sum, UInt64),
    failed SimpleAggregateFunction(sum, UInt64),
    timed_us SimpleAggregateFunction(sum, UInt64),
    timed_tokens SimpleAggregateFunction(sum, UInt64),
    features AggregateFunction(sumForEach, Array(Int64)) CODEC(ZSTD),
    mean AggregateFunction(sumForEach, Array(Int64)) CODEC(ZSTD),
    lengths SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    token_times SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    finish_reasons SimpleAggregateFunction(sumMap, Map(String, UInt64))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (project, minute, app, direction, environment, request_model, prompt_name, prompt_version, language, embedder)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, index_granularity = 512, min_bytes_for_wide_part = 134217728;

CREATE MATERIALIZED VIEW IF NOT EXISTS drift_sketches_view TO drift_sketches AS
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
    sumMap(drift_ranges.finish_reasons) AS finish_reasons
FROM drift_ranges
GROUP BY minute, project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder;

-- The same per hour, fed by the minutes: what references of days and weeks are made of.
CREATE TABLE IF NOT EXISTS drift_hours
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    direction LowCardinality(String),
    language LowCardinality(String),
    embedder LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    texts SimpleAggregateFunction(sum, UInt64),
    without_text SimpleAggregateFunction(sum, UInt64),
    bad_vectors SimpleAggregateFunction(sum, UInt64),
    cut SimpleAggregateFunction(sum, UInt64),
    characters SimpleAggregateFunction(sum, UInt64),
    tokens SimpleAggregateFunction(sum, UInt64),
    refusals SimpleAggregateFunction(sum, UInt64),
    tool_calls SimpleAggregateFunction(sum, UInt64),
    failed SimpleAggregateFunction(sum, UInt64),
    timed_us SimpleAggregateFunction(sum, UInt64),
    timed_tokens SimpleAggregateFunction(sum, UInt64),
    features AggregateFunction(sumForEach, Array(Int64)) CODEC(ZSTD),
    mean AggregateFunction(sumForEach, Array(Int64)) CODEC(ZSTD),
    lengths SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    token_times SimpleAggregateFunction(sumMap, Map(UInt8, UInt64)),
    finish_reasons SimpleAggregateFunction(sumMap, Map(String, UInt64))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (project, hour, app, direction, environment, request_model, prompt_name, prompt_version, language, embedder)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, index_granularity = 512, min_bytes_for_wide_part = 134217728;

CREATE MATERIALIZED VIEW IF NOT EXISTS drift_hours_view TO drift_hours AS
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
    sumMap(drift_sketches.finish_reasons) AS finish_reasons
FROM drift_sketches
GROUP BY hour, project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder;

-- What the timer found, every minute, for each active segment (all languages together), window, metric and reference. `insufficient` is no
-- verdict: statistic, threshold, effective_texts and rank are 0 then, and `reason` says why.
CREATE TABLE IF NOT EXISTS drift
(
    at DateTime('UTC') CODEC(Delta, ZSTD) COMMENT 'end of the window',
    window_minutes UInt32 COMMENT '10, 60, 1440; once an hour 10080',
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    direction LowCardinality(String) COMMENT 'input | output',
    embedder LowCardinality(String),
    metric LowCardinality(String) COMMENT 'embedding | length | language | refusals | tool_calls | finish_reasons | token_time',
    reference LowCardinality(String) COMMENT 'trailing | other versions | other models | earlier weeks | baseline NAME[, other versions|models]',
    status LowCardinality(String) COMMENT 'ok | drift | insufficient',
    reason LowCardinality(String),
    statistic Float64 COMMENT 'squared distance in units of its expected noise: about 0 where nothing changed',
    threshold Float64 COMMENT 'drift is said above it',
    distance Float64 COMMENT 'MMD, 0 to 1.4',
    texts UInt64 COMMENT 'of the window; calls for behaviours',
    reference_texts UInt64 COMMENT 'of the reference, all hours',
    effective_texts Float64 COMMENT 'texts that would be as sure if they were independent',
    rank Float64 COMMENT 'share of the reference windows that were nearer, 0 to 1'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, app, at)
SETTINGS non_replicated_deduplication_window = 100000;

-- How each statistic behaves where nothing drifts, learnt anew every few hours from the segment's reference; the last row of a key counts.
-- The threshold follows from the tail and from among how many segments and windows the project's false alarms are divided at the time.
CREATE TABLE IF NOT EXISTS drift_thresholds
(
    at DateTime('UTC'),
    window_minutes UInt32,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    direction LowCardinality(String),
    embedder LowCardinality(String),
    metric LowCardinality(String),
    reference LowCardinality(String),
    days UInt32 COMMENT 'of the reference that have texts',
    reference_texts UInt64,
    variance Float64 COMMENT 'of one text around the mean of its hour',
    between Float64 COMMENT 'squared distance that more texts do not take away',
    tail_start Float64 COMMENT 'of a generalized Pareto tail of the maxima',
    tail_scale Float64,
    tail_shape Float64,
    spread Float64 COMMENT 'standard deviation of the statistic',
    ranks Array(Float64) COMMENT 'quantiles of the statistic, 0 % to 100 %',
    reason LowCardinality(String) COMMENT 'why nothing could be learnt, or empty'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, app, at)
SETTINGS non_replicated_deduplication_window = 100000;

-- Spans of time that people named as what is right; the last one of a name counts, a span that ends before it begins deletes it.
CREATE TABLE IF NOT EXISTS drift_baselines
(
    set_at DateTime64(3, 'UTC'),
    project LowCardinality(String),
    name LowCardinality(String),
    slice String COMMENT 'as it was typed: app=support,prompt=v3',
    start DateTime('UTC'),
    end DateTime('UTC'),
    note String
)
ENGINE = MergeTree
ORDER BY (project, name, set_at)
SETTINGS non_replicated_deduplication_window = 100000;
