-- What Llmtower itself takes: written by every worker process for itself, and by the leader of the timers for ClickHouse, as that counts
-- itself. Each row covers the `seconds` before it.
CREATE TABLE IF NOT EXISTS own_cost
(
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    process LowCardinality(String) COMMENT 'pipeline | scoring | worker | clickhouse',
    instance LowCardinality(String) COMMENT 'host:process id',
    seconds Float64,
    cpu_s Float64 COMMENT 'processor time of all threads within them',
    memory_bytes UInt64 COMMENT 'held at their end',
    failed_queries UInt64 COMMENT 'of ClickHouse, whoever asked'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (process, instance, at)
SETTINGS non_replicated_deduplication_window = 100000;
