"""What the SDK adds to a call in the caller's thread: against nothing, against an OpenTelemetry span; with Kafka up, dead, and mute.

Calls come in bursts of two hundred, fifty milliseconds apart (4,000 a second), so that the courier works and competes for the
interpreter all the time; without a broker a quarter of that. The variants are interleaved in every round; percentiles are the medians
of the rounds' percentiles. The texts have the sizes of the 1.6 kB event of the other benchmarks.
"""

import asyncio
import gc
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # no stubs in the locked requirements
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import llmtower
from llmtower.transport import THREAD
from llmtower_processors.local.kafka import KafkaProcess
from llmtower_schemas.topics import CALLS, SIGNALS
from tests.benchmarks.bursts import BURST, Control, Nanoseconds, control, percentile, timed, waiting, watched
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.prose import documents

USAGE = {"prompt_tokens": 250, "completion_tokens": 80, "total_tokens": 330, "prompt_tokens_details": {"cached_tokens": 128}}
PARAMETERS = {"temperature": 0.2, "max_tokens": 500}
ATTRIBUTES: dict[str, str | int | float] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 500,
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-123",
    "gen_ai.usage.input_tokens": 250,
    "gen_ai.usage.output_tokens": 80,
    "gen_ai.response.finish_reasons": "stop",
}
SELDOM_S = 0.2
SEGMENTS = 10
"""Calls and control take turns so many times."""


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Throw spans away: only the caller's side is compared."""
        return SpanExportResult.SUCCESS


class Subjects:
    """The three things that are timed, each as one call."""

    def __init__(self) -> None:
        texts = documents(2, size=600, seed=1)
        self._messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": texts[0]}]
        self._output = texts[1]
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(_Nowhere(), max_queue_size=1 << 20))
        self._tracer = provider.get_tracer("bench")
        self.shutdown = provider.shutdown

    def nothing(self) -> None:
        """Time the clock itself."""

    def ours(self) -> None:
        """Record a call as an application does by hand."""
        call = llmtower.call(provider="openai", model="gpt-4o", input=self._messages, parameters=PARAMETERS)
        call.finish(
            output=self._output, usage=USAGE, response_id="chatcmpl-123", response_model="gpt-4o-2024-08-06", finish_reasons=["stop"]
        )

    def span(self) -> None:
        """Record a span with ten attributes and no content."""
        with self._tracer.start_as_current_span("chat gpt-4o") as span:
            for key, value in ATTRIBUTES.items():
                span.set_attribute(key, value)


def run(quick: bool) -> list[Figure]:
    """Measure everything."""
    rounds, count = (5, 1_000) if quick else (9, 3_000)
    subjects = Subjects()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder:
        with _kafka(Path(folder)) as address:
            llmtower.configure(app="bench", bootstrap_servers=address, spool_dir=Path(folder) / "spool")
            figures += _against_otel(subjects, rounds, count)
            figures += _closing("Kafka up")
        for name, listening in (("broker dead", False), ("broker mute", True)):
            with _deaf(listening) as address:
                llmtower.configure(app="bench", bootstrap_servers=address, spool_dir=Path(folder) / name)
                figures += _without_broker(subjects, name, 5_000 if quick else 20_000)
                figures += _closing(name)
    subjects.shutdown()
    return figures


def _against_otel(subjects: Subjects, rounds: int, count: int) -> list[Figure]:
    variants = {"nothing": subjects.nothing, "control": control, "ours": subjects.ours, "span": subjects.span}
    taken: dict[str, list[Nanoseconds]] = {name: [] for name in variants}
    timed(subjects.ours, 500)
    timed(subjects.span, 500)
    for number in range(rounds):
        for name in list(variants)[:: -1 if number % 2 else 1]:
            taken[name].append(timed(variants[name], count))
    report = llmtower.flush(30)
    added = {name: (_added(taken, name, 0.5), _added(taken, name, 0.99)) for name in taken}
    (ours, tail), (span, _) = added["ours"], added["span"]
    load = f"{rounds} rounds of {count} calls, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    best = min(percentile(one, 0.5) for one in taken["ours"])
    cold = {name: statistics.median(percentile(one[::BURST], 0.5) for one in rounds_) for name, rounds_ in taken.items()}
    return [
        at_most("SDK: added per call, p50", ours, "µs", 5, f"{load}; quietest round {best:.2f} µs"),
        at_most(
            "SDK: added per call, p99",
            tail,
            "µs",
            25,
            f"span: {added['span'][1]:.0f} µs; control loop of {added['control'][0]:.1f} µs: {added['control'][1]:.0f} µs",
        ),
        at_most("SDK: ratio to an OpenTelemetry span with 10 attributes", ours / span, "", 0.15, f"span p50 {span:.1f} µs"),
        Figure("SDK: first call after a pause", cold["ours"], "µs", note=f"caches cold; span: {cold['span']:.0f} µs"),
        Figure("SDK: delivered of what was emitted", _share(), "", "= 1", report.complete and _share() == 1.0),
    ]


def _added(taken: dict[str, list[Nanoseconds]], name: str, share: float) -> float:
    """Give the median over rounds of a percentile, less what the clock itself costs."""
    own = statistics.median(percentile(one, share) for one in taken[name])
    return own - statistics.median(percentile(one, 0.5) for one in taken["nothing"])


def _share() -> float:
    stats = llmtower.stats()
    return stats.delivered / stats.emitted


def _without_broker(subjects: Subjects, name: str, count: int) -> list[Figure]:
    process = psutil.Process()
    timed(subjects.ours, 2_000, SELDOM_S)
    gc.collect()
    before = process.memory_info().rss
    found, bare = _turns(subjects, count)
    taken, net = [taken for taken, _ in found], [net for _, net in found]
    grown = (process.memory_info().rss - before) / (1 << 20)
    stats = llmtower.stats()
    balanced = stats.emitted == stats.delivered + stats.spooled + stats.dropped + stats.queued
    machine = f"in a process without llmtower a bare loop of {percentile(bare, 0.5):.1f} µs"
    slow = sum(one > 1_000_000 for one in taken), sum(one > 1_000_000 for one in bare)
    return [
        at_most(f"SDK, {name}: worst call", max(taken) / 1_000, "µs", 1_000, f"{machine}: {max(bare) / 1_000:.0f} µs"),
        at_most(
            f"SDK, {name}: worst call less its waiting for a core",
            max(net) / 1_000,
            "µs",
            1_000,
            f"above 1 ms: {slow[0]} of {len(taken)} calls, {slow[1]} bare loops",
        ),
        at_most(
            f"SDK, {name}: p99",
            percentile(taken, 0.99),
            "µs",
            25,
            f"p50 {percentile(taken, 0.5):.2f} µs; {machine}: {percentile(bare, 0.99):.0f} µs",
        ),
        at_most(f"SDK, {name}: memory grown", grown, "MiB", 64, f"over {count} calls; books balance: {balanced}"),
    ]


def _turns(subjects: Subjects, count: int) -> tuple[list[tuple[int, int]], Nanoseconds]:
    """Give the calls' times, with and without what the threads waited for a core, and the control's beside them."""
    found: list[tuple[int, int]] = []
    bare: Nanoseconds = []
    threads = [thread for thread in threading.enumerate() if thread.name in (THREAD, "MainThread")]
    with Control() as other, waiting(*threads) as waited_ns:
        for _ in range(SEGMENTS):
            found += watched(subjects.ours, count // SEGMENTS, SELDOM_S, waited_ns)
            bare += other.timed(count // SEGMENTS, SELDOM_S)
    return found, bare


def _closing(name: str) -> list[Figure]:
    for _ in range(200):
        with llmtower.call(model="last"):
            pass
    started = time.monotonic()
    llmtower.close()
    seconds = time.monotonic() - started
    stats: Any = llmtower.stats()
    return [at_most(f"SDK, {name}: close()", seconds, "s", 2, f"left: {stats.queued} queued, {stats.spooled} spooled")]


@contextmanager
def _kafka(folder: Path) -> Iterator[str]:
    with KafkaProcess(folder / "kafka") as node:
        asyncio.run(_topics(node.bootstrap_servers))
        yield node.bootstrap_servers


async def _topics(address: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1) for topic in (CALLS, SIGNALS)])
    await admin.close()


@contextmanager
def _deaf(listening: bool) -> Iterator[str]:
    """Give an address where nobody listens, or where connections are accepted and never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if listening:
            listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


if __name__ == "__main__":
    main(run)
