"""Sends the history: one process per app, through the SDK's public API, so that it is in the producers' books like everything else.

`python -m llmtower_processors.demo.sender` reads one JSON line (`kafka`, `calls` by app, `end_ns`, `seed`), announces its progress as
`{"app", "sent"}` and ends with `{"app", "said"}`. It ends early, with true books, when standard input closes.
"""

import functools
import os
import sys
import threading
import time
from typing import Any

import llmtower

from .child import announce, fork_each, on_end_of_input, read_setup
from .closing import close_books
from .history import history

STRIDE = 200
"""After this many events the sender looks whether Kafka keeps up, and says how far it is."""
MAX_QUEUED = 4_000
"""Events left in the SDK's memory at most: far below the size at which it would drop."""


NICE = 10
"""The live calls come first."""


def send(name: str, setup: dict[str, Any]) -> None:
    """Send the history of one app."""
    os.nice(NICE)
    stop = threading.Event()
    on_end_of_input(stop.set)
    llmtower.configure(app=name, bootstrap_servers=setup["kafka"])
    calls = others = 0
    for number, event in enumerate(history(name, calls=setup["calls"][name], end_ns=setup["end_ns"], seed=setup["seed"]), start=1):
        llmtower.record(event)
        if event["type"] == "response":
            calls += 1
        elif event["type"] != "request":
            others += 1
        if number % STRIDE == 0:
            _wait(stop)
            announce({"app": name, "sent": calls})
        if stop.is_set() and event["type"] == "response":
            break
    announce({"app": name, "said": close_books(app=name, kind="history", calls=calls, others=others), "sent": calls})


def _wait(stop: threading.Event) -> None:
    """Wait while too much is queued: history has time, and must never be dropped."""
    while llmtower.stats().queued > MAX_QUEUED and not stop.is_set():
        time.sleep(0.005)


def main() -> int:
    """Fork a sender per app; the exit status is 1 when one failed."""
    setup = read_setup()
    return fork_each(list(setup["calls"]), functools.partial(send, setup=setup)) if setup else 0


if __name__ == "__main__":
    sys.exit(main())
