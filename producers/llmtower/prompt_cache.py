"""Edge: the prompts that an application has used, on its disk, for a start without Kafka. Written whole, checked when read."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from llmtower.errors import warn_once

_FORMAT: Final = "llmtower prompts 1"
MAX_FILE_BYTES: Final = 64 << 20

Held = dict[str, dict[str, Any]]
"""Name → `{"versions": {"7": the record's value as a mapping}, "labels": {"production": 7}}`."""


class PromptCache:
    """One file per registry. Only its user may read it: prompts are content."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.path = folder / f"{hashlib.sha256(registry.encode()).hexdigest()[:16]}.json"

    def read(self) -> Held:
        """Give what is there; a file that is damaged is passed over with a warning, and replaced by the next write."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            warn_once("prompt-cache", "llmtower cannot read its cache of prompts at %s (%s).", self.path, type(error).__name__)
            return {}
        head, _, payload = raw.partition(b"\n")
        if head == _head(payload):
            with suppress(ValueError):
                found = orjson.loads(payload)
                if isinstance(found, dict):
                    return found
        warn_once("prompt-cache", "llmtower's cache of prompts at %s is damaged; it is not used, and soon replaced.", self.path)
        return {}

    def write(self, held: Mapping[str, Mapping[str, Any]]) -> None:
        """Put these prompts beside those that are there. Never raises: an application without a disk has no cache."""
        temporary = ""
        try:
            payload = orjson.dumps({**self.read(), **held})
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".new-")
            with os.fdopen(number, "wb") as file:
                file.write(_head(payload) + b"\n" + payload)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except OSError as error:
            warn_once("prompt-cache-write", "llmtower cannot keep prompts at %s (%s).", self.path, type(error).__name__)
            if temporary:
                with suppress(OSError):
                    Path(temporary).unlink()


def _head(payload: bytes) -> bytes:
    return f"{_FORMAT} {hashlib.sha256(payload).hexdigest()}".encode()
