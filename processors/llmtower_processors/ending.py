"""How a process ends that computes in threads: Python would wait for each of them, a model's for as long as it reads its texts."""

import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

log = logging.getLogger(__name__)

PATIENCE_S: Final = 1.0
"""How long threads that are told to end may take: those that have nothing to do need no more."""


def busy_threads(patience_s: float) -> list[threading.Thread]:
    """Give the threads for which Python would wait, after some patience."""
    ends = time.monotonic() + patience_s
    held = [one for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon]
    for one in held:
        one.join(max(0.0, ends - time.monotonic()))
    return [one for one in held if one.is_alive()]


def end_without(threads: Sequence[threading.Thread], code: int) -> None:
    """End this process at once if there are any: what they had not stored yet is replayed by the next owner, as after a crash."""
    if not threads:
        return
    log.info("ending without %s, which still computes", ", ".join(sorted(one.name for one in threads)))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
