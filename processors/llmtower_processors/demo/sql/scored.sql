-- How many events of `llmtower.calls` are stored as calls and not yet scored, by the slower of the two processors that score; and how long
-- ago the newest call of the last ten minutes began of which both have stored a score.
SELECT
    (SELECT toInt64(sumIf(count, processor = 'calls')) - toInt64(least(sumIf(count, processor = 'quality'), sumIf(count, processor = 'toxicity')))
     FROM ledger WHERE topic = 'llmtower.calls' AND processor IN ('calls', 'quality', 'toxicity') AND duplicate = 0) AS behind,
    (SELECT if(count() < 2, NULL, toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(min(newest))) FROM
        (SELECT max(started_at) AS newest FROM call_scores
         WHERE started_at > now64(6) - toIntervalMinute(10) AND processor IN ('quality', 'toxicity') GROUP BY processor)) / 1e6 AS newest_age_s
