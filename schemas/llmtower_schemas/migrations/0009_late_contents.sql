-- Texts that travel apart from their call (OpenTelemetry's log events), before or after it; a call's messages in the order of `at`.
CREATE TABLE IF NOT EXISTS late_contents
(
    content_id UUID,
    call_id UUID COMMENT 'the id of the call or step',
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    release LowCardinality(String),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    name LowCardinality(String) COMMENT 'gen_ai.user.message | gen_ai.choice | …',
    trace_id String CODEC(ZSTD),
    span_id String CODEC(ZSTD),
    capture LowCardinality(String),
    input String CODEC(ZSTD),
    output String CODEC(ZSTD),
    instrumentation LowCardinality(String),
    producer LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    kafka_topic LowCardinality(String),
    kafka_partition Int32 CODEC(T64, ZSTD),
    kafka_offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32 CODEC(T64, ZSTD),
    INDEX call_id_bloom call_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX offset_range kafka_offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toMonday(at, 'UTC')
ORDER BY (project, app, at)
SETTINGS non_replicated_deduplication_window = 100000;
