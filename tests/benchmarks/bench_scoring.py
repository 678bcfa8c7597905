"""What the low-priority scoring process costs the pipeline: event → queryable with it stopped, and with it busy on the backlog."""

import os
import signal
import statistics

from llmtower_processors.roles import SCORING
from tests.benchmarks.bench_end_to_end import waits, watch
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.sender import Job, Sender
from tests.benchmarks.stand import Stand, cpu_seconds, memory_mib, stand

RATE = 5_000
"""Calls per second: what the issue of scoring asks for, half of what this machine stores at most."""


def run(quick: bool) -> list[Figure]:
    """Measure."""
    seconds = 8 if quick else 20
    with stand() as running:
        scoring = running.pid("scoring")
        _freshness(running, 5, seed=1)
        os.kill(scoring, signal.SIGSTOP)
        try:
            alone = _freshness(running, seconds, seed=2)
        finally:
            os.kill(scoring, signal.SIGCONT)
        before = cpu_seconds(scoring)
        beside = _freshness(running, seconds, seed=3)
        used = (cpu_seconds(scoring) - before) / seconds
        note = f"scoring used {used:.0%} of a core, {memory_mib(scoring):.0f} MiB; {RATE:,} calls/s; scoring: {', '.join(SCORING)}"
    return [
        at_most("event → queryable, scoring stopped, p95", alone, "s", 2.0),
        at_most("event → queryable, scoring busy with its backlog, p95", beside, "s", 2.0, note),
        Figure("what scoring adds to the p95", beside - alone, "s"),
    ]


def _freshness(running: Stand, seconds: float, *, seed: int) -> float:
    sender = Sender(Job(running.endpoints.kafka, rate=RATE, seconds=seconds, seed=seed))
    progress, outcome = watch(running, sender, lambda _rows: None, every_s=0.05, offsets=True)
    return statistics.quantiles(sorted(waits(progress, outcome)), n=20)[-1]


if __name__ == "__main__":
    main(run)
