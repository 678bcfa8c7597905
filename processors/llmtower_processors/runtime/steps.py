"""What the state machine of a partition asks for (actions) and what it is told (events)."""

from dataclasses import dataclass

from llmtower_processors.runtime.pending import Pending


@dataclass(frozen=True, slots=True)
class State:
    """What Kafka knows of a partition: the topic's incarnation, the group's commit (-1: none) and the log's ends."""

    incarnation: str
    committed: int
    metadata: str
    log_start: int
    log_end: int


# What to do. Each action but Halt and Leave is answered by one event.
@dataclass(frozen=True, slots=True)
class ReadState:
    """Read the group's state, then the highest offset in the ledger and in the tables; answer StateRead or ReadFailed."""

    again: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """Collect records from `first` on; up to `last` exactly if it is given. Answer Taken, or Idle when there are none."""

    incarnation: str
    first: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit `pending` with the captured generation; answer Committed, CommitRefused, CommitUnknown or CommitNotSent."""

    pending: Pending


@dataclass(frozen=True, slots=True)
class Run:
    """Compute the blocks of `pending`, the ledger's last; answer Ran, RunFailed or Refused."""

    pending: Pending


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert block number `index` under the token of `pending`; answer Inserted, InsertUnknown or Refused."""

    pending: Pending
    index: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the group, so that a copy of the commit that is still under way is refused, and join again."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing more may be done with this partition; say why, loudly. Resumed is only heard if `resumable`."""

    reason: str
    resumable: bool


Action = ReadState | Take | Commit | Run | Insert | Leave | Halt


# What came of it.
@dataclass(frozen=True, slots=True)
class Assigned:
    """The partition was assigned to this member."""


@dataclass(frozen=True, slots=True)
class StateRead:
    """The state of the group, and the highest offsets of this incarnation in the ledger and in any target table (-1: none)."""

    state: State
    floor: int
    highest: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """The state could not be read: an error, never taken for "none"."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Records up to `last` are at hand; `parameter` is what the processor fixes for them, if this is no replay."""

    last: int
    now_ms: int
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Idle:
    """There is nothing to take at present; in a replay this asks whether the log still has what is pending."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The commit is in the group's log."""


@dataclass(frozen=True, slots=True)
class CommitRefused:
    """The commit was refused: this member no longer owns the partition."""


@dataclass(frozen=True, slots=True)
class CommitUnknown:
    """Nobody knows whether the commit was, or will be, applied."""


@dataclass(frozen=True, slots=True)
class CommitNotSent:
    """The commit certainly never left this process."""


@dataclass(frozen=True, slots=True)
class Ran:
    """The range became `inserts` blocks."""

    inserts: int


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A look-up failed in a way that passes; try again."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Inserted:
    """The block is stored, or was before."""


@dataclass(frozen=True, slots=True)
class InsertUnknown:
    """The insert failed in a way that passes, or nobody knows; try again under the same token."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Our own code raised, or the server refused a block for a reason that trying again cannot mend."""

    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The log is another one than was read: the topic was re-created, or the position is out of its range."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """The partition was taken away, or the process stops."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A person looked at what halted the partition and lets it go on, accepting what Kafka has deleted."""


Event = (
    Assigned
    | StateRead
    | ReadFailed
    | Taken
    | Idle
    | Committed
    | CommitRefused
    | CommitUnknown
    | CommitNotSent
    | Ran
    | RunFailed
    | Inserted
    | InsertUnknown
    | Refused
    | Moved
    | Revoked
    | Resumed
)
