-- Weighted sums of values below 0.5 and of others, per score and app: of the live part since `began`, and of the week before.
SELECT name, app, minute >= toStartOfMinute(toDateTime({began:UInt32}, 'UTC')) AS live, sum(w_low) AS low, sum(w_high) AS high
FROM rollup_scores_1m
WHERE name IN {names:Array(String)} AND status = 'ok' AND minute > toDateTime({began:UInt32}, 'UTC') - toIntervalDay(8)
GROUP BY name, app, live
UNION ALL
SELECT 'feedback' AS name, app, at >= toDateTime({began:UInt32}, 'UTC') AS live, toFloat64(countIf(score < 0)) AS low, toFloat64(countIf(score >= 0)) AS high
FROM feedback
WHERE at > toDateTime({began:UInt32}, 'UTC') - toIntervalDay(8)
GROUP BY name, app, live
