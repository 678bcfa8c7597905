"""OpenTelemetry spans and log records, of every GenAI dialect, into events of ours. Pure: bytes in, events out."""
