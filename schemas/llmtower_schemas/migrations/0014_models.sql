-- Which model answered for which, per hour: the id that was asked for and the snapshot that the provider says answered. What is first seen
-- is told from it, whoever registered it or not. Failed calls name no snapshot ('').
CREATE TABLE IF NOT EXISTS rollup_models_1h
(
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    project LowCardinality(String),
    app LowCardinality(String),
    environment LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    unpriced_calls SimpleAggregateFunction(sum, UInt64),
    output_tokens SimpleAggregateFunction(sum, UInt64),
    cost_nano_usd SimpleAggregateFunction(sum, Int64),
    duration_us SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (project, hour, app, environment, provider, request_model, response_model)
SETTINGS non_replicated_deduplication_window = 100000, merge_selector_base = 12;

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_models_1h_view TO rollup_models_1h AS
SELECT
    toStartOfHour(toDateTime(started_at, 'UTC')) AS hour,
    project, app, environment, provider, request_model, response_model,
    count() AS calls,
    countIf(status != 'ok') AS errors,
    countIf(isNull(calls.cost_nano_usd) AND cost_status != 'failed') AS unpriced_calls,
    sum(toUInt64(calls.output_tokens)) AS output_tokens,
    sum(ifNull(calls.cost_nano_usd, 0)) AS cost_nano_usd,
    sum(calls.duration_us) AS duration_us
FROM calls
GROUP BY hour, project, app, environment, provider, request_model, response_model;
