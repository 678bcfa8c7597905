-- How many events of `llmtower.calls` are stored as calls and not yet scored, by the slower of the two processors that score, and not yet
-- summed up for drift; and how long ago the newest call of the last ten minutes began of which both have stored a score.
WITH (SELECT (sumIf(count, processor = 'calls'), sumIf(count, processor = 'quality'), sumIf(count, processor = 'toxicity'),
              sumIf(count, processor = 'sketches'))
      FROM ledger WHERE topic = 'llmtower.calls' AND processor IN ('calls', 'quality', 'toxicity', 'sketches') AND duplicate = 0) AS done
SELECT
    toInt64(done.1) - toInt64(least(done.2, done.3)) AS behind,
    toInt64(done.1) - toInt64(done.4) AS unsketched,
    (SELECT if(count() < 2, NULL, toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(min(newest))) FROM
        (SELECT max(started_at) AS newest FROM call_scores
         WHERE started_at > now64(6) - toIntervalMinute(10) AND processor IN ('quality', 'toxicity') GROUP BY processor)) / 1e6 AS newest_age_s
