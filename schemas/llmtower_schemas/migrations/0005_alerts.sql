-- What alerts went through. The topic llmtower.alerts is the truth; each of its records is inserted once, under a token made of its
-- place, so that a leader that comes back to life writes no row twice. One row per transition.
CREATE TABLE IF NOT EXISTS alert_events
(
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    rule LowCardinality(String),
    group_text String COMMENT 'the group in one text, app=chat, project=default; empty = the whole',
    group_values Map(LowCardinality(String), String),
    transition_id String,
    dedup_key String COMMENT 'names rule, group and incident',
    sequence UInt64 COMMENT 'counts the transitions of a rule and group',
    title LowCardinality(String),
    severity LowCardinality(String),
    from_state LowCardinality(String),
    to_state LowCardinality(String),
    cause LowCardinality(String),
    value Nullable(Float64),
    threshold Nullable(Float64),
    unit LowCardinality(String),
    sample Nullable(Float64),
    completeness Nullable(Float64) COMMENT '0 to 1; NULL = unknown',
    window_start DateTime64(6, 'UTC'),
    window_end DateTime64(6, 'UTC'),
    since DateTime64(6, 'UTC'),
    reason String,
    corrected Bool,
    coincident Array(Tuple(kind LowCardinality(String), at DateTime64(6, 'UTC'), what String)),
    panel LowCardinality(String),
    runbook LowCardinality(String),
    routes Array(LowCardinality(String)),
    notify Bool,
    silence_id String,
    shadow Bool,
    incarnation LowCardinality(String),
    kafka_offset Int64 CODEC(Delta, ZSTD),
    entry_index UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (rule, group_text, sequence)
SETTINGS non_replicated_deduplication_window = 100000;

-- Who was told of which transition, from the same records.
CREATE TABLE IF NOT EXISTS alert_sends
(
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    transition_id String,
    route LowCardinality(String),
    outcome LowCardinality(String),
    possible_repeat Bool,
    detail String,
    incarnation LowCardinality(String),
    kafka_offset Int64 CODEC(Delta, ZSTD),
    entry_index UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (transition_id, route, at)
SETTINGS non_replicated_deduplication_window = 100000;

-- Every version of every silence, as the topic llmtower.registry had it.
CREATE TABLE IF NOT EXISTS silence_events
(
    silence_id String,
    kind LowCardinality(String),
    rule String,
    group_values Map(LowCardinality(String), String),
    starts_at DateTime64(6, 'UTC'),
    ends_at DateTime64(6, 'UTC'),
    by String,
    comment String,
    deleted Bool,
    recorded_at DateTime64(3, 'UTC') COMMENT 'when Kafka took it',
    incarnation LowCardinality(String),
    kafka_offset Int64 CODEC(Delta, ZSTD)
)
ENGINE = MergeTree
ORDER BY (silence_id, kafka_offset)
SETTINGS non_replicated_deduplication_window = 100000;

-- The present of every alert that ever changed: one row per rule and group. Within one topic its order decides, whatever clocks did.
CREATE VIEW IF NOT EXISTS alert_states AS
SELECT
    rule, group_text,
    newest.1 AS state, newest.2 AS severity, newest.3 AS dedup_key, newest.4 AS transition_id, newest.5 AS title, newest.6 AS group_values,
    newest.7 AS value, newest.8 AS threshold, newest.9 AS unit, newest.10 AS sample, newest.11 AS completeness,
    newest.12 AS window_start, newest.13 AS window_end, newest.14 AS since, newest.15 AS changed_at, newest.16 AS reason, newest.17 AS cause,
    newest.18 AS corrected, newest.19 AS coincident, newest.20 AS panel, newest.21 AS runbook, newest.22 AS routes,
    newest.23 AS silence_id, newest.24 AS shadow
FROM
(
    SELECT rule, group_text, argMax(last, until) AS newest
    FROM
    (
        SELECT
            rule, group_text, max(at) AS until,
            argMax(tuple(if(to_state = 'resolved', 'ok', to_state), severity, dedup_key, transition_id, title, group_values,
                value, threshold, unit, sample, completeness, window_start, window_end, since, at, reason, cause,
                corrected, coincident, panel, runbook, routes, silence_id, shadow), tuple(kafka_offset, entry_index)) AS last
        FROM alert_events
        GROUP BY rule, group_text, incarnation
    )
    GROUP BY rule, group_text
);

-- The latest version of every silence that was not deleted, past ones included.
CREATE VIEW IF NOT EXISTS silences AS
SELECT
    silence_id, last.1 AS kind, last.2 AS rule, last.3 AS group_values, last.4 AS starts_at, last.5 AS ends_at,
    last.6 AS by, last.7 AS comment, last.9 AS recorded_at
FROM
(
    SELECT
        silence_id,
        argMax(tuple(kind, rule, group_values, starts_at, ends_at, by, comment, deleted, recorded_at), tuple(recorded_at, kafka_offset)) AS last
    FROM silence_events
    GROUP BY silence_id
)
WHERE NOT last.8;
