-- Rows of datasets: texts of calls, redacted and without duplicates, with where they come from. A version is what its manifest in the
-- registry names by `build_id`; rows are written once and never changed. A retention of their own: as long as the dataset.
-- `input` and `output` are the JSON that the call carried; `correction` is plain text of a person.
CREATE TABLE IF NOT EXISTS dataset_items
(
    project LowCardinality(String),
    dataset LowCardinality(String),
    build_id UUID,
    position UInt32 CODEC(Delta, ZSTD) COMMENT 'from 0, in the order of the build; what an export goes on from',
    item_hash FixedString(16) COMMENT 'of input, output and correction as they are stored',
    call_id UUID,
    app LowCardinality(String),
    environment LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    status LowCardinality(String),
    cost_nano_usd Nullable(Int64) CODEC(T64, ZSTD),
    feedback Nullable(Float64) COMMENT 'mean of the last words of people, -1 to 1',
    redactions UInt16,
    input String CODEC(ZSTD),
    output String CODEC(ZSTD),
    correction String CODEC(ZSTD),
    parameters String CODEC(ZSTD),
    INDEX call_id_bloom call_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
ORDER BY (dataset, build_id, position)
SETTINGS non_replicated_deduplication_window = 100000;
