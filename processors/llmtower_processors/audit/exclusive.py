"""One repair at a time: two would both insert what is missing.

The lock is a file of this machine's user, given up by the kernel however the process ends. Repairs from two machines at once are not kept
apart: what both have inserted is doubled, and the next audit finds and deletes it. The audit by timer never repairs.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from llmtower_processors.errors import LlmtowerError


class RepairRunning(LlmtowerError):  # noqa: N818 - reads as a state
    """Another repair of the same database is under way."""


def lock_path(database: str) -> Path:
    """Give the lock file for a database, named by its address."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "llmtower" / f"repair-{sha256(database.encode()).hexdigest()[:12]}.lock"


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock. Raises RepairRunning when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RepairRunning("Another `llmtower audit --repair` of this database is running: wait until it has ended.") from None
        yield
    finally:
        os.close(file)
