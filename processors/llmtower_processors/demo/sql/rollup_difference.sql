-- 0 when the minute rollup says exactly what the calls say.
SELECT
    abs(toInt64((SELECT count() FROM calls WHERE app IN {apps:Array(String)}))
        - toInt64((SELECT sum(calls) FROM rollup_1m WHERE app IN {apps:Array(String)})))
    + abs((SELECT sum(ifNull(cost_nano_usd, 0)) FROM calls WHERE app IN {apps:Array(String)})
        - (SELECT sum(cost_nano_usd) FROM rollup_1m WHERE app IN {apps:Array(String)})) AS difference
