"""10,000 seeded schedules and all short ones: whatever happens, in whatever order, every event is stored exactly once.

The controls switch one rule off and must be found out, or the schedules prove nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.edges import Fence, TopicPartition
from llmtower_processors.runtime.memory_store import MemoryStore
from llmtower_processors.runtime.pending import Pending
from tests.runtime.world import World, run, tables

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("thousand", range(10))
def test_every_event_is_stored_exactly_once_whatever_happens(thousand: int) -> None:
    for seed in range(thousand * 1000, thousand * 1000 + 1000):
        world = run(seed)
        assert world.faults() == [], f"seed {seed}"


def test_the_schedules_meet_every_kind_of_trouble() -> None:
    halts: set[str] = set()
    duplicates = salted = replayed = 0
    for seed in range(300):
        world = run(seed)
        halts |= set(world.halts)
        duplicates += sum(row["duplicate"] for row in world.store.tables["ledger"].rows)
        salted += any(token.count(":") > 4 for table in world.store.tables.values() for _, token in table.blocks)
        replayed += world.replays
    assert halts == {"calls:", "offsets", "the"}
    assert duplicates > 100
    assert salted > 50
    assert replayed > 300


# --- controls: each takes one rule away


class Unfenced(World):
    """The broker takes commits of any generation, as an emptied group takes those of generation -1."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        super().__init__(choose)
        self.broker.commit = self.accept  # type: ignore[method-assign]

    def accept(self, group_id: str, fence: Fence, commits: Mapping[TopicPartition, tuple[int, str]]) -> None:
        self.broker.groups[group_id].commits.update(commits)


class Retried(World):
    """A commit whose outcome is unknown is sent again in the same membership."""

    def commit(self, worker: Any, partition: TopicPartition, pending: Pending) -> steps.Event:
        outcome = super().commit(worker, partition, pending)
        return steps.CommitNotSent() if isinstance(outcome, steps.CommitUnknown) else outcome


class NoPending(World):
    """The commit says how far we are, and not what is pending."""

    def read_state(self, partition: TopicPartition) -> steps.Event:
        event = super().read_state(partition)
        assert isinstance(event, steps.StateRead)
        state = event.state
        bare = steps.State(state.incarnation, state.committed, "", state.log_start, state.log_end)
        return steps.StateRead(bare, event.floor, -1, event.now_ms)


class NoneForError(World):
    """An error of the state read is taken for "no commit", and neither ledger nor tables are asked."""

    def read_state(self, partition: TopicPartition) -> steps.Event:
        event = super().read_state(partition)
        assert isinstance(event, steps.StateRead)
        if self.choose(3) != 1:
            return event
        state = steps.State(event.state.incarnation, -1, "", event.state.log_start, event.state.log_end)
        return steps.StateRead(state, -1, -1, event.now_ms)


class NoFloor(World):
    """Neither ledger nor tables are asked at a takeover."""

    def read_state(self, partition: TopicPartition) -> steps.Event:
        event = super().read_state(partition)
        assert isinstance(event, steps.StateRead)
        return steps.StateRead(event.state, -1, -1, event.now_ms)


class NoTables(World):
    """The ledger is asked at a takeover, the tables are not."""

    def read_state(self, partition: TopicPartition) -> steps.Event:
        event = super().read_state(partition)
        assert isinstance(event, steps.StateRead)
        return steps.StateRead(event.state, event.floor, -1, event.now_ms)


class OneIncarnation(World):
    """A topic that is created anew is taken for the old one."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        super().__init__(choose)
        self.broker.incarnation = lambda topic: "memory.1"  # type: ignore[method-assign]

    def recreate(self) -> None:
        super().recreate()
        self.retired.clear()


class StoreOf(World):
    """A world on a store of another kind."""

    make: Callable[[], MemoryStore] = staticmethod(lambda: MemoryStore(tables()))

    def __init__(self, choose: Callable[[int], int]) -> None:
        super().__init__(choose, store=type(self).make())


class SmallWindow(StoreOf):
    """Tables remember the last two blocks only."""

    make = staticmethod(lambda: MemoryStore(tables(2, 2)))


class ForgetfulView(StoreOf):
    """The view's target has no window of its own."""

    make = staticmethod(lambda: MemoryStore(tables(100_000, 0)))


class NoLookUp(StoreOf):
    """Envelopes are not looked up in the ledger."""

    class Store(MemoryStore):
        def known(
            self, processor: str, incarnation: str, partition: TopicPartition, before: int, keys: Iterable[tuple[str, int]]
        ) -> set[tuple[str, int]]:
            return set()

    make = staticmethod(lambda: NoLookUp.Store(tables()))


class NotByRows(StoreOf):
    """What is old is inserted under its salted token without asking which rows are there."""

    class Store(MemoryStore):
        def present(
            self, table: str, columns: Sequence[str], incarnation: str, partition: TopicPartition, offsets: tuple[int, int]
        ) -> set[tuple[Any, ...]]:
            return set()

    make = staticmethod(lambda: NotByRows.Store(tables()))


CONTROLS = (Unfenced, Retried, NoPending, NoneForError, NoFloor, NoTables, OneIncarnation, SmallWindow, ForgetfulView, NoLookUp, NotByRows)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.__name__)
def test_without_one_rule_the_schedules_find_loss_or_doubles(control: type[World]) -> None:
    assert any(found(control, seed) for seed in range(3_000))


def found(control: type[World], seed: int) -> bool:
    try:
        return bool(run(seed, control).faults())
    except (AssertionError, RuntimeError):
        return True


# --- all short schedules


def script(world: World) -> None:
    """Two envelopes, the second sent twice; at each step of the worker a crash, a freeze, or a rival may come in between."""
    world.start()
    world.produce(2)
    world.notice(world.workers[0])
    for step in range(14):
        if step == 5:
            world.produce(3)
            world.append(*world.sent[-1])
        world.remember()
        worker = next((w for w in world.workers if not w.frozen), world.workers[0])
        match world.choose(5):
            case 1:
                world.crash(worker)
            case 2:
                world.freeze(worker)
                if all(w.frozen for w in world.workers):
                    world.start()
            case 3 if not world.half_done:
                world.age()
            case 4:
                world.land_commit()
                world.land_insert()
            case _:
                worker.frozen = False
                if not world.notice(worker):
                    for partition in list(worker.shares):
                        world.act(worker, partition)


class Path:
    """Answers 0 but where it is told otherwise, and remembers what it was asked."""

    def __init__(self, deviations: Mapping[int, int]) -> None:
        self.deviations = deviations
        self.asked: list[int] = []

    def __call__(self, n: int) -> int:
        self.asked.append(n)
        return self.deviations.get(len(self.asked) - 1, 0)


def paths(deviations: Mapping[int, int], depth: int) -> Iterator[Mapping[int, int]]:
    """Every way to leave the untroubled path at most `depth` times, in depth-first order."""
    path = Path(deviations)
    world = World(path, partitions=1)
    script(world)
    asked = list(path.asked)
    world.rest()
    assert world.faults() == [], f"deviations {dict(deviations)}"
    yield deviations
    if depth:
        for position in range(max(deviations, default=-1) + 1, len(asked)):
            for value in range(1, asked[position]):
                yield from paths({**deviations, position: value}, depth - 1)


def test_all_schedules_with_two_troubles() -> None:
    assert sum(1 for _ in paths({}, 2)) > 3_000
