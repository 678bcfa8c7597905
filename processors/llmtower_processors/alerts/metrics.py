"""Every Prometheus metric of alerting, with its unit in its name: one literal table."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
NAMES: Final = {
    "llmtower_alerts_last_round_timestamp_seconds": "when the last round of judging was complete, seconds since the epoch; 0 = never",
    "llmtower_alerts_round_seconds": "one round: questions, judgement, journal",
    "llmtower_alerts_blind_seconds": "how long the evaluator has not been able to see something, by what it is",
    "llmtower_alerts_transitions_total": "transitions written to the journal, by the state they lead to",
    "llmtower_alerts_active": "alerts that are pending or firing",
    "llmtower_alerts_unsent": "notifications that no receiver has taken yet",
    "llmtower_alerts_unwritten_rows": "rows of alerts that ClickHouse has not taken yet",
    "llmtower_alerts_failures_total": "attempts that failed and are made again, by what was attempted",
    "llmtower_alerts_cut_rules": "rules with more groups than they allow",
}
"""Each metric and what it counts."""


class AlertMetrics:
    """The metrics, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, *labels: str) -> Gauge:
            return Gauge(name, NAMES[name], labels, registry=registry)

        def counter(name: str, *labels: str) -> Counter:
            return Counter(name, NAMES[name], labels, registry=registry)

        self.last_round = gauge("llmtower_alerts_last_round_timestamp_seconds")
        self.round_seconds = Histogram(
            "llmtower_alerts_round_seconds", NAMES["llmtower_alerts_round_seconds"], buckets=_SECONDS, registry=registry
        )
        self.blind_seconds = gauge("llmtower_alerts_blind_seconds", "what")
        self.transitions = counter("llmtower_alerts_transitions_total", "state")
        self.active = gauge("llmtower_alerts_active")
        self.unsent = gauge("llmtower_alerts_unsent")
        self.unwritten = gauge("llmtower_alerts_unwritten_rows")
        self.failures = counter("llmtower_alerts_failures_total", "what")
        self.cut = gauge("llmtower_alerts_cut_rules")
