-- How many events of `llmtower.calls` are stored as calls, and not yet summed up for drift.
SELECT toInt64(sumIf(count, processor = 'calls')) - toInt64(sumIf(count, processor = 'sketches')) AS unscored
FROM ledger WHERE topic = 'llmtower.calls' AND processor IN ('calls', 'sketches') AND duplicate = 0
