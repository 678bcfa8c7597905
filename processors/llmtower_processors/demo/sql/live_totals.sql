-- Totals from the hourly rollup, how old the newest call is, and how many dead letters there are.
SELECT
    (SELECT sum(calls) FROM rollup_1h) AS calls,
    (SELECT sum(cost_nano_usd) FROM rollup_1h) AS cost_nano_usd,
    (SELECT sum(unpriced_calls) FROM rollup_1h) AS unpriced,
    (SELECT count() FROM dead_letters) AS dead_letters,
    (SELECT if(count() = 0, NULL, toUnixTimestamp64Micro(now64(6)) - max(toUnixTimestamp64Micro(started_at) + duration_us))
     FROM calls WHERE started_at > now64(6) - toIntervalMinute(10)) / 1e6 AS newest_age_s
