"""Every Prometheus metric of the runtime, with its unit in its name: one literal table, registered where the caller says."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS: Final = (1, 10, 100, 1_000, 2_500, 5_000, 10_000, 20_000, 40_000, 100_000)
END_TO_END_SECONDS: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

_BY_PARTITION: Final = ("processor", "topic", "partition")
NAMES: Final = {
    "llmtower_lag_events": "events in Kafka that are not stored yet (records not fetched yet count as the average of those read)",
    "llmtower_batch_rows": "rows of one insert",
    "llmtower_run_seconds": "decoding and computing one offset range",
    "llmtower_insert_seconds": "one insert, encoding included",
    "llmtower_commit_seconds": "one commit to Kafka, for all partitions of a cycle",
    "llmtower_replays_total": "pending ranges replayed after a takeover",
    "llmtower_retries_total": "attempts that failed in a way that passes, by what was attempted",
    "llmtower_duplicates_total": "records that a producer had sent before",
    "llmtower_dead_letters_total": "rows written to dead_letters",
    "llmtower_rows_total": "rows stored",
    "llmtower_paused_partitions": "partitions halted until a person resumes them",
    "llmtower_end_to_end_seconds": "from the end of an event to the moment it can be queried",
}
"""Each metric and what it counts."""


class EndToEnd(Collector):
    """A histogram that takes in whole columns at once: one observation per event would cost more than storing it."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, processor: str, seconds: Sequence[float]) -> None:
        """Count one value per event."""
        counts = self._counts.setdefault(processor, [0] * (len(END_TO_END_SECONDS) + 1))
        values = np.maximum(np.asarray(seconds, dtype=np.float64), 0.0)
        for index, count in zip(*np.unique(np.searchsorted(END_TO_END_SECONDS, values), return_counts=True), strict=True):
            counts[int(index)] += int(count)
        self._sums[processor] = self._sums.get(processor, 0.0) + float(values.sum())

    def quantile(self, processor: str, share: float) -> float:
        """Upper edge of the bucket that holds this share of all events; infinity beyond the last edge."""
        cumulated = np.cumsum(self._counts.get(processor, [0]))
        index = bisect_left(cumulated.tolist(), share * float(cumulated[-1]))
        return END_TO_END_SECONDS[index] if index < len(END_TO_END_SECONDS) else float("inf")

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give Prometheus the histogram."""
        name = "llmtower_end_to_end_seconds"
        family = HistogramMetricFamily(name, NAMES[name], labels=["processor"])
        for processor, counts in self._counts.items():
            cumulated = np.cumsum(counts).tolist()
            edges = [*map(str, END_TO_END_SECONDS), "+Inf"]
            family.add_metric([processor], list(zip(edges, cumulated, strict=True)), self._sums[processor])
        yield family


class Metrics:
    """The metrics, registered in `registry`: one object for all processors of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def text(name: str) -> str:
            return NAMES[name]

        def counter(name: str, *labels: str) -> Counter:
            return Counter(name, text(name), ("processor", *labels), registry=registry)

        def histogram(name: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, text(name), ("processor", *labels), buckets=buckets, registry=registry)

        self.lag_events = Gauge("llmtower_lag_events", text("llmtower_lag_events"), _BY_PARTITION, registry=registry)
        self.paused_partitions = Gauge("llmtower_paused_partitions", text("llmtower_paused_partitions"), ("processor",), registry=registry)
        self.batch_rows = histogram("llmtower_batch_rows", _ROWS, "table")
        self.insert_seconds = histogram("llmtower_insert_seconds", _SECONDS, "table")
        self.run_seconds = histogram("llmtower_run_seconds", _SECONDS)
        self.commit_seconds = histogram("llmtower_commit_seconds", _SECONDS)
        self.replays = counter("llmtower_replays_total")
        self.retries = counter("llmtower_retries_total", "what")
        self.duplicates = counter("llmtower_duplicates_total")
        self.dead_letters = counter("llmtower_dead_letters_total")
        self.rows = counter("llmtower_rows_total", "table")
        self.end_to_end = EndToEnd()
        registry.register(self.end_to_end)
