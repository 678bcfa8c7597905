"""What the live benchmarks stand on: `llmtower up` in a folder of its own, CPU and memory of its processes, a count of what is stored."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import clickhouse_connect
import psutil  # type: ignore[import-untyped]  # ships no types
from clickhouse_connect.driver.client import Client

from llmtower_processors.local.endpoints import Endpoints, find_endpoints, read_credentials
from tests.ports import ANY_PORTS

START_S = 180.0
LOG = "up.log"
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""With it every child would compile 1.6 MB of prices at each start, which no user's does."""


@dataclass(frozen=True)
class Stand:
    """A running stack."""

    data_dir: Path
    endpoints: Endpoints
    client: Client
    process: subprocess.Popen[bytes] = field(repr=False)

    def pids(self) -> dict[str, int]:
        """Process id by role, of everything that lives."""
        return dict((find_endpoints(self.data_dir) or self.endpoints).pids)

    def pid(self, role: str) -> int:
        """Process id by role: up, kafka, clickhouse, worker, …"""
        return self.pids()[role]

    def count(self, table: str = "calls") -> int:
        """Rows that a query sees."""
        return int(str(self.client.command(f"SELECT count() FROM {table}")))

    def wait_for(self, rows: int, timeout_s: float, *, table: str = "calls", every_s: float = 0.2) -> None:
        """Return when a table has that many rows. Raises TimeoutError."""
        wait_until(f"{rows:,} rows in {table}", lambda: self.count(table) >= rows, timeout_s, every_s=every_s)


@contextmanager
def stand(**environment: str) -> Iterator[Stand]:
    """Start `llmtower up` on free ports, and stop it again; `environment` is added to that of this process."""
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder)
        with (data_dir / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "llmtower_processors.cli", "up", "--data-dir", folder, *ANY_PORTS],
                env={**{name: value for name, value in os.environ.items() if name != _NO_BYTECODE}, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            endpoints = _wait_for_endpoints(process, data_dir)
            with connect(endpoints, data_dir) as client:
                yield Stand(data_dir, endpoints, client, process)
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def connect(endpoints: Endpoints, data_dir: Path) -> Client:
    """Connect as the writer."""
    host, _, port = endpoints.clickhouse.removeprefix("http://").partition(":")
    password = read_credentials(data_dir)["writer"]
    return clickhouse_connect.get_client(host=host, port=int(port), username="writer", password=password, database="llmtower")


def cpu_seconds(pid: int) -> float:
    """CPU seconds a process and its children have used so far, all threads."""
    total = 0.0
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def memory_mib(pid: int) -> float:
    """Memory of one process that it shares with no other (its proportional share of the rest), MiB."""
    return float(psutil.Process(pid).memory_full_info().pss) / (1 << 20)


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float, *, every_s: float = 0.2) -> None:
    """Poll until it is so. Raises TimeoutError naming what did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(every_s)


def _wait_for_endpoints(process: subprocess.Popen[bytes], data_dir: Path) -> Endpoints:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if endpoints := find_endpoints(data_dir):
            return endpoints
        if process.poll() is not None:
            raise RuntimeError(f"`llmtower up` ended with {process.returncode}: {(data_dir / LOG).read_text()[-500:]}")
        time.sleep(0.1)
    raise TimeoutError(f"`llmtower up` was not ready within {START_S:.0f} s: {(data_dir / LOG).read_text()[-500:]}")
