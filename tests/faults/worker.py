"""The worker with a wall clock that is wrong by the seconds in the file named by FAULTS_CLOCK, looked at 20 times a second.

`time.time()` and `time.time_ns()` of the whole process are moved, as a step of the machine's clock would; the monotonic clock is not.
"""

import os
import threading
import time
from pathlib import Path

_time, _time_ns = time.time, time.time_ns
_ahead = 0


def _watch(path: Path) -> None:
    global _ahead
    while True:
        try:
            _ahead = int(path.read_text() or 0)
        except FileNotFoundError:
            _ahead = 0
        time.sleep(0.05)


if __name__ == "__main__":
    time.time = lambda: _time() + _ahead
    time.time_ns = lambda: _time_ns() + _ahead * 1_000_000_000
    threading.Thread(target=_watch, args=(Path(os.environ["FAULTS_CLOCK"]),), daemon=True).start()
    from llmtower_processors.cli import main

    main()
