"""Calls in bursts, each timed, and how long the kernel let the timing threads wait for a core meanwhile. Imports nothing of ours.

Run as a program it is the control: the same bursts of a bare loop in a process without llmtower, so many calls for each number on
standard input. What befalls that process is the machine's doing.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BURST = 200
Nanoseconds = list[int]


def control() -> None:
    """Count for about as long as a call takes: what is longer is hit by the machine more often."""
    for _ in range(500):
        pass


def timed(subject: Callable[[], None], count: int, pause_s: float = 0.05) -> Nanoseconds:
    """Time each of `count` calls, made in bursts."""
    return [taken for taken, _ in watched(subject, count, pause_s, lambda: 0)]


def watched(subject: Callable[[], None], count: int, pause_s: float, waited_ns: Callable[[], int]) -> list[tuple[int, int]]:
    """Give for each call its time, and that time less what `waited_ns` has grown by meanwhile (asking costs the call warm caches)."""
    clock, found = time.perf_counter_ns, []
    for number in range(count):
        before, start = waited_ns(), clock()
        subject()
        taken = clock() - start
        found.append((taken, max(0, taken - (waited_ns() - before))))
        if number % BURST == BURST - 1:
            time.sleep(pause_s)
    return found


def percentile(taken: Nanoseconds, share: float) -> float:
    """Give a percentile in microseconds."""
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * share))] / 1_000


@contextmanager
def waiting(*threads: threading.Thread) -> Iterator[Callable[[], int]]:
    """Give a function of how long threads have been ready to run without a core, in nanoseconds (Linux; elsewhere 0).

    The kernel's figure (`schedstat`); what a hypervisor takes is not in it.
    """
    paths = [Path(f"/proc/self/task/{thread.native_id}/schedstat") for thread in threads]
    files = [os.open(path, os.O_RDONLY) for path in paths if path.exists()]
    try:
        yield lambda: sum(int(os.pread(file, 100, 0).split()[1]) for file in files)
    finally:
        for file in files:
            os.close(file)


class Control:
    """The control process."""

    def __enter__(self) -> "Control":
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def timed(self, count: int, pause_s: float) -> Nanoseconds:
        """Let it time as many calls."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(count, pause_s, file=self._process.stdin, flush=True)
        return [int(taken) for taken in self._process.stdout.readline().split()]

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


if __name__ == "__main__":
    for order in sys.stdin:
        print(*timed(control, int(order.split()[0]), float(order.split()[1])), flush=True)
