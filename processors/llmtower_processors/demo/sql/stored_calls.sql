-- Calls of the given producers, counted from the rows themselves; percentiles are exact; the row without app is the total.
SELECT
    app,
    count() AS calls,
    uniqExact(producer, producer_seq) AS unique_calls,
    sum(ifNull(calls.cost_nano_usd, 0)) AS cost_nano_usd,
    countIf(isNull(calls.cost_nano_usd) AND cost_status != 'failed') AS unpriced_calls,
    toUInt64(quantileExact(0.5)(duration_us)) AS duration_p50_us,
    toUInt64(quantileExact(0.95)(duration_us)) AS duration_p95_us,
    quantileExactIf(0.5)(ttft_us, isNotNull(ttft_us)) AS ttft_p50_us,
    quantileExactIf(0.95)(ttft_us, isNotNull(ttft_us)) AS ttft_p95_us
FROM calls
WHERE producer IN {producers:Array(String)}
GROUP BY app WITH ROLLUP
