"""The exactly-once runtime between Kafka and ClickHouse."""
