"""What a performance is given: what was asked for, the running parts, and how it learns that it is over."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from llmtower_processors.local.endpoints import Endpoints

from .processes import Process
from .told import Inbox


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for."""

    data_dir: Path
    seconds: float | None
    """Length of the live part; None = until Ctrl-C."""
    rate: float
    """Calls per second."""
    history: bool
    json_file: Path | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs already: the stack and the demo's own children."""

    endpoints: Endpoints
    standin: Process
    apps: Process
    sender: Process | None
    """None when no history is to be sent."""
    inbox: Inbox
    """What the worker tells of alerts."""


class Ending:
    """When the demo ends: `stop` when it is time, `interrupted` too when somebody pressed Ctrl-C."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.interrupted = asyncio.Event()

    def interrupt(self) -> None:
        """End now, the history included."""
        self.interrupted.set()
        self.stop.set()
