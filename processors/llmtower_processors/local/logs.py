"""Log files of children: appended to, and bounded."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 8_000_000


def open_log(path: Path) -> BinaryIO:
    """Open a child's log for appending (0600), after bounding it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bound_log(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def bound_log(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Move what a log holds to `<name>.1` once it is longer than `max_bytes`; a writer in append mode goes on undisturbed."""
    if path.exists() and path.stat().st_size > max_bytes:
        shutil.copy2(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)


def last_line(path: Path) -> str:
    """Return the last non-empty line, or an empty string; reads no more than the last 4 kB."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
