-- Events of the given producers that could not be stored; the row without app is the total.
SELECT app, count() AS dead_letters
FROM dead_letters
WHERE producer IN {producers:Array(String)}
GROUP BY app WITH ROLLUP
