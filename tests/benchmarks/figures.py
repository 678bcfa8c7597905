"""What a benchmark gives back, and how things are timed: interleaved in one run, medians, and how far the samples lie apart."""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `ok` is None where there is nothing to reach."""

    name: str
    value: float
    unit: str
    target: str = ""
    ok: bool | None = None
    note: str = ""


def at_least(name: str, value: float, unit: str, limit: float, note: str = "") -> Figure:
    """Make a figure that must not be below `limit`."""
    return Figure(name, value, unit, f"≥ {limit:,g}", value >= limit, note)


def at_most(name: str, value: float, unit: str, limit: float, note: str = "") -> Figure:
    """Make a figure that must not be above `limit`."""
    return Figure(name, value, unit, f"≤ {limit:,g}", value <= limit, note)


@dataclass(frozen=True, slots=True)
class Samples:
    """Repeated timings of one thing, in seconds."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    """Of all threads of this process."""

    @property
    def wall_s(self) -> float:
        """The median."""
        return statistics.median(self.wall)

    @property
    def cpu_s(self) -> float:
        """The median."""
        return statistics.median(self.cpu)

    def spread(self) -> str:
        """Say how noisy the CPU times are: the middle half, relative to the median."""
        low, _, high = statistics.quantiles(self.cpu, n=4)
        return f"±{(high - low) / 2 / self.cpu_s:.0%}"


def interleave(variants: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, Samples]:
    """Run every variant once per round (each is given the round's number), so that noise of the machine falls on all alike."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in list(variants)[:: -1 if number % 2 else 1]:
            wall, cpu = time.perf_counter(), time.process_time()
            variants[name](number)
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: Samples(tuple(wall for wall, _ in pairs), tuple(cpu for _, cpu in pairs)) for name, pairs in taken.items()}


def peak_rss_mib() -> float:
    """Give the most memory this process ever held; `ru_maxrss` would count what the process that started it held before (getrusage(2))."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(run: Callable[[bool], Sequence[Figure]]) -> None:
    """Run one benchmark by itself: `python -m tests.benchmarks.bench_rollups [--quick] [--json FILE]`."""
    parser = argparse.ArgumentParser(description=sys.modules[run.__module__].__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, rougher figures")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures = run(options.quick)
    for figure in figures:
        mark = {True: "ok", False: "NOT REACHED", None: ""}[figure.ok]
        print(f"{figure.name}: {figure.value:,.4g} {figure.unit}  {figure.target} {mark}  {figure.note}")
    if options.json:
        options.json.write_bytes(orjson.dumps([asdict(figure) for figure in figures]))
