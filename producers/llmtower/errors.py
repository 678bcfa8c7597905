"""The one place where a fault of our own ends: logged in production, raised under pytest, never in the host."""

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

LOG = logging.getLogger("llmtower")
_REPEAT_S = 60.0
_last: dict[str, float] = {}
_warned: set[str] = set()
_lock = threading.RLock()
"""Reentrant: a signal handler or a finaliser may come in here while its own thread holds it."""


class SdkError(Exception):
    """Root of what the SDK raises inside itself; it never reaches the host."""

    retriable = False


class Undelivered(SdkError):  # noqa: N818 - a state of an envelope, named as the books name it
    """An envelope was not acknowledged; `attempted` says whether it may have been stored all the same."""

    retriable = True

    def __init__(self, reason: str, *, attempted: bool) -> None:
        super().__init__(reason)
        self.attempted = attempted


class Rejected(SdkError):  # noqa: N818 - as above
    """The broker refused this very envelope for good: sending it again cannot help."""


class SpoolFull(SdkError):  # noqa: N818 - as above
    """The spool's limit or the disk's end is reached; nothing was written."""


def internal_error(where: str) -> None:
    """Report the exception being handled: raise it again under pytest, else log it at most once a minute per place."""
    if "PYTEST_VERSION" in os.environ:
        raise
    now = time.monotonic()
    with _lock:
        if now - _last.get(where, -_REPEAT_S) < _REPEAT_S:
            return
        _last[where] = now
    LOG.warning("Internal error in llmtower (%s); your application is not affected. Please report it.", where, exc_info=True)


def warn_once(key: str, message: str, *arguments: object) -> None:
    """Log a warning the first time that `key` is seen in this process."""
    with _lock:
        if key in _warned:
            return
        _warned.add(key)
    LOG.warning(message, *arguments)


def forget_warnings() -> None:
    """Let every warning be said again: after a new configuration, in a forked child, between tests."""
    with _lock:
        _warned.clear()
        _last.clear()


def renew_lock() -> None:
    """Replace the lock in a forked child: another thread of the parent may have held it."""
    global _lock
    _lock = threading.RLock()
    forget_warnings()


def faults_of(error: "ValidationError") -> str:
    """Name the settings that are wrong, never their values."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    names = ["LLMTOWER_" + "__".join(str(part).upper() for part in fault["loc"]) for fault in faults]
    return "; ".join(f"{name}: {fault['msg']}" for name, fault in zip(names, faults, strict=True))
