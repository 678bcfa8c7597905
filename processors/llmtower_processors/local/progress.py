"""Say what a slow download is doing: a bar on a terminal, plain lines elsewhere."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

MEGABYTE = 1_000_000
PLAIN_INTERVAL_S = 2.0


class DownloadProgress:
    """Progress of one download of `total` bytes made of several files; `add` may be called by many threads."""

    def __init__(self, title: str, total: int, console: Console | None = None) -> None:
        self._title = title
        self._total = total
        self._console = console or Console(stderr=True)
        self._lock = threading.Lock()
        self._done = 0
        self._began = self._said = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> "DownloadProgress":
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task(self._title, total=self._total)
            self._bar.start()
        else:
            self._say(f"{self._title}: {self._total / MEGABYTE:.0f} MB")
        return self

    def add(self, count: int) -> None:
        """Count `count` more bytes."""
        with self._lock:
            self._done += count
            if self._bar:
                self._bar.advance(self._task, count)
            elif time.monotonic() - self._said >= PLAIN_INTERVAL_S:
                self._said = time.monotonic()
                self._say(f"{self._title}: {self._done / MEGABYTE:.0f} of {self._total / MEGABYTE:.0f} MB")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        elif error is None:
            self._say(f"{self._title}: done in {time.monotonic() - self._began:.1f} s")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
