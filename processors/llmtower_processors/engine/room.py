"""Keeps the engine off a full disk: chdb takes a failed write for a good one and acknowledges rows that are not there.

Seen with 4.4 on a full disk, and with strace: every write() of an INSERT failed (ENOSPC, EFBIG), the INSERT was answered with success,
and its part was broken for ever; so was the deduplication log. A merge would put such a part in the place of good ones. What the
engine reserves for itself does not help against others who fill the disk. So no INSERT begins, and merges stop, while there still is
room for what is under way.
"""

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Final, Protocol

from llmtower_processors.engine.errors import NOT_ENOUGH_SPACE, EngineError

log = logging.getLogger("llmtower.engine")

RESERVE: Final = 256 * 2**20
"""Bytes that stay free, for what is under way when others fill the disk."""
LOOK_S = 0.2
"""Seconds between two looks: time for others to write less than the reserve."""


class Merging(Protocol):
    """What merges in the background."""

    def hold_merges(self, held: bool) -> None:
        """Stop merges, those under way too; or let them go on."""


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the disk of a folder."""
    return shutil.disk_usage(folder).free


def require(folder: Path, size: int = 0) -> None:
    """Raise EngineError, which clients take for one that passes, unless `size` bytes leave the reserve untouched."""
    free = free_bytes(folder)
    if free < RESERVE + size:
        raise EngineError(
            NOT_ENOUGH_SPACE,
            f"The disk of the data directory has {free >> 20} MiB left and {RESERVE >> 20} MiB must stay free: free space on it.",
        )


async def watch(folder: Path, merging: Merging) -> None:
    """Hold merges whenever the disk is nearly full, for ever."""
    held = False
    while True:
        low = free_bytes(folder) < (2 * RESERVE if held else RESERVE)
        if low != held:
            held = low
            merging.hold_merges(held)
            if held:
                log.error("The disk of the data directory is full but for %d MiB: no INSERT, no merge until some is freed.", RESERVE >> 20)
            else:
                log.warning("There is room on the disk of the data directory again: going on.")
        await asyncio.sleep(LOOK_S)
