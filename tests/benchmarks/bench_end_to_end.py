"""Everything on this machine at once, load generator included: Kafka, engine, views, worker with all its processors.

An event is a call: its 1.6 kB response with contents; its request is sent and stored besides. Three runs: as fast as the store keeps up;
at half that rate, how long until a query sees an event; a live rate of 5,000 events/s, the worker paused meanwhile, then drained. The first
two once more with the scoring process beside, which then has all that to work off.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import psutil  # type: ignore[import-untyped]  # ships no types

from tests.benchmarks.figures import Figure, at_least, at_most, main
from tests.benchmarks.sender import Job, Outcome, Sender
from tests.benchmarks.stand import Stand, cpu_seconds, memory_mib, stand, wait_until

LIVE_RATE = 5_000
PAUSE_S = 15
"""Shorter than Kafka's session timeout: the worker keeps its partitions."""
STORE_S = 300


@dataclass
class Progress:
    """What a query saw, and when: rows of `calls`, and the highest offset of each partition."""

    times: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    offsets: list[dict[int, int]] = field(default_factory=list)

    def rate(self, first_s: float, last_s: float) -> float:
        """Rows per second between two moments."""
        seen = [(at, rows) for at, rows in zip(self.times, self.rows, strict=True) if first_s <= at <= last_s]
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def run(quick: bool) -> list[Figure]:
    """Measure."""
    with stand() as running:
        with _stopped(running.pid("scoring")):
            fastest, figures = _sustained(running, 15 if quick else 60)
            figures += _latency(running, fastest / 2, 10 if quick else 30)
            figures += _drain(running, 40 if quick else 60)
        rate, beside = _sustained(running, 15 if quick else 60)
        beside += _latency(running, rate / 2, 10 if quick else 30)
    return figures + [replace(figure, name=f"{figure.name}, scoring beside", target="", ok=None) for figure in beside]


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Freeze what only scores: it takes every core that nothing else wants, and so hides what the pipeline leaves over."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _sustained(running: Stand, seconds: float) -> tuple[float, list[Figure]]:
    sender = Sender(Job(running.endpoints.kafka, rate=0, seconds=seconds + 5))
    before = {role: cpu_seconds(pid) for role, pid in running.pids().items() if role != "up"}
    first, idle = running.count(), psutil.cpu_times().idle
    progress, outcome = watch(running, sender, lambda rows: _tell(sender, rows - first), every_s=0.25)
    idle = psutil.cpu_times().idle - idle
    used = {role: cpu_seconds(running.pids()[role]) - cpu for role, cpu in before.items()} | {"load generator": outcome.cpu_s}
    wall = progress.times[-1] - progress.times[0]
    used |= {"idle": idle, "all others on the machine": wall * (os.cpu_count() or 1) - idle - sum(used.values())}
    rate = progress.rate(progress.times[0] + 5, progress.times[0] + 5 + seconds)
    shares = ", ".join(f"{role} {cpu / wall:.0%}" for role, cpu in used.items())
    name = f"end to end, sustained {seconds:.0f} s, {os.cpu_count()} cores"
    return rate, [
        at_least(name, rate, "events/s", 15_000, f"of a core: {shares}"),
        Figure("memory of the worker afterwards", memory_mib(running.pid("worker")), "MiB"),
    ]


def _latency(running: Stand, rate: float, seconds: float) -> list[Figure]:
    sender = Sender(Job(running.endpoints.kafka, rate=rate, seconds=seconds, seed=2))
    progress, outcome = watch(running, sender, lambda _rows: None, every_s=0.05, offsets=True)
    found = sorted(waits(progress, outcome))
    points = statistics.quantiles(found, n=100)
    note = f"at {rate:,.0f} events/s; p50 {points[49]:.2f} s, p99 {points[98]:.2f} s, worst {found[-1]:.2f} s; asked every 50 ms"
    return [at_most("event → queryable, half the maximum rate, p95", points[94], "s", 2.0, note)]


def waits(progress: Progress, outcome: Outcome) -> Iterator[float]:
    """For each record, the time from its sending to the first query that saw it."""
    for partition in {record.partition for record in outcome.sent}:
        step = 0
        for record in sorted((one for one in outcome.sent if one.partition == partition), key=lambda one: one.offset):
            while progress.offsets[step].get(partition, -1) < record.offset:
                step += 1
            yield progress.times[step] - record.at


def _drain(running: Stand, seconds: float) -> list[Figure]:
    first = running.count()
    sender = Sender(Job(running.endpoints.kafka, rate=LIVE_RATE, seconds=seconds, seed=3))
    worker = running.pid("worker")
    began, paused = time.monotonic(), False
    freed = caught_up = 0.0
    at_freed = at_caught_up = 0

    def look(rows: int) -> None:
        nonlocal paused, freed, caught_up, at_freed, at_caught_up
        elapsed, stored = time.monotonic() - began, rows - first
        if not paused and elapsed > 5:
            os.kill(worker, signal.SIGSTOP)
            paused = True
        elif paused and not freed and elapsed > 5 + PAUSE_S:
            os.kill(worker, signal.SIGCONT)
            freed, at_freed = time.monotonic(), stored
        elif freed and not caught_up and sender.sent.value - stored < 1.5 * LIVE_RATE:
            caught_up, at_caught_up = time.monotonic(), stored

    with _let_go(worker):
        watch(running, sender, look, every_s=0.1)
    rate = (at_caught_up - at_freed) / (caught_up - freed)
    note = f"{rate:,.0f} events/s while {LIVE_RATE:,} more came in each second; caught up after {caught_up - freed:.1f} s"
    return [at_least(f"drain after a pause of {PAUSE_S} s", rate / LIVE_RATE, "times the live rate", 3.0, note)]


@contextmanager
def _let_go(pid: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _tell(sender: Sender, stored: int) -> None:
    sender.stored.value = stored


def watch(
    running: Stand, sender: Sender, look: Callable[[int], None], *, every_s: float, offsets: bool = False
) -> tuple[Progress, Outcome]:
    """Let the sender go and look at the store until it has ended and everything it sent is there."""
    progress = Progress()
    first = running.count()
    floor = _offsets(running, -1)
    sender.start()

    def all_stored() -> bool:
        rows = running.count()
        if offsets:
            progress.offsets.append(_offsets(running, min(floor.values(), default=-1)))
        progress.times.append(time.monotonic())
        progress.rows.append(rows)
        look(rows)
        return sender.ended() and rows - first >= sender.sent.value

    wait_until("all that was sent is stored", all_stored, STORE_S, every_s=every_s)
    return progress, sender.result()


def _offsets(running: Stand, above: int) -> dict[int, int]:
    sql = "SELECT kafka_partition, max(kafka_offset) FROM calls WHERE kafka_offset > {above:Int64} GROUP BY kafka_partition"
    return {int(partition): int(offset) for partition, offset in running.client.query(sql, parameters={"above": above}).result_rows}


if __name__ == "__main__":
    main(run)
