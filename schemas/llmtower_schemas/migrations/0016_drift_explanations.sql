-- Why a segment drifts, written when its alarm begins and every hour while it lasts: ids and shares, never texts. What was usual are the
-- same minutes of the day before (or the first day before that has texts).
CREATE TABLE IF NOT EXISTS drift_explanations
(
    at DateTime('UTC') CODEC(Delta, ZSTD) COMMENT 'end of the window',
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    direction LowCardinality(String) COMMENT 'input | output',
    embedder LowCardinality(String),
    metric LowCardinality(String) COMMENT 'the one that is farthest beyond its threshold, meaning first',
    window_minutes UInt32,
    reference LowCardinality(String),
    moved Float64 COMMENT 'share of the texts that lie where there were few before',
    examples Array(String) COMMENT 'ids of the calls that lie farthest out',
    texts_before UInt32 COMMENT 'that were looked at; 0 where content is not captured',
    texts_now UInt32,
    characters_before Float64 COMMENT 'mean length of a text',
    characters_now Float64,
    shares Array(Tuple(what String, value String, before Float64, now Float64))
        COMMENT 'languages, prompt versions, models and snapshots whose share of the calls changed by more than 5 %',
    deploys Array(String) COMMENT 'app and version of what went live in the window or the hour before'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (project, app, at)
SETTINGS non_replicated_deduplication_window = 100000;
