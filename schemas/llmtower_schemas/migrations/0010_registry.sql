-- Who changed what in the topic llmtower.registry: one row per entry that counts, inserted once under a token made of its place, by the
-- leader of the timers. The topic is the truth; this is its audit trail for queries, and the marks on charts.
CREATE TABLE IF NOT EXISTS registry_events
(
    at DateTime64(3, 'UTC') COMMENT 'when Kafka took it',
    kind LowCardinality(String) COMMENT 'prompt, label, model, dataset',
    action LowCardinality(String) COMMENT 'push, promote, rollback, register, stage, build',
    name String,
    label LowCardinality(String) COMMENT 'of a label: which; of a model: its stage',
    number UInt32 COMMENT 'position in its chain: the version of a prompt or dataset, the how-manieth move of a label or model',
    version String COMMENT 'what it is or points to now',
    replaced String COMMENT 'what was there before; empty = nothing',
    by String,
    key_id LowCardinality(String) COMMENT 'the API key that allowed it, where one was needed',
    note String,
    incarnation LowCardinality(String),
    kafka_offset Int64 CODEC(Delta, ZSTD)
)
ENGINE = MergeTree
ORDER BY (kind, name, at)
SETTINGS non_replicated_deduplication_window = 100000;
