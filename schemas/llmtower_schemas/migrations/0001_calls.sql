-- One immutable row per ended call. MergeTree, never Replacing: what was stored once is never silently merged away, and
-- the runtime's insert tokens keep it from being stored twice. The deduplication window counts blocks (one per table partition touched)
-- and must cover a whole takeover; it is set on every view target too, or a replayed insert would inflate the rollup alone.
-- Inserted parts are compact (two files instead of three per column: an insert of 20,000 rows of `calls` costs 60 ms instead of 155);
-- merges make wide ones of them beyond 128 MiB.
-- merge_selector_base: parts are merged about twelve at a time, not five. Merging, which was more than half of the engine's CPU under
-- load, halves; a table has a dozen parts more.
-- Money is integer nano-USD; NULL with a cost_status means "unknown", never 0.
CREATE TABLE IF NOT EXISTS calls
(
    call_id UUID,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    user_id String,
    session_id String,
    request_id String,
    route LowCardinality(String),
    trace_id String,
    span_id String,
    parent_id Nullable(UUID),
    operation LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    response_id String,
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    duration_us UInt64 CODEC(T64, ZSTD),
    ttft_us Nullable(UInt64) CODEC(T64, ZSTD),
    stream Bool,
    status LowCardinality(String),
    error_class LowCardinality(String),
    error_type LowCardinality(String),
    http_status Nullable(UInt16),
    retries Nullable(UInt16),
    finish_reasons Array(LowCardinality(String)),
    service_tier LowCardinality(String),
    usage_source LowCardinality(String),
    usage_convention LowCardinality(String),
    usage_raw String CODEC(ZSTD(3)),
    input_tokens UInt32 CODEC(T64, ZSTD),
    cache_read_tokens UInt32 CODEC(T64, ZSTD),
    cache_write_tokens UInt32 CODEC(T64, ZSTD),
    cache_write_1h_tokens UInt32 CODEC(T64, ZSTD),
    output_tokens UInt32 CODEC(T64, ZSTD),
    reasoning_tokens UInt32 CODEC(T64, ZSTD),
    audio_input_tokens UInt32 CODEC(T64, ZSTD),
    audio_output_tokens UInt32 CODEC(T64, ZSTD),
    image_input_tokens UInt32 CODEC(T64, ZSTD),
    tool_fees Int64 CODEC(T64, ZSTD) COMMENT 'nano-USD',
    cost_nano_usd Nullable(Int64) CODEC(T64, ZSTD),
    cost_input_nano_usd Nullable(Int64) CODEC(T64, ZSTD) COMMENT 'uncached input, audio and image input',
    cost_cache_nano_usd Nullable(Int64) CODEC(T64, ZSTD) COMMENT 'cache reads and writes',
    cost_output_nano_usd Nullable(Int64) CODEC(T64, ZSTD) COMMENT 'visible, reasoning and audio output',
    cost_fees_nano_usd Nullable(Int64) CODEC(T64, ZSTD) COMMENT 'request and tool fees',
    cost_status LowCardinality(String),
    cost_source LowCardinality(String),
    price_version LowCardinality(String),
    rate_limit_remaining_requests Nullable(Int64),
    rate_limit_remaining_tokens Nullable(Int64),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    tags Map(LowCardinality(String), String),
    parameters String CODEC(ZSTD(3)) COMMENT 'JSON of numbers, booleans and short words; anything longer is in contents',
    instrumentation LowCardinality(String),
    capture LowCardinality(String),
    producer LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32 CODEC(T64, ZSTD),
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32 CODEC(T64, ZSTD),
    INDEX call_id_bloom call_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX response_id_bloom response_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (project, app, request_model, started_at)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, min_bytes_for_wide_part = 134217728;

-- Texts live apart: a retention of their own, a grant of their own, erasure in one place. Level 1: level 3 saves a tenth of the disk and
-- takes twice the time, at the insert and again at each merge.
CREATE TABLE IF NOT EXISTS contents
(
    call_id UUID COMMENT 'the id of the call, step or feedback',
    kind LowCardinality(String) COMMENT 'call | step | feedback | request',
    project LowCardinality(String),
    app LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    input String CODEC(ZSTD),
    output String CODEC(ZSTD),
    retrieved String CODEC(ZSTD) COMMENT 'JSON: [{id, score, text}]',
    parameters String CODEC(ZSTD),
    error_message String CODEC(ZSTD),
    comment String CODEC(ZSTD),
    correction String CODEC(ZSTD),
    embedding Array(Float32) CODEC(ZSTD),
    embedder LowCardinality(String),
    extra String CODEC(ZSTD) COMMENT 'JSON of fields this version does not know',
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32 CODEC(T64, ZSTD),
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32 CODEC(T64, ZSTD),
    INDEX call_id_bloom call_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toMonday(started_at, 'UTC')
ORDER BY (project, app, started_at)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, max_compress_block_size = 4194304, min_compress_block_size = 1048576,
    min_bytes_for_wide_part = 134217728;

CREATE TABLE IF NOT EXISTS requests
(
    call_id UUID,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    user_id String,
    session_id String,
    request_id String,
    route LowCardinality(String),
    trace_id String,
    span_id String,
    parent_id Nullable(UUID),
    operation LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    stream Bool,
    timeout_ms Nullable(UInt64),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    tags Map(LowCardinality(String), String),
    instrumentation LowCardinality(String),
    producer LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32 CODEC(T64, ZSTD),
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32 CODEC(T64, ZSTD),
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (project, app, started_at)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, min_bytes_for_wide_part = 134217728;

CREATE TABLE IF NOT EXISTS steps
(
    step_id UUID,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    user_id String,
    session_id String,
    request_id String,
    route LowCardinality(String),
    trace_id String,
    span_id String,
    parent_id Nullable(UUID),
    name LowCardinality(String),
    kind LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    duration_us UInt64 CODEC(T64, ZSTD),
    status LowCardinality(String),
    error_class LowCardinality(String),
    error_type LowCardinality(String),
    retrieved_ids Array(String),
    retrieved_scores Array(Float64),
    attributes Map(LowCardinality(String), String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    tags Map(LowCardinality(String), String),
    instrumentation LowCardinality(String),
    producer LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32 CODEC(T64, ZSTD),
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32 CODEC(T64, ZSTD),
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (project, app, name, started_at)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, min_bytes_for_wide_part = 134217728;
