"""The pending range: what a commit says about the records that may be in ClickHouse already."""

from dataclasses import dataclass, replace
from typing import Final

OLD_MS: Final = 600_000
"""A pending range older than this (or dated this far ahead) is not trusted to the deduplication window."""

SETTLE_MS: Final = 30_000
"""Within this time an insert that was sent has landed or is dead: the server stops it and the client gives up."""
STALE_MS: Final = OLD_MS - 2 * SETTLE_MS
"""An owner starts no insert under the token of a range older than this, so that none is under way when the range is old."""
_MARK: Final = "|"
"""Before a processor's parameter; neither cluster nor topic ids contain it, so a state without one reads as it always did."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Offsets `first..last` of one partition, announced before they are inserted; `last == first - 1` announces nothing."""

    incarnation: str
    first: int
    last: int
    time_ms: int
    salt: str = ""
    parameter: str = ""
    """What the processor fixed for this range when it was taken (see `model.Processor.parameter`); a replay is given the same."""

    @property
    def empty(self) -> bool:
        """Whether nothing is announced: everything before `first` is stored, nothing after it was begun."""
        return self.last < self.first

    @property
    def by_rows(self) -> bool:
        """Whether each table is asked which rows it has before the rest is inserted."""
        return bool(self.salt)

    @property
    def metadata(self) -> str:
        """The metadata of the Kafka commit whose offset is `first`."""
        state = f"{self.incarnation}:{self.last}:{self.time_ms}:{self.salt}"
        return f"{state}{_MARK}{self.parameter}" if self.parameter else state

    def token(self, processor: str, topic: str, partition: int) -> str:
        """The deduplication token of this range: one per table, as a range makes at most one insert into each."""
        token = f"{self.incarnation}:{processor}:{topic}:{partition}:{self.first}-{self.last}"
        return f"{token}:{self.salt}" if self.salt else token

    def old(self, now_ms: int) -> bool:
        """Whether ClickHouse may have forgotten the token."""
        return not self.empty and abs(now_ms - self.began_ms) > OLD_MS

    def stale(self, now_ms: int) -> bool:
        """Whether its owner must not start another insert under this token."""
        return not self.empty and abs(now_ms - self.began_ms) > STALE_MS

    @property
    def began_ms(self) -> int:
        """When inserts under this token may have begun: its salt, else its time."""
        return int(self.salt) if self.salt else self.time_ms

    @property
    def runs_at_ms(self) -> int:
        """By rows, tables may be asked only when every insert under the former token has landed or is dead."""
        return int(self.salt) + SETTLE_MS if self.salt else 0

    def salted(self, now_ms: int) -> "Pending":
        """The same range under a token of its own, to be inserted by rows; `time_ms`, the function's clock, stays."""
        return replace(self, salt=str(now_ms))


def parse(offset: int, metadata: str) -> Pending | None:
    """Read a commit back; None if its metadata was not written by this runtime (a tool's reset, another client)."""
    state, _, parameter = metadata.partition(_MARK)
    incarnation, *numbers = state.rsplit(":", 3)
    if len(numbers) != 3 or not incarnation:
        return None
    last, time_ms, salt = numbers
    try:
        pending = Pending(incarnation, offset, int(last), int(time_ms), salt and str(int(salt)), parameter)
    except ValueError:
        return None
    return pending if pending.last >= offset - 1 else None
