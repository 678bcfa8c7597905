"""One machine, no Docker: real Kafka, the ClickHouse engine and the worker under one supervisor (`llmtower up`)."""
