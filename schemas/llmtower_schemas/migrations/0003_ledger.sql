-- What was stored: one row per Kafka record and processor, the last insert of its range. Looked up by (producer, first_seq) to
-- drop envelopes that a producer sent twice; the projection answers "up to which offset?" at a takeover (the floor).
CREATE TABLE IF NOT EXISTS ledger
(
    processor LowCardinality(String),
    incarnation LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD),
    producer String CODEC(ZSTD),
    first_seq Int64 CODEC(Delta, ZSTD),
    count UInt32 CODEC(T64, ZSTD),
    duplicate UInt8,
    project LowCardinality(String),
    app LowCardinality(String),
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    INDEX offset_range offset TYPE minmax GRANULARITY 1,
    PROJECTION floor (SELECT processor, incarnation, topic, partition, max(offset) GROUP BY processor, incarnation, topic, partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (processor, producer, first_seq, offset)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12, index_granularity = 1024;

-- What could not be stored: the reason never holds payload; the bytes are apart, with a shorter retention and a grant of their own.
CREATE TABLE IF NOT EXISTS dead_letters
(
    processor LowCardinality(String),
    project LowCardinality(String),
    app LowCardinality(String),
    reason LowCardinality(String),
    bytes UInt32,
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    producer LowCardinality(String),
    producer_seq Int64 CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, app, at)
SETTINGS non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS dead_letter_bytes
(
    raw String CODEC(ZSTD(3)),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    incarnation LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    offset Int64 CODEC(Delta, ZSTD),
    event_index UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (topic, partition, offset, event_index)
SETTINGS non_replicated_deduplication_window = 100000;

-- What `dead-letters replay` sent again, and where it went.
CREATE TABLE IF NOT EXISTS dead_letter_replays
(
    incarnation LowCardinality(String),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    event_index UInt32,
    replayed_at DateTime64(3, 'UTC'),
    replay_producer String
)
ENGINE = MergeTree
ORDER BY (topic, partition, offset, event_index)
SETTINGS non_replicated_deduplication_window = 100000;

-- Results of `llmtower audit`: one row per check and hour; `found` is 0 when all is well.
CREATE TABLE IF NOT EXISTS audits
(
    at DateTime64(3, 'UTC'),
    check LowCardinality(String),
    hour DateTime('UTC'),
    processor LowCardinality(String),
    found Int64 COMMENT 'events (or rows) missing, doubled or different',
    repaired Int64,
    detail String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (check, hour, at)
SETTINGS non_replicated_deduplication_window = 100000;

-- How far each project is complete, every five seconds, by the leader of the timers: the lowest of what live producers still hold
-- unsent and of what partitions still hold unprocessed. A producer that has been silent for 30 s no longer holds it back, and is counted.
CREATE TABLE IF NOT EXISTS watermarks
(
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    watermark DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    live_producers UInt32,
    silent_producers UInt32,
    lag_records UInt64
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, at)
SETTINGS non_replicated_deduplication_window = 100000;
