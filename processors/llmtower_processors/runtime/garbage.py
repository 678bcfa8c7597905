"""No cyclic garbage collection while a range is computed: it would walk 20,000 fresh objects again and again, a fifth of the CPU time."""

import contextlib
import gc
import threading
from collections.abc import Iterator


class Collector:
    """The process's collector, which several threads may hold off at a time; one that was off stays off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._was_on = False

    @contextlib.contextmanager
    def held_off(self) -> Iterator[None]:
        """Keep it from running until the last of those inside has left."""
        with self._lock:
            if not self._holders:
                self._was_on = gc.isenabled()
                gc.disable()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders and self._was_on:
                    gc.enable()


COLLECTOR = Collector()
"""The one of this process."""
