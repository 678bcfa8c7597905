"""Every Kafka topic, as one literal table."""

from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is created; `retention_ms` and `retention_bytes` (per partition) are defaults that settings may change."""

    name: str
    partitions: int
    cleanup: str
    retention_ms: int
    retention_bytes: int
    purpose: str

    def config(self) -> dict[str, str]:
        """Give the topic's configuration as Kafka names it."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "retention.bytes": str(self.retention_bytes),
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "message.timestamp.type": "CreateTime",
            "min.insync.replicas": "1",
        }


MAX_RECORD_BYTES = 1_048_576 + 65_536
"""Kafka's default of 1 MiB for the events of one record, and room for headers."""

CALLS = "llmtower.calls"
SIGNALS = "llmtower.signals"
REGISTRY = "llmtower.registry"
ALERTS = "llmtower.alerts"

TOPICS: dict[str, TopicSpec] = {
    spec.name: spec
    for spec in (
        TopicSpec(CALLS, 4, "delete", 7 * DAY_MS, 8 << 30, "request, response and step events"),
        TopicSpec(SIGNALS, 4, "delete", 7 * DAY_MS, 1 << 30, "feedback, scores, late texts, deploys and producer heartbeats"),
        TopicSpec(REGISTRY, 1, "compact", -1, -1, "prompts, labels, models, silences (latest value per key)"),
        TopicSpec(ALERTS, 1, "delete", 30 * DAY_MS, 1 << 30, "alert transitions; its owner is the leader of all timers"),
    )
}
"""Every topic by its name."""
