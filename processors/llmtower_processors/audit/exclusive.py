"""One repair of a database at a time, from whatever machine: two would both insert what is missing.

The lock is kept in ClickHouse, in `repairs`, and rests on what everything here rests on: of two inserts under one token the first counts.
Whoever inserts number n + 1 first repairs; it beats while it works. A repair that was killed is over when it has been silent for a minute
(at once, if its process ran on this machine and is gone). One that slept longer, and whose place was taken, ends at its next step.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llmtower_processors.audit.tables import insert, select
from llmtower_processors.errors import LlmtowerError
from llmtower_processors.runtime.model import Block

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

BEAT_S = 10.0
SILENT_S: Final = 60
_LAST: Final = """
SELECT number, any(owner), max(ended), dateDiff('second', max(at), now64(3)) FROM repairs GROUP BY number ORDER BY number DESC LIMIT 1
"""


class RepairRunning(LlmtowerError):  # noqa: N818 - reads as a state
    """Another repair of the same database is under way."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to repair: a number that nobody else has."""

    client: "Client"
    number: int
    owner: str

    def check(self) -> None:
        """Raise RepairRunning when another repair has taken the place of this one, which was silent for too long."""
        number, owner, _, _ = _last(self.client)
        if (number, owner) != (self.number, self.owner):
            raise RepairRunning(f"This repair was silent for more than {SILENT_S} s and {owner} has begun another: let that one end.")

    def say(self, beat: int, *, ended: bool = False) -> None:
        """Write a beat, or that it is over."""
        block = Block("repairs", {"number": [self.number], "owner": [self.owner], "ended": [ended]})
        insert(self.client, block, f"repair:{self.number}:{beat}:{self.owner}:{ended}" if beat else f"repair:{self.number}")


@contextmanager
def exclusive(connect: "Callable[[], Client]", owner: str = "") -> Iterator[Turn]:
    """Take the turn and give it back. Raises RepairRunning when another repair has it."""
    client = connect()
    number, other, ended, silent_s = _last(client)
    if not (ended or silent_s > SILENT_S or _gone(other)):
        raise RepairRunning(f"Another `llmtower audit --repair` of this database runs ({other}): wait until it has ended. {_KILLED}")
    turn = Turn(client, number + 1, owner or f"{socket.gethostname()}, pid {os.getpid()}, {os.urandom(4).hex()}")
    turn.say(0)
    turn.check()
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(Turn(connect(), turn.number, turn.owner), over), name="repair", daemon=True)
    beating.start()
    try:
        yield turn
    finally:
        over.set()
        beating.join()
        turn.say(1, ended=True)


_KILLED: Final = f"If it was killed on another machine, it counts as ended {SILENT_S} s later."


def _last(client: "Client") -> tuple[int, str, bool, float]:
    """Give number, owner, whether it has ended, and for how many seconds it has been silent."""
    for number, owner, ended, silent_s in select(client, _LAST):
        return int(number), str(owner), bool(ended), float(silent_s)
    return 0, "", True, 0.0


def _gone(owner: str) -> bool:
    """Whether the owner was a process of this machine that is no more."""
    host, _, rest = owner.partition(", pid ")
    pid = rest.partition(",")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _beat(turn: Turn, over: threading.Event) -> None:
    beat = 1
    while not over.wait(BEAT_S):
        beat += 1
        try:
            turn.say(beat)
        except Exception as error:  # the repair itself meets the same trouble, and says so; `check` tells if its turn is lost
            log.warning("repair: cannot say that it goes on: %s", type(error).__name__)
