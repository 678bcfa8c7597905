"""What is configured in this process: read by every call, written by `configure` and `close` alone."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from llmtower.errors import warn_once

if TYPE_CHECKING:
    from llmtower.books import Stats
    from llmtower.client import Client
    from llmtower.outbox import Outbox

client: "Client | None" = None
outbox: "Outbox | None" = None
"""The client's outbox, a name of its own because every call reads it."""

final: "Stats | None" = None
"""The books of the last client, once it is closed."""

silent = False
"""True after `configure` has said why nothing is recorded, and when the SDK is switched off."""


def unconfigured() -> None:
    """Say once that nothing is recorded, and which setting is missing."""
    if not silent:
        warn_once(
            "unconfigured",
            "llmtower is not configured, so calls are not recorded: call llmtower.configure(app=…, bootstrap_servers=…), or set "
            "LLMTOWER_APP and LLMTOWER_KAFKA__BOOTSTRAP_SERVERS and call llmtower.configure(). LLMTOWER_ENABLED=false silences this.",
        )


def use(new: "Client | None", *, quiet: bool) -> None:
    """Make a client the one that calls are left with; None switches recording off."""
    global client, outbox, silent
    client, outbox, silent = new, new.outbox if new is not None else None, quiet


def folder() -> Path | None:
    """Give the place for what outlives the process (XDG base directories); None, said once, for a user without a home."""
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "llmtower"
    except RuntimeError:
        warn_once("home", "llmtower keeps nothing on the disk: this user has no home directory. Set HOME or XDG_STATE_HOME.")
        return None
