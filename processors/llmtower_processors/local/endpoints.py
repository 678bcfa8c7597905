"""What a running `llmtower up` tells other commands: `endpoints.json`, `credentials.json` and the lock of its data directory."""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from llmtower_processors.local.errors import DataDirBusyError, LocalStackError

FILE_NAME = "endpoints.json"
CREDENTIALS_NAME = "credentials.json"
LOCK_NAME = "lock"
LOCK_PATIENCE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Addresses of a running stack (`host:port`, `http://host:port`) and the pids of its processes by role."""

    kafka: str
    clickhouse: str
    web: str | None = None
    gateway: str | None = None
    pids: Mapping[str, int] = field(default_factory=dict)


def find_endpoints(data_dir: Path) -> Endpoints | None:
    """Return the endpoints of the `up` that runs on this data directory, or None when none does."""
    try:
        found = Endpoints(**json.loads((data_dir / FILE_NAME).read_bytes()))
        os.kill(found.pids["up"], 0)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if _is_locked(data_dir) else None


def read_credentials(data_dir: Path) -> dict[str, str]:
    """Return the engine's passwords by user (`writer`, `content`, `dashboards`)."""
    return dict(json.loads((data_dir / CREDENTIALS_NAME).read_bytes()))


def write_endpoints(data_dir: Path, endpoints: Endpoints) -> None:
    """Replace `endpoints.json` in one step."""
    scratch = data_dir / f"{FILE_NAME}.new"
    scratch.write_text(json.dumps(asdict(endpoints)) + "\n", "utf-8")
    scratch.replace(data_dir / FILE_NAME)


def remove_endpoints(data_dir: Path) -> None:
    """Remove `endpoints.json`: nothing is to be found there now."""
    (data_dir / FILE_NAME).unlink(missing_ok=True)


class DataDirLock:
    """The claim of one `up` on its data directory; the kernel gives it up when the process ends, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalStackError(f"cannot write to the data directory {data_dir} ({error.strerror}): choose another --data-dir") from error
        if not _claim(self._file):
            holder = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise DataDirBusyError(f"another llmtower up or demo (pid {holder}) runs on {data_dir}: stop it, or choose another --data-dir")
        os.truncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the claim up."""
        os.close(self._file)


def _claim(file: int) -> bool:
    """Take the lock, waiting a little for another process that only looks (`_is_locked`)."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _is_locked(data_dir: Path) -> bool:
    try:
        file = os.open(data_dir / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
