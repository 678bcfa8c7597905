"""What an idle `llmtower up` costs: CPU of all its processes over a minute, and their memory."""

import time

from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.stand import Stand, cpu_seconds, memory_mib, stand

SETTLE_S = 20


def run(quick: bool) -> list[Figure]:
    """Measure."""
    began = time.monotonic()
    with stand() as running:
        ready_s = time.monotonic() - began
        time.sleep(SETTLE_S)
        before, at = _own_cpu(running), time.monotonic()
        time.sleep(20 if quick else 60)
        seconds = time.monotonic() - at
        share = {role: (used - before[role]) / seconds * 100 for role, used in _own_cpu(running).items()}
        memory = {role: memory_mib(pid) for role, pid in running.pids().items()}
    return [
        Figure("`llmtower up` ready after", ready_s, "s", note="an empty data directory, Kafka's jars already there"),
        at_most("idle CPU", sum(share.values()), "% of a core", 5, _by_role(share, ".1f")),
        at_most("idle memory", sum(memory.values()), "MiB", 1_536, _by_role(memory, ".0f")),
    ]


def _own_cpu(running: Stand) -> dict[str, float]:
    """CPU by role; `up` without that of its children, which have roles of their own."""
    used = {role: cpu_seconds(pid) for role, pid in running.pids().items()}
    used["up"] -= sum(seconds for role, seconds in used.items() if role != "up")
    return used


def _by_role(values: dict[str, float], form: str) -> str:
    return ", ".join(f"{role} {value:{form}}" for role, value in values.items())


if __name__ == "__main__":
    main(run)
