"""The gateway: OTLP, events and feedback over HTTP into Kafka. A success is answered only after Kafka has acknowledged."""
