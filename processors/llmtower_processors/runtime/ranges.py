"""The way of one partition through its offset ranges: a pure state machine that says what to do and is told what came of it.

    read state -> replay the pending range -> take a range -> commit it as pending -> run -> insert ... -> take

It never talks to Kafka, ClickHouse or a clock. `Ranges.step(event)` returns the actions to carry out; the outcome of each comes
back as an event. Whoever drives it may crash, freeze or lose the partition between any two of them.
"""

from dataclasses import replace
from enum import Enum, auto
from typing import Final, assert_never

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.pending import Pending, parse

DOUBTS: Final = 3
"""How often a state that looks like data loss is read again before the partition halts: a broker that starts may lag."""


class Phase(Enum):
    """Which outcome is awaited."""

    NEW = auto()
    READING = auto()
    TAKING = auto()
    COMMITTING = auto()
    RUNNING = auto()
    INSERTING = auto()
    FENCED = auto()
    HALTED = auto()
    ENDED = auto()


class Ranges:
    """The offset ranges of one partition in one membership of the group."""

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.pending = Pending("", 0, -1, 0)
        self.reason = ""
        self._index = 0
        self._count = 0
        self._rows_until = -1
        self._rows_salt = ""
        self._rows_salt = ""
        self._acknowledged = False
        self._doubts = 0
        self._accept_loss = False
        self._resumable = False
        self._moved = False
        self._shrunk = False
        self._before = self.pending

    @property
    def acknowledged(self) -> bool:
        """Whether the group's commit says that everything taken so far is stored."""
        return self._acknowledged

    def step(self, event: steps.Event) -> tuple[steps.Action, ...]:
        """Take in what happened and say what to do next; late outcomes of a lost partition are ignored."""
        if self.phase is Phase.ENDED or (self.phase is Phase.FENCED and not isinstance(event, steps.Revoked)):
            return ()
        match event:
            case steps.Revoked():
                self.phase = Phase.ENDED
                return ()
            case steps.Assigned():
                return self._read(Phase.NEW)
            case steps.ReadFailed():
                return self._read(Phase.READING, again=True)
            case steps.StateRead():
                return self._state_read(event)
            case steps.Taken():
                return self._taken(event)
            case steps.Idle():
                return self._idle(event)
            case steps.Committed():
                return self._committed()
            case steps.CommitRefused():
                return self._fenced()
            case steps.CommitUnknown():
                return (*self._fenced(), steps.Leave())
            case steps.CommitNotSent():
                return self._take_again()
            case steps.Ran():
                return self._ran(event)
            case steps.RunFailed():
                return self._again(Phase.RUNNING, event.now_ms, steps.Run(self.pending))
            case steps.Inserted():
                return self._inserted()
            case steps.InsertUnknown():
                return self._again(Phase.INSERTING, event.now_ms, steps.Insert(self.pending, self._index))
            case steps.Refused():
                return self._halt(event.reason, resumable=True)
            case steps.Moved():
                return self._log_moved()
            case steps.Resumed():
                return self._resumed()
            case _:
                assert_never(event)

    def _expect(self, *phases: Phase) -> None:
        if self.phase not in phases:
            raise RuntimeError(f"outcome out of turn: partition is {self.phase.name}, not {' or '.join(p.name for p in phases)}")

    def _read(self, *phases: Phase, again: bool = False) -> tuple[steps.Action, ...]:
        self._expect(*phases)
        self.phase = Phase.READING
        self._moved = False
        return (steps.ReadState(again),)

    def _state_read(self, event: steps.StateRead) -> tuple[steps.Action, ...]:
        self._expect(Phase.READING)
        state, floor = event.state, event.floor
        known = parse(state.committed, state.metadata) if state.committed >= 0 else None
        self._acknowledged = known is not None and known.empty and known.incarnation == state.incarnation and floor < known.first
        if known is None and state.committed >= 0:
            known = _nothing(state.incarnation, state.committed)
        pending = _beginning(state, known, floor)
        if state.log_start > pending.first and floor >= pending.last:
            pending = _nothing(pending.incarnation, pending.last + 1)
        self.pending = pending
        read = max(floor, pending.last, event.highest)
        if state.log_end <= read:
            return self._doubt(f"the log ends at offset {state.log_end}, but offset {read} was read before", resumable=False)
        if state.log_start > pending.first:
            if not self._accept_loss:
                reason = f"offsets {pending.first} to {state.log_start - 1} were deleted before they were stored"
                return self._doubt(reason, resumable=True, loss=True)
            pending = replace(pending, first=state.log_start, last=max(pending.last, state.log_start - 1))
            self._shrunk = True
        self._doubts = 0
        self._accept_loss = False
        self._rows_until, self._rows_salt = event.highest, str(event.now_ms)
        self.pending = pending
        return self._begin()

    def _begin(self) -> tuple[steps.Action, ...]:
        self.phase = Phase.TAKING
        pending = self.pending
        return (steps.Take(pending.incarnation, pending.first, None if pending.empty else pending.last),)

    def _taken(self, event: steps.Taken) -> tuple[steps.Action, ...]:
        self._expect(Phase.TAKING)
        pending = self.pending
        if not pending.empty:
            if event.last != pending.last:
                raise RuntimeError(f"replay of {pending.first}-{pending.last} was handed {pending.first}-{event.last}")
            return self._commit(pending.salted(event.now_ms)) if self._shrunk or pending.old(event.now_ms) else self._run()
        fresh = Pending(pending.incarnation, pending.first, event.last, event.now_ms, parameter=event.parameter)
        return self._commit(replace(fresh, salt=self._rows_salt) if pending.first <= self._rows_until else fresh)

    def _idle(self, event: steps.Idle) -> tuple[steps.Action, ...]:
        self._expect(Phase.TAKING)
        if not self.pending.empty:
            return self._read(Phase.TAKING)
        if self._acknowledged:
            return self._begin()
        return self._commit(replace(self.pending, time_ms=event.now_ms, salt="", parameter=""))

    def _commit(self, pending: Pending) -> tuple[steps.Action, ...]:
        self.phase = Phase.COMMITTING
        self._before, self.pending = self.pending, pending
        return (steps.Commit(pending),)

    def _committed(self) -> tuple[steps.Action, ...]:
        self._expect(Phase.COMMITTING)
        self._acknowledged = self.pending.empty
        self._shrunk = False
        return self._begin() if self.pending.empty else self._run()

    def _take_again(self) -> tuple[steps.Action, ...]:
        self._expect(Phase.COMMITTING)
        self.pending = self._before
        return self._begin()

    def _fenced(self) -> tuple[steps.Action, ...]:
        self._expect(Phase.COMMITTING)
        self.phase = Phase.FENCED
        return ()

    def _run(self) -> tuple[steps.Action, ...]:
        self.phase = Phase.RUNNING
        return (steps.Run(self.pending),)

    def _ran(self, event: steps.Ran) -> tuple[steps.Action, ...]:
        self._expect(Phase.RUNNING)
        self._index, self._count = 0, event.inserts
        return self._insert()

    def _inserted(self) -> tuple[steps.Action, ...]:
        self._expect(Phase.INSERTING)
        self._index += 1
        return self._insert()

    def _insert(self) -> tuple[steps.Action, ...]:
        if self._index < self._count:
            self.phase = Phase.INSERTING
            return (steps.Insert(self.pending, self._index),)
        self.pending = _nothing(self.pending.incarnation, self.pending.last + 1)
        if self._moved:
            return self._read(self.phase)
        return self._begin()

    def _again(self, phase: Phase, now_ms: int, action: steps.Action) -> tuple[steps.Action, ...]:
        """Try again under the same token, or by rows once the range is too old for it."""
        self._expect(phase)
        return self._commit(self.pending.salted(now_ms)) if self.pending.stale(now_ms) else (action,)

    def _log_moved(self) -> tuple[steps.Action, ...]:
        """A range under way is finished first, it belongs to the log it was read from; what halted a partition was in that log, too."""
        if self.phase in (Phase.RUNNING, Phase.INSERTING):
            self._moved = True
            return ()
        if self.phase in (Phase.TAKING, Phase.COMMITTING, Phase.HALTED):
            return self._read(self.phase)
        return ()

    def _doubt(self, reason: str, *, resumable: bool, loss: bool = False) -> tuple[steps.Action, ...]:
        self._doubts += 1
        if self._doubts < DOUBTS:
            return self._read(self.phase, again=True)
        self._doubts = 0
        self._accept_loss = loss
        return self._halt(reason, resumable=resumable)

    def _resumed(self) -> tuple[steps.Action, ...]:
        if self.phase is not Phase.HALTED or not self._resumable:
            return ()
        return self._read(Phase.HALTED)

    def _halt(self, reason: str, *, resumable: bool) -> tuple[steps.Action, ...]:
        self.phase = Phase.HALTED
        self.reason = reason
        self._resumable = resumable
        return (steps.Halt(reason, resumable),)


def _nothing(incarnation: str, offset: int) -> Pending:
    """Nothing pending, `offset` the first that was not begun."""
    return Pending(incarnation, offset, offset - 1, 0)


def _beginning(state: steps.State, known: Pending | None, floor: int) -> Pending:
    """Where to begin: after the ledger's floor if the group's state is lost or behind it, else with what is pending."""
    if known is None or known.incarnation != state.incarnation:
        return _nothing(state.incarnation, state.log_start if floor < 0 else floor + 1)
    return known if floor <= known.last else _nothing(state.incarnation, floor + 1)
