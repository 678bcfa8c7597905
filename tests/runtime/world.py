"""A world in memory in which owners, zombies, crashes and faults interleave as a chooser decides.

It carries out the actions of `Ranges` one at a time, in any order, with any outcome; a chooser decides. After the
chooser's trouble ends everything is run to rest, and then every record must be in every table and in the rollup exactly once.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llmtower_processors.runtime import steps
from llmtower_processors.runtime.edges import (
    CommitRefusedError,
    Fence,
    PositionLostError,
    StoreUnavailableError,
    TopicPartition,
)
from llmtower_processors.runtime.memory import MemoryBroker
from llmtower_processors.runtime.memory_store import MemoryStore, Row, Table, View
from llmtower_processors.runtime.model import Batch, Block, Processor, Record
from llmtower_processors.runtime.pending import OLD_MS, SETTLE_MS, Pending
from llmtower_processors.runtime.ranges import Phase, Ranges
from llmtower_processors.runtime.work import prepare

GROUP = "llmtower.calls"
TOPIC = "t"


def rows_of(batch: Batch) -> Sequence[Block]:
    """Each record is a number of events; the even ones have a note."""
    positions = [(record.offset, index) for record in batch.records for index in range(int(record.value or b"0"))]

    def block(table: str, chosen: list[tuple[int, int]]) -> Block:
        n = len(chosen)
        return Block(
            table,
            {
                "incarnation": [batch.incarnation] * n,
                "kafka_topic": [batch.topic] * n,
                "kafka_partition": [batch.partition] * n,
                "kafka_offset": [offset for offset, _ in chosen],
                "event_index": [index for _, index in chosen],
                "amount": [1 + 7 * offset + index for offset, index in chosen],
                "time_ms": [batch.time_ms] * n,
            },
        )

    return [block("calls", positions), block("notes", [p for p in positions if p[1] % 2 == 0])]


CALLS = Processor("calls", (TOPIC,), ("calls", "notes"), rows_of)


def total(rows: Sequence[Row]) -> list[Row]:
    """What the view behind `calls` stores."""
    return [{"calls": len(rows), "amount": sum(row["amount"] for row in rows)}]


def tables(window: int = 100_000, view_window: int = 100_000) -> dict[str, Table]:
    return {
        "calls": Table(window, partition_by=lambda row: row["kafka_offset"] % 2, views=[View("rollup", total)]),
        "notes": Table(window),
        "rollup": Table(view_window),
    }


@dataclass(slots=True)
class Share:
    """One partition in the hands of one worker."""

    ranges: Ranges
    todo: steps.Action | None = None
    records: list[Record] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    fetched: int | None = None


@dataclass(slots=True)
class Worker:
    """A process: it may be frozen, and then wakes believing what it believed."""

    member: str
    fence: Fence | None = None
    frozen: bool = False
    shares: dict[TopicPartition, Share] = field(default_factory=dict)


class World:
    """Broker, store, workers and a clock; `choose(n)` picks one of n possibilities, 0 being the one without trouble."""

    def __init__(self, choose: Callable[[int], int], *, partitions: int = 2, store: MemoryStore | None = None) -> None:
        self.choose = choose
        self.now = 1_000_000_000
        self.broker = MemoryBroker()
        self.broker.create(TOPIC, partitions)
        self.partitions = [TopicPartition(TOPIC, p) for p in range(partitions)]
        self.store = store or MemoryStore(tables())
        self.workers: list[Worker] = []
        self.late_commits: list[tuple[Fence, dict[TopicPartition, tuple[int, str]]]] = []
        self.late_inserts: list[tuple[int, Block, str]] = []
        self.past: dict[TopicPartition, list[tuple[int, str]]] = {}
        self.half_done: set[str] = set()
        self.seq = 0
        self.sent: list[tuple[TopicPartition, bytes, tuple[tuple[str, bytes], ...]]] = []
        self.expected: dict[tuple[str, int, bytes], tuple[int, list[tuple[str, int, int]]]] = {}
        self.lost: set[tuple[str, int]] = set()
        self.retired: set[str] = set()
        self.halts: Counter[str] = Counter()
        self.replays = 0

    # --- producers

    def produce(self, count: int | None = None) -> None:
        partition = self.partitions[self.choose(len(self.partitions))]
        events = 1 + self.choose(3) if count is None else count
        headers = (("producer", b"p"), ("seq", b"%d" % self.seq), ("count", b"%d" % events), ("project", b"x"), ("app", b"a"))
        self.seq += events
        self.append(partition, b"%d" % events, headers)

    def append(self, partition: TopicPartition, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> None:
        if partition in self.shut():
            return
        offset = self.broker.append(partition, value, headers=headers, timestamp_ms=self.now)
        incarnation = self.broker.incarnation(TOPIC)
        copies = self.expected.setdefault((incarnation, partition.partition, dict(headers)["seq"]), (int(value), []))
        copies[1].append((incarnation, partition.partition, offset))
        self.sent.append((partition, value, headers))

    def produce_again(self) -> None:
        """A producer that does not know what became of an envelope sends it again to the same partition, any time later."""
        if self.sent:
            self.append(*self.sent[-1 - self.choose(len(self.sent))])

    def shut(self) -> set[TopicPartition]:
        """Partitions whose log lost its tail: nothing is sent there until somebody noticed."""
        return {p for p in self.partitions if (self.broker.incarnation(TOPIC), p.partition) in self.lost}

    # --- workers

    def start(self) -> None:
        self.workers.append(Worker(self.broker.join(GROUP, (TOPIC,))))

    def crash(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.broker.remove(GROUP, worker.member)
        self.start()

    def freeze(self, worker: Worker) -> None:
        """Stopped past its session; a rival takes over."""
        worker.frozen = True
        self.broker.remove(GROUP, worker.member)
        if all(w.frozen for w in self.workers) and self.choose(2) == 0:
            self.start()

    def notice(self, worker: Worker) -> bool:
        """Heartbeats tell of the rebalance: everything of the former membership is dropped."""
        found = self.broker.assignment(GROUP, worker.member)
        if found is not None and found[0] == worker.fence:
            return False
        for share in worker.shares.values():
            share.ranges.step(steps.Revoked())
        if found is None:
            worker.member = self.broker.join(GROUP, (TOPIC,))
            found = self.broker.assignment(GROUP, worker.member)
            assert found is not None
        worker.fence = found[0]
        worker.shares = {p: Share(Ranges()) for p in found[1]}
        for share in worker.shares.values():
            self.tell(share, steps.Assigned())
        return True

    def tell(self, share: Share, event: steps.Event) -> None:
        for action in share.ranges.step(event):
            if isinstance(action, steps.Halt):
                self.halts[action.reason.split(" ")[0]] += 1
                share.todo = None
            else:
                share.todo = action

    # --- carrying out actions; True if anything was done

    def act(self, worker: Worker, partition: TopicPartition) -> bool:
        share = worker.shares[partition]
        todo, share.todo = share.todo, None
        done: steps.Event | None
        match todo:
            case None:
                return self.resume(share)
            case steps.ReadState():
                done = steps.ReadFailed() if self.choose(8) == 1 else self.read_state(partition)
            case steps.Take():
                done = self.take(share, partition, todo)
            case steps.Commit():
                done = self.commit(worker, partition, todo.pending)
            case steps.Run():
                done = self.run(share, todo.pending)
            case steps.Insert():
                done = self.insert(share, todo)
            case _:
                self.broker.remove(GROUP, worker.member)
                return True
        if done is None:
            share.todo = todo
            return False
        self.tell(share, done)
        return True

    def resume(self, share: Share) -> bool:
        if share.ranges.phase is not Phase.HALTED:
            return False
        self.tell(share, steps.Resumed())
        return share.todo is not None

    def read_state(self, partition: TopicPartition) -> steps.Event:
        state = self.broker.state(GROUP, partition)
        floor = self.store.floors(CALLS.name, {partition: state.incarnation})[partition]
        highest = self.store.highest(CALLS.name, CALLS.tables, {partition: (state.incarnation, floor)})[partition]
        return steps.StateRead(state, floor, highest, self.now)

    def take(self, share: Share, partition: TopicPartition, todo: steps.Take) -> steps.Event | None:
        """First fetch, in a step of its own; then see whether it was still the same log."""
        if share.fetched is None:
            limit = 1 + self.choose(4) if todo.last is None else todo.last - todo.first + 1
            try:
                share.records, share.fetched = self.broker.read(partition, todo.first, limit)
            except PositionLostError:
                return steps.Moved()
            if share.fetched == todo.first:
                share.fetched = None
                moved = self.broker.incarnation(TOPIC) != todo.incarnation
                return steps.Moved() if moved else self.idle(share)
            share.todo = todo
        fetched, share.fetched = share.fetched, None
        if self.broker.incarnation(TOPIC) != todo.incarnation:
            return steps.Moved()
        if todo.last is not None and fetched <= todo.last:
            return None
        self.replays += todo.last is not None
        return steps.Taken(fetched - 1, self.now)

    def idle(self, share: Share) -> steps.Event | None:
        return None if share.ranges.acknowledged or self.choose(2) == 1 else steps.Idle(self.now)

    def commit(self, worker: Worker, partition: TopicPartition, pending: Pending) -> steps.Event:
        fence, commits = worker.fence, {partition: (pending.first, pending.metadata)}
        assert fence is not None
        fate = self.choose(8)
        if fate == 1:
            return steps.CommitNotSent()
        if fate == 2:
            return steps.CommitUnknown()
        if fate == 3:
            self.late_commits.append((fence, commits))
            return steps.CommitUnknown()
        try:
            self.broker.commit(GROUP, fence, commits)
        except CommitRefusedError:
            return steps.CommitRefused()
        return steps.CommitUnknown() if fate == 4 else steps.Committed()

    def run(self, share: Share, pending: Pending) -> steps.Event | None:
        if self.now < pending.runs_at_ms:
            return None
        if self.choose(12) == 1:
            return steps.RunFailed(self.now)
        share.blocks = prepare(CALLS, self.store, pending, share.records)
        return steps.Ran(len(share.blocks))

    def insert(self, share: Share, todo: steps.Insert) -> steps.Event:
        block, partition = share.blocks[todo.index], TopicPartition(TOPIC, share.records[0].partition)
        token = todo.pending.token(CALLS.name, *partition)
        if todo.pending.stale(self.now):
            return steps.InsertUnknown(self.now)
        fate = self.choose(12)
        if fate == 1:
            return steps.InsertUnknown(self.now)
        if fate == 2:
            self.late_inserts.append((self.now + SETTLE_MS, block, token))
            return steps.InsertUnknown(self.now)
        if fate == 3:
            return steps.Refused("calls: refused")
        hit = {4: "part", 5: "view", 6: "inserted"}.get(fate)
        replayable = todo.pending.incarnation == self.broker.incarnation(TOPIC) and self.broker.log(partition).start <= todo.pending.first
        if hit != "inserted" and (todo.pending.by_rows or not replayable):
            hit = None
        return steps.Inserted() if self.store_insert(block, token, hit) else steps.InsertUnknown(self.now)

    def store_insert(self, block: Block, token: str, hit: str | None = None) -> bool:
        """Insert, the engine dying at step `hit`; an insert that did not reach its views must be repeated while its token lives."""

        def fault(step: str) -> None:
            if step == hit:
                raise StoreUnavailableError(step)

        self.store.fault = fault
        key = f"{block.table} {token}"
        try:
            self.store.insert(block, token)
        except StoreUnavailableError:
            if hit in ("part", "view"):
                self.half_done.add(key)
            return False
        finally:
            self.store.fault = lambda step: None
        self.half_done.discard(key)
        return True

    # --- the outside

    def land_commit(self) -> None:
        if self.late_commits:
            fence, commits = self.late_commits.pop(self.choose(len(self.late_commits)))
            try:
                self.broker.commit(GROUP, fence, commits)
            except CommitRefusedError:
                return

    def land_insert(self) -> None:
        if self.late_inserts:
            _, block, token = self.late_inserts.pop(self.choose(len(self.late_inserts)))
            self.store_insert(block, token)

    def settle(self) -> None:
        """What is under way lands or dies."""
        while self.late_inserts:
            if self.choose(2):
                self.late_inserts.pop()
            else:
                self.land_insert()

    def wait(self, ms: int) -> None:
        if self.late_inserts and self.now + ms >= min(deadline for deadline, _, _ in self.late_inserts):
            self.settle()
        self.now += ms

    def age(self) -> None:
        """Everything that is pending grows old."""
        self.settle()
        self.now += OLD_MS + 1

    def lose_offsets(self) -> None:
        """Kafka restarts without the group's last commits, or without any; nobody runs meanwhile."""
        self.settle()
        for worker in list(self.workers):
            self.crash(worker)
        commits = self.broker.groups[GROUP].commits
        for partition in self.partitions:
            past = self.past.setdefault(partition, [])
            keep = 0 if self.choose(2) else self.choose(len(past) + 1)
            del past[keep:]
            commits.pop(partition, None)
            if past:
                commits[partition] = past[-1]

    def remember(self) -> None:
        """What the group's own log holds, so that it can lose its tail."""
        for partition, commit in self.broker.groups[GROUP].commits.items():
            past = self.past.setdefault(partition, [])
            if not past or commit != past[-1]:
                past.append(commit)

    def recreate(self) -> None:
        if not self.half_done and not self.late_inserts and not self.lost:
            self.retired.add(self.broker.incarnation(TOPIC))
            self.sent.clear()
            self.past.clear()
            self.broker.create(TOPIC, len(self.partitions))

    def truncate(self) -> None:
        """Kafka loses the tail of a partition, below what was read."""
        partition = self.partitions[self.choose(len(self.partitions))]
        incarnation, log = self.broker.incarnation(TOPIC), self.broker.log(partition)
        floor = self.store.floors(CALLS.name, {partition: incarnation})[partition]
        if floor >= log.start:
            self.broker.truncate(partition, floor - self.choose(floor - log.start + 1))
            self.lost.add((incarnation, partition.partition))

    def retention(self) -> None:
        partition = self.partitions[self.choose(len(self.partitions))]
        log = self.broker.log(partition)
        self.broker.delete_before(partition, log.start + self.choose(4))

    def rest(self) -> None:
        """No more trouble: one live worker finishes whatever there is."""
        self.choose = lambda n: 0
        while self.late_commits:
            self.land_commit()
        self.settle()
        for worker in list(self.workers):
            if worker.frozen:
                worker.frozen = False
        for _ in range(3000):
            busy = False
            for worker in list(self.workers):
                busy = self.notice(worker) or busy
                for partition in list(worker.shares):
                    if partition in worker.shares:
                        busy = self.act(worker, partition) or busy
            if not busy:
                if all(self.resting(s) for w in self.workers for s in w.shares.values()):
                    return
                self.now += SETTLE_MS
        raise AssertionError("never came to rest")

    def resting(self, share: Share) -> bool:
        return share.ranges.phase is Phase.HALTED or (isinstance(share.todo, steps.Take) and share.ranges.acknowledged)

    # --- the oracle

    def faults(self) -> list[str]:
        """Everything that is not exactly once."""
        ledger = Counter((r["incarnation"], r["partition"], r["offset"]) for r in self.store.tables["ledger"].rows)
        found = [f"ledger doubled {key}" for key, n in ledger.items() if n > 1]
        for name, step in (("calls", 1), ("notes", 2)):
            rows = self.store.tables[name].rows
            positions = Counter((r["incarnation"], r["kafka_partition"], r["kafka_offset"], r["event_index"]) for r in rows)
            found += [f"{name} doubled {key}" for key, n in positions.items() if n > 1]
            found += self.misplaced(name, step, set(positions), ledger)
        found += [f"ledger misses {at}" for copies in self.expected.values() for at in copies[1] if at not in ledger and not self.gone(at)]
        calls, rollup = self.store.tables["calls"].rows, self.store.tables["rollup"].rows
        if sum(r["calls"] for r in rollup) != len(calls) or sum(r["amount"] for r in rollup) != sum(r["amount"] for r in calls):
            found.append(f"rollup counts {sum(r['calls'] for r in rollup)} of {len(calls)} calls")
        return found

    def misplaced(
        self, name: str, step: int, positions: set[tuple[str, int, int, int]], ledger: Counter[tuple[str, int, int]]
    ) -> list[str]:
        """Each envelope must be stored whole, at exactly one of the offsets it was sent to; deleted before its time, nobody knows."""
        found = []
        stored: dict[tuple[str, int, int], set[int]] = {}
        for *at, index in positions:
            stored.setdefault(tuple(at), set()).add(index)  # type: ignore[arg-type]
        for events, copies in self.expected.values():
            whole = [at for at in copies if at in stored]
            if any(self.gone(at) and at not in ledger for at in copies):
                continue
            if len(whole) > 1 or (not whole and not all(self.gone(at) for at in copies)):
                found.append(f"{name} has {copies} at {whole}")
            found += [f"{name} has a part of {at}" for at in whole if not self.gone(at) and stored[at] != set(range(0, events, step))]
        return found

    def gone(self, at: tuple[str, int, int]) -> bool:
        """Whether Kafka itself has lost or deleted what was there."""
        incarnation, partition, offset = at
        lost = incarnation in self.retired or (incarnation, partition) in self.lost
        return lost or offset < self.broker.topics[TOPIC][partition].start


TROUBLE: tuple[tuple[str, int], ...] = (
    ("act", 30),
    ("notice", 6),
    ("produce", 6),
    ("produce_again", 2),
    ("crash", 1),
    ("freeze", 1),
    ("wake", 1),
    ("start", 1),
    ("land_commit", 2),
    ("land_insert", 2),
    ("wait", 2),
    ("age", 1),
    ("lose_offsets", 1),
    ("recreate", 1),
    ("truncate", 1),
    ("retention", 1),
)
KINDS = [kind for kind, weight in TROUBLE for _ in range(weight)]
RARE = {"truncate": 12, "retention": 6, "recreate": 3, "start": 2}

BY_ROWS = {"age", "lose_offsets", "retention", "recreate", "truncate"}
"""After these a range is completed by rows, which cannot push into a view what the table has already: the audit mends that."""


def trouble(world: World, kind: str) -> None:
    """One step of a schedule."""
    if RARE.get(kind) and world.choose(RARE[kind]):
        kind = "act"
    world.remember()
    worker = world.workers[world.choose(len(world.workers))]
    if kind in ("act", "notice"):
        if worker.frozen:
            return
        if kind == "notice" or not worker.shares:
            world.notice(worker)
        else:
            world.act(worker, sorted(worker.shares)[world.choose(len(worker.shares))])
    elif kind in ("crash", "freeze"):
        getattr(world, kind)(worker)
    elif kind == "wake":
        worker.frozen = False
    elif kind == "wait":
        world.wait(0 if world.half_done else 1 + world.choose(20_000))
    elif (kind != "start" or len(world.workers) < 3) and not (kind in BY_ROWS and world.half_done):
        getattr(world, kind)()


def run(seed: int, world_of: Callable[[Callable[[int], int]], World] = World, *, length: int = 120) -> World:
    """One random schedule, brought to rest."""
    rng = random.Random(seed)
    world = world_of(lambda n: int(rng.random() * n))
    world.start()
    for _ in range(length):
        trouble(world, KINDS[int(rng.random() * len(KINDS))])
    world.rest()
    return world
