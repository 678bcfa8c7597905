"""Where the rows of an INSERT lie while the engine reads them: a file in shared memory, else in the data directory."""

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from llmtower_processors.engine import room
from llmtower_processors.engine.errors import NOT_ENOUGH_SPACE, EngineError

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder made in it is ours alone (0700)
_HEADROOM: Final = 64 * 2**20


def folder_name(data_dir: Path) -> str:
    """The folder in shared memory that belongs to one data directory."""
    return f"llmtower-{os.getuid()}-{hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]}"


class Inbox:
    """Hands out files that live for one INSERT; what a killed engine left behind is removed at start."""

    def __init__(self, data_dir: Path, *, shared_memory: Path = _SHARED_MEMORY) -> None:
        self._disk = data_dir / "inbox"
        self._memory = shared_memory / folder_name(data_dir) if os.access(shared_memory, os.W_OK) else None
        self._numbers = itertools.count()
        self.close()
        self._disk.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._memory is not None:
            self._memory.mkdir(mode=0o700)

    @contextmanager
    def file(self, data: memoryview) -> Iterator[Path]:
        """Write `data` to a file and remove it afterwards. Raises EngineError when the disk has no room for what becomes of it."""
        self.require_room(len(data))
        path = self._write(data)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def require_room(self, size: int = 0) -> None:
        """Raise EngineError when the data directory has no room for an INSERT."""
        room.require(self._disk.parent, size)

    def close(self) -> None:
        """Remove every file."""
        for folder in (self._disk, self._memory):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _write(self, data: memoryview) -> Path:
        name = f"{next(self._numbers)}.rows"
        if self._memory is not None and shutil.disk_usage(self._memory).free > len(data) + _HEADROOM:
            path = self._memory / name
            try:
                path.write_bytes(data)
            except OSError as error:
                path.unlink(missing_ok=True)
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return path
        path = self._disk / name
        try:
            path.write_bytes(data)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise EngineError(NOT_ENOUGH_SPACE, "The rows cannot be written to the data directory: free space on its disk.") from error
        return path
