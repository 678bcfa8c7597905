-- Every event of the given producers in whatever table it belongs, heartbeats left out (a producer does not count its own books); the row without app is the total.
-- A producer counts each topic from 0.
SELECT app, count() AS events, uniqExact(producer, kafka_topic, producer_seq) AS unique_events
FROM
(
    SELECT app, producer, kafka_topic, producer_seq FROM calls
    UNION ALL SELECT app, producer, kafka_topic, producer_seq FROM requests
    UNION ALL SELECT app, producer, kafka_topic, producer_seq FROM steps
    UNION ALL SELECT app, producer, kafka_topic, producer_seq FROM feedback
    UNION ALL SELECT app, producer, kafka_topic, producer_seq FROM scores
    UNION ALL SELECT app, producer, kafka_topic, producer_seq FROM deploys
)
WHERE producer IN {producers:Array(String)}
GROUP BY app WITH ROLLUP
