-- The last minute by app and model; percentiles skip NULLs and are NULL where nothing was streamed.
SELECT
    app,
    request_model AS model,
    count() AS calls,
    sumMapIf(map(toString(error_class), toUInt64(1)), error_class != '') AS errors,
    quantileTDigest(0.5)(duration_us) AS duration_p50_us,
    quantileTDigest(0.95)(duration_us) AS duration_p95_us,
    quantileTDigest(0.5)(calls.ttft_us) AS ttft_p50_us,
    quantileTDigest(0.95)(calls.ttft_us) AS ttft_p95_us,
    sum(toUInt64(calls.input_tokens) + cache_read_tokens + cache_write_tokens) AS input_tokens,
    sum(toUInt64(calls.output_tokens) + reasoning_tokens) AS output_tokens,
    sum(calls.cost_nano_usd) AS cost_nano_usd,
    countIf(isNull(calls.cost_nano_usd) AND cost_status != 'failed') AS unpriced
FROM calls
WHERE started_at > now64(6) - toIntervalSecond({window_s:UInt32})
GROUP BY app, model
ORDER BY app, calls DESC, model
