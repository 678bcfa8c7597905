"""The whole loop on the edges in memory: what it does when something outside fails, and that it comes out exact."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from llmtower_processors.runtime import cycle, labour, life
from llmtower_processors.runtime.buffer import Limits
from llmtower_processors.runtime.edges import (
    Clock,
    CommitNotSentError,
    CommitUnknownError,
    LogEndedError,
    LogUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
    StoreUnfitError,
    TopicPartition,
)
from llmtower_processors.runtime.loop import ProcessorLoop
from llmtower_processors.runtime.memory import MemoryBroker, MemoryLog
from llmtower_processors.runtime.memory_store import MemoryStore, Table
from llmtower_processors.runtime.metrics import NAMES, Metrics
from llmtower_processors.runtime.model import Batch, Block, Processor
from tests.runtime.world import CALLS, GROUP, TOPIC, rows_of, tables

QUICK = Limits(rows=20, flush_s=0.02, acknowledge_s=0.1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labour, "BACK_OFF_S", (0.002, 0.02))
    monkeypatch.setattr(labour, "SETTLE_S", 0.2)
    monkeypatch.setattr(life, "PACE_S", 0.001)
    monkeypatch.setattr(cycle, "CHECK_S", 0.05)
    monkeypatch.setattr(life, "AGAIN_S", 0.05)


class Bench:
    """A broker with two partitions, a store, and workers on them."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create(TOPIC, 2)
        self.store = MemoryStore(tables())
        self.logs: list[MemoryLog] = []
        self.registry = CollectorRegistry()
        self.seq = 0
        self.workers = 0
        self.trouble: Callable[[str], None] = lambda call: None

    def send(self, count: int, *, events: int = 3) -> None:
        for number in range(count):
            headers = (("producer", b"p"), ("seq", b"%d" % self.seq), ("count", b"%d" % events))
            self.seq += events
            now_ms = time.time_ns() // 1_000_000
            self.broker.append(TopicPartition(TOPIC, number % 2), b"%d" % events, headers=headers, timestamp_ms=now_ms)

    def log(self) -> MemoryLog:
        self.logs.append(MemoryLog(self.broker, GROUP, (TOPIC,), limit=50))
        self.logs[-1].fault = lambda call: self.trouble(call)
        return self.logs[-1]

    def worker(
        self, processor: Processor = CALLS, *, limits: Limits = QUICK, resume: bool = False, clock: Clock | None = None
    ) -> ProcessorLoop:
        metrics = Metrics(CollectorRegistry() if self.workers else self.registry)
        self.workers += 1
        return ProcessorLoop(
            processor,
            log_factory=self.log,
            store_factory=lambda: self.store,
            metrics=metrics,
            limits=limits,
            resume=resume,
            clock=clock,
        )

    @contextlib.asynccontextmanager
    async def running(self, *workers: ProcessorLoop) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            yield
        finally:
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks)

    @property
    def stored(self) -> int:
        return len(self.store.tables["calls"].rows)

    async def until(self, true: Callable[[], bool], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not true():  # noqa: ASYNC110  (many conditions, no event)
                await asyncio.sleep(0.005)

    def check(self) -> None:
        """Every record sent is stored once, in tables, rollup and ledger."""
        calls = Counter(
            (r["incarnation"], r["kafka_partition"], r["kafka_offset"], r["event_index"]) for r in self.store.tables["calls"].rows
        )
        assert len(calls) == self.seq
        assert set(calls.values()) <= {1}
        rollup = self.store.tables["rollup"].rows
        assert sum(row["calls"] for row in rollup) == self.seq
        ledger = Counter((r["partition"], r["offset"]) for r in self.store.tables["ledger"].rows)
        assert ledger == Counter({(p, o): 1 for p, log in enumerate(self.broker.topics[TOPIC]) for o in range(log.end)})


def on_bench(body: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await body(Bench())

        asyncio.run(bounded())

    run.__name__ = body.__name__
    return run


@on_bench
async def test_what_is_sent_is_stored_and_acknowledged_when_idle(bench: Bench) -> None:
    worker = bench.worker()
    async with bench.running(worker):
        bench.send(100)
        await bench.until(lambda: bench.stored == 300)
        await bench.until(lambda: [o for o, _ in bench.broker.groups[GROUP].commits.values()] == [50, 50])
        await bench.until(lambda: worker.ready)
        assert worker.lag == {TopicPartition(TOPIC, 0): 0, TopicPartition(TOPIC, 1): 0}
        assert set(worker.watermark.values()) == {None}
    assert [offset for offset, _ in bench.broker.groups[GROUP].commits.values()] == [50, 50]
    bench.check()


@on_bench
async def test_a_worker_that_stops_acknowledges_at_once_and_the_next_replays_nothing(bench: Bench) -> None:
    slow = Limits(rows=20, flush_s=0.02, acknowledge_s=60)
    async with bench.running(bench.worker(limits=slow)):
        bench.send(10)
        await bench.until(lambda: len(bench.store.tables["ledger"].rows) == 10)
    assert {offset for offset, _ in bench.broker.groups[GROUP].commits.values()} == {5}
    assert not bench.broker.groups[GROUP].members
    worker = bench.worker()
    async with bench.running(worker):
        await bench.until(lambda: worker.ready)
    assert value(bench, "llmtower_replays_total", processor="calls") == 0
    bench.check()


def value(bench: Bench, name: str, **labels: str) -> float:
    return bench.registry.get_sample_value(name, labels) or 0.0


@on_bench
async def test_ranges_are_cut_at_the_limit_of_rows(bench: Bench) -> None:
    bench.send(100)
    async with bench.running(bench.worker()):
        await bench.until(lambda: bench.stored == 300)
    sizes = Counter(token.rsplit(":", 1)[1] for _, token in bench.store.tables["ledger"].blocks)
    spans = [int(last) - int(first) + 1 for first, last in (span.split("-") for span in sizes)]
    assert max(spans) == 6
    bench.check()


@on_bench
async def test_memory_is_bounded_while_the_store_is_down_and_everything_is_stored_after(bench: Bench) -> None:
    down = True

    def fault(step: str) -> None:
        if down and step == "insert":
            raise StoreUnavailableError("down")

    bench.store.fault = fault
    worker = bench.worker()
    async with bench.running(worker):
        await bench.until(lambda: worker.ready)
        bench.send(400)
        await bench.until(lambda: len(bench.logs[0].paused) == 2)
        polls = bench.logs[0].polls
        await bench.until(lambda: bench.logs[0].polls > polls + 1)
        assert not worker.ready
        assert worker._life is not None
        assert worker._life.membership is not None
        assert all(len(share.buffer.records) < 200 for share in worker._life.membership.shares.values())
        assert sum(worker.lag.values()) == 1_200
        assert all(oldest is not None for oldest in worker.watermark.values())
        down = False
        await bench.until(lambda: bench.stored == 1_200 and worker.ready)
    assert value(bench, "llmtower_retries_total", processor="calls", what="insert") > 2
    bench.check()


@on_bench
async def test_a_store_that_is_down_at_the_start_is_waited_for(bench: Bench) -> None:
    attempts = 0
    check = bench.store.check

    def flaky(tables: Sequence[str]) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise StoreUnavailableError("down")
        check(tables)

    bench.store.check = flaky  # type: ignore[method-assign]
    bench.send(4)
    worker = bench.worker()
    async with bench.running(worker):
        await bench.until(lambda: bench.stored == 12)
    bench.check()


@on_bench
async def test_tables_that_are_unfit_are_refused(bench: Bench) -> None:
    bench.store.tables["rollup"].window = 10
    with pytest.raises(StoreUnfitError, match="table rollup: non_replicated_deduplication_window is 10"):
        await bench.worker().run()


@on_bench
async def test_a_function_that_raises_halts_its_partition_without_a_word_of_payload(bench: Bench) -> None:
    poisoned = True

    def function(batch: Batch) -> Sequence[Block]:
        if poisoned and batch.partition == 1:
            raise ValueError("the secret text")
        return rows_of(batch)

    worker = bench.worker(Processor("calls", (TOPIC,), ("calls", "notes"), function))
    async with bench.running(worker):
        bench.send(20)
        await bench.until(lambda: bench.stored == 30 and len(worker.halted) == 1)
        (reason,) = worker.halted.values()
        assert "ValueError at test_loop.py" in reason
        assert "secret" not in reason
        await bench.until(lambda: value(bench, "llmtower_paused_partitions", processor="calls") == 1)
        assert not worker.ready
        bench.send(20)
        await bench.until(lambda: bench.stored == 60)
        poisoned = False
        worker.resume()
        await bench.until(lambda: bench.stored == 120 and worker.ready)
    bench.check()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda made: [*made, made[0]], "two blocks for one table"),
        (lambda made: [Block("elsewhere", made[0].columns)], "not one of the tables"),
        (lambda made: [Block("calls", {"kafka_offset": [1]})], "position columns missing"),
        (lambda made: [Block("calls", {**made[0].columns, "amount": [1]})], "different lengths"),
        (lambda made: [Block("ledger", made[0].columns)], "not one of the tables"),
    ],
)
def test_blocks_that_cannot_be_stored_exactly_once_halt_the_partition(
    wrong: Callable[[Sequence[Block]], Sequence[Block]], reason: str
) -> None:
    @on_bench
    async def body(bench: Bench) -> None:
        worker = bench.worker(Processor("calls", (TOPIC,), ("calls", "notes"), lambda batch: wrong(rows_of(batch))))
        async with bench.running(worker):
            bench.send(2)
            await bench.until(lambda: len(worker.halted) == 2)
            assert all(reason in why for why in worker.halted.values())
        assert bench.stored == 0

    body()


@on_bench
async def test_a_block_that_the_store_refuses_halts_the_partition_until_it_is_resumed(bench: Bench) -> None:
    refused = True

    def fault(step: str) -> None:
        if refused and step == "insert":
            raise StoreRefusedError("table calls, column amount: ClickHouse error 53 TYPE_MISMATCH")

    bench.store.fault = fault
    worker = bench.worker()
    async with bench.running(worker):
        bench.send(2)
        await bench.until(lambda: len(worker.halted) == 2)
        assert all("table calls, column amount" in why for why in worker.halted.values())
        refused = False
        worker.resume()
        await bench.until(lambda: bench.stored == 6)
    bench.check()


@on_bench
async def test_a_commit_of_unknown_outcome_costs_the_membership_and_nothing_else(bench: Bench) -> None:
    worker = bench.worker()
    async with bench.running(worker):
        await bench.until(lambda: worker.ready)
        first = bench.broker.groups[GROUP].members[0]
        hits = iter([True, False, True])

        def fault(call: str) -> None:
            if call == "committed" and next(hits, False):
                raise CommitUnknownError("no answer")

        bench.logs[0].fault = fault
        bench.send(40)
        await bench.until(lambda: bench.stored == 120)
        assert first not in bench.broker.groups[GROUP].members
    bench.check()


@on_bench
async def test_a_log_that_fails_is_asked_again_and_one_that_broke_is_replaced(bench: Bench) -> None:
    worker = bench.worker()
    async with bench.running(worker):
        await bench.until(lambda: worker.ready)
        failures = iter([LogUnavailableError("x")] * 6)

        def fault(call: str) -> None:
            if error := next(failures, None):
                raise error

        bench.logs[0].fault = fault
        bench.send(10)
        await bench.until(lambda: bench.stored == 30)

        def broken(call: str) -> None:
            if call == "poll":
                raise LogEndedError("broken")

        bench.logs[0].fault = broken
        bench.send(10)
        await bench.until(lambda: bench.stored == 60)
        assert len(bench.logs) == 2
    bench.check()


@on_bench
async def test_a_topic_that_is_created_anew_is_read_from_its_beginning(bench: Bench) -> None:
    worker = bench.worker()
    async with bench.running(worker):
        bench.send(40)
        await bench.until(lambda: bench.stored == 120)
        bench.broker.create(TOPIC, 2)
        bench.send(60)
        await bench.until(lambda: bench.stored == 300)
    rows = bench.store.tables["calls"].rows
    assert Counter(row["incarnation"] for row in rows) == {"memory.1": 120, "memory.2": 180}


@on_bench
async def test_a_log_that_lost_its_tail_halts_and_cannot_be_resumed(bench: Bench) -> None:
    async with bench.running(bench.worker()):
        bench.send(10)
        await bench.until(lambda: bench.stored == 30)
    bench.broker.truncate(TopicPartition(TOPIC, 0), 2)
    worker = bench.worker(resume=True)
    async with bench.running(worker):
        await bench.until(lambda: len(worker.halted) == 1)
        assert worker.halted[TopicPartition(TOPIC, 0)] == "the log ends at offset 2, but offset 4 was read before"
        worker.resume()
        assert worker.halted


@on_bench
async def test_a_head_that_was_deleted_unread_halts_until_the_loss_is_accepted(bench: Bench) -> None:
    bench.send(20)
    bench.broker.groups.clear()
    async with bench.running(bench.worker()):
        await bench.until(lambda: bench.stored == 60)
    bench.send(20)
    bench.broker.delete_before(TopicPartition(TOPIC, 0), 15)
    worker = bench.worker()
    async with bench.running(worker):
        await bench.until(lambda: len(worker.halted) == 1)
        assert worker.halted[TopicPartition(TOPIC, 0)] == "offsets 10 to 14 were deleted before they were stored"
        worker.resume()
        await bench.until(lambda: bench.stored == 60 + 45)
    assert {r["offset"] for r in bench.store.tables["ledger"].rows if r["partition"] == 0} == {*range(10), *range(15, 20)}


class HurriedClock:
    """A clock on which a second is five minutes."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def now_ms(self) -> int:
        return 1_795_000_000_000 + int((time.monotonic() - self._began) * 300_000)

    def monotonic(self) -> float:
        return time.monotonic()


@on_bench
async def test_what_grew_old_while_the_store_was_down_is_completed_by_rows(bench: Bench) -> None:
    down = True
    hits = 0

    def fault(step: str) -> None:
        nonlocal hits
        hits += step == "inserted"
        if down and hits > 3:
            raise StoreUnavailableError("down")

    bench.store.fault = fault
    bench.send(20)
    async with bench.running(bench.worker(clock=HurriedClock())):
        await bench.until(lambda: hits > 3)
        await asyncio.sleep(2.2)
        down = False
        await bench.until(lambda: bench.stored == 60 and len(bench.store.tables["ledger"].rows) == 20)
    assert any(token.count(":") == 5 for _, token in bench.store.tables["ledger"].blocks)
    bench.check()


class JumpingClock:
    """This machine's clocks, the wall's set wrong by `ahead_ms`."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.mark.parametrize("hours", [2, -2])
def test_a_clock_that_jumps_and_comes_back_costs_one_wait_not_hours(hours: int) -> None:
    @on_bench
    async def body(bench: Bench) -> None:
        down = True
        hits = 0

        def fault(step: str) -> None:
            nonlocal hits
            hits += 1
            if down and hits > 3:
                raise StoreUnavailableError("down")

        bench.store.fault = fault
        clock = JumpingClock()
        bench.send(20)
        async with bench.running(bench.worker(clock=clock)):
            await bench.until(lambda: hits > 3)
            clock.ahead_ms = hours * 3_600_000
            await bench.until(lambda: any(text.rsplit(":", 1)[1] for _, text in bench.broker.groups[GROUP].commits.values()))
            down = False
            clock.ahead_ms = 0
            await bench.until(lambda: bench.stored == 60 and len(bench.store.tables["ledger"].rows) == 20)
        bench.check()

    body()


@on_bench
async def test_a_worker_whose_clock_is_behind_takes_no_event_for_one_of_the_future(bench: Bench) -> None:
    clock = JumpingClock()
    clock.ahead_ms = -2 * 3_600_000
    began_ms = time.time_ns() // 1_000_000
    bench.send(20)
    async with bench.running(bench.worker(clock=clock)):
        await bench.until(lambda: bench.stored == 60)
    assert all(row["time_ms"] >= began_ms for row in bench.store.tables["calls"].rows)


@pytest.mark.parametrize("seed", range(12))
def test_workers_that_come_go_and_die_leave_every_event_once(seed: int) -> None:
    @on_bench
    async def body(bench: Bench) -> None:
        rng = random.Random(seed)

        def fault(step: str) -> None:
            if rng.random() < 0.05:
                raise StoreUnavailableError(step)

        bench.store.fault = fault
        troubles = {
            "commit": (CommitNotSentError, CommitUnknownError),
            "committed": (CommitUnknownError,),
            "states": (LogUnavailableError,),
            "incarnations": (LogUnavailableError,),
            "poll": (LogUnavailableError,),
        }

        def trouble(call: str) -> None:
            if call in troubles and rng.random() < 0.03:
                raise rng.choice(troubles[call])(call)

        bench.trouble = trouble
        tasks: list[tuple[ProcessorLoop, asyncio.Task[None]]] = []
        for _ in range(12):
            bench.send(rng.randrange(30))
            if len(tasks) < 3 and rng.random() < 0.6:
                worker = bench.worker()
                tasks.append((worker, asyncio.create_task(worker.run())))
            elif tasks:
                worker, task = tasks.pop(rng.randrange(len(tasks)))
                if rng.random() < 0.5:
                    worker.stop()
                else:
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(rng.random() * 0.08)
        for _, task in tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
        bench.store.fault = bench.trouble = lambda step: None
        worker = bench.worker()
        async with bench.running(worker):
            await bench.until(lambda: bench.stored == bench.seq and worker.ready and not sum(worker.lag.values()))
        bench.check()

    body()


@on_bench
async def test_metrics_say_what_happened(bench: Bench) -> None:
    bench.store.tables["dead_letters"] = Table(100_000)

    def function(batch: Batch) -> Sequence[Block]:
        (calls, _), ago_us = rows_of(batch), time.time_ns() // 1_000 - 3_000_000
        timed = {**calls.columns, "started_at": [ago_us] * calls.rows, "duration_us": [1_000_000] * calls.rows}
        return [Block("calls", timed), Block("dead_letters", calls.columns)]

    down = iter([True, True])

    def fault(step: str) -> None:
        if step == "insert" and next(down, False):
            raise StoreUnavailableError("down")

    bench.store.fault = fault
    worker = bench.worker(Processor("calls", (TOPIC,), ("calls", "dead_letters"), function))
    async with bench.running(worker):
        bench.send(10)
        await bench.until(lambda: bench.stored == 30 and worker.ready and not sum(worker.lag.values()))
        await bench.until(lambda: value(bench, "llmtower_rows_total", processor="calls", table="dead_letters") == 30)
        await bench.until(lambda: value(bench, "llmtower_lag_events", processor="calls", topic=TOPIC, partition="0") == 0)
    of = {"processor": "calls", "table": "calls"}
    assert value(bench, "llmtower_rows_total", **of) == value(bench, "llmtower_batch_rows_sum", **of) == 30
    assert value(bench, "llmtower_insert_seconds_count", **of) == value(bench, "llmtower_batch_rows_count", **of) >= 2
    assert value(bench, "llmtower_dead_letters_total", processor="calls") == 30
    assert value(bench, "llmtower_retries_total", processor="calls", what="insert") == 2
    assert value(bench, "llmtower_end_to_end_seconds_count", processor="calls") == 30
    assert 30 * 2.0 <= value(bench, "llmtower_end_to_end_seconds_sum", processor="calls") < 30 * 12.0, "two seconds ago, and what it took"
    assert value(bench, "llmtower_commit_seconds_count", processor="calls") >= 1


@on_bench
async def test_every_metric_in_the_table_is_exported_and_no_other(bench: Bench) -> None:
    exported = {metric.name + ("_total" if metric.type == "counter" else "") for metric in bench_metrics(bench).collect()}
    assert exported == set(NAMES)
    units = ("_events", "_rows", "_seconds", "_total", "_partitions")
    assert all(name.startswith("llmtower_") and name.endswith(units) for name in NAMES)


def bench_metrics(bench: Bench) -> CollectorRegistry:
    bench.worker()
    return bench.registry
