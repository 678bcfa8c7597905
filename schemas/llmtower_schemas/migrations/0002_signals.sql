-- Late facts: each in its own table, keyed by what it is about; it may arrive before its call.
CREATE TABLE IF NOT EXISTS feedback
(
    feedback_id UUID,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    target_kind LowCardinality(String),
    target_id String,
    name LowCardinality(String),
    score Nullable(Float64),
    label LowCardinality(String),
    user_id String,
    producer LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32,
    INDEX target_bloom target_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, app, name, at)
SETTINGS non_replicated_deduplication_window = 100000;

-- A score carries what a dashboard groups by, so that no join is needed; `weight` is the inverse of its sampling probability.
CREATE TABLE IF NOT EXISTS scores
(
    score_id UUID,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    target_kind LowCardinality(String),
    target_id String,
    name LowCardinality(String),
    value Nullable(Float64),
    label LowCardinality(String),
    scorer LowCardinality(String),
    scorer_version LowCardinality(String),
    status LowCardinality(String),
    reason LowCardinality(String),
    weight Float64,
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    producer LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32,
    INDEX target_bloom target_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (project, app, name, started_at)
SETTINGS non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS deploys
(
    deploy_id UUID,
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    at DateTime64(6, 'UTC'),
    version String,
    note String,
    producer LowCardinality(String),
    producer_seq Int64,
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64,
    event_index UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, app, at)
SETTINGS non_replicated_deduplication_window = 100000;

-- A producer's own books: emitted = delivered + spooled + dropped (+ what it still holds); cumulative over one run.
CREATE TABLE IF NOT EXISTS heartbeats
(
    producer LowCardinality(String),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    emitted UInt64 CODEC(Delta, ZSTD),
    delivered UInt64 CODEC(Delta, ZSTD),
    spooled UInt64 CODEC(Delta, ZSTD),
    dropped UInt64 CODEC(Delta, ZSTD),
    dropped_by_reason Map(LowCardinality(String), UInt64),
    oldest_unsent_at Nullable(DateTime64(6, 'UTC')),
    closing Bool,
    sdk LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32,
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, app, producer, at)
SETTINGS non_replicated_deduplication_window = 100000;
