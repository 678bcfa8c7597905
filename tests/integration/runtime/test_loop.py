"""The whole loop on a real Kafka and the real engine."""

import asyncio
import contextlib
import functools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from tests.contract.backends import ClickHouseBackend, KafkaCluster

from llmtower_processors.engine import EngineProcess
from llmtower_processors.runtime import fencing
from llmtower_processors.runtime.buffer import Limits
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.edges import CommitRefusedError, StoreRefusedError, StoreUnavailableError, TopicPartition
from llmtower_processors.runtime.kafka import KafkaLog
from llmtower_processors.runtime.loop import ProcessorLoop, connect
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_processors.runtime.pending import Pending

pytestmark = pytest.mark.integration
QUICK = Limits(rows=200, flush_s=0.2, acknowledge_s=0.5)


def rows_of(batch: Batch) -> Sequence[Block]:
    """Each record is a number of events."""
    positions = [(r.offset, index) for r in batch.records for index in range(int(r.value or b"0"))]
    n = len(positions)
    columns: dict[str, list[Any]] = {
        "incarnation": [batch.incarnation] * n,
        "kafka_topic": [batch.topic] * n,
        "kafka_partition": [batch.partition] * n,
        "kafka_offset": [offset for offset, _ in positions],
        "event_index": [index for _, index in positions],
        "amount": [offset + index for offset, index in positions],
        "at": [batch.time_ms // 1000 - 2_592_000 * (offset % 3) for offset, _ in positions],
    }
    return [Block("events", columns)]


class Stack:
    """A fresh topic and database, a producer, and workers."""

    def __init__(self, kafka: str, backend: ClickHouseBackend) -> None:
        self.cluster = KafkaCluster(kafka, f"g{uuid.uuid4().hex}")
        self.kafka = {"bootstrap_servers": kafka, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 300}
        self.backend = backend
        self.topic = f"t{uuid.uuid4().hex}"
        self.sent: dict[tuple[int, int], int] = {}
        self.seq = 0

    def worker(self, function: Callable[[Batch], Sequence[Block]] = rows_of) -> ProcessorLoop:
        processor = Processor("calls", (self.topic,), ("events",), function)
        return connect(
            processor,
            kafka=self.kafka,
            store_factory=lambda: ClickHouseStore(self.backend.options),
            group_id=self.cluster.group,
            limits=QUICK,
        )

    async def send(self, count: int, *, events: int = 7, again: bool = False) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.kafka["bootstrap_servers"], enable_idempotence=True) as producer:
            for number in range(count):
                headers = [("producer", b"p"), ("seq", b"%d" % self.seq), ("count", b"%d" % events)]
                for copy in range(1 + again):
                    sent = await producer.send_and_wait(self.topic, b"%d" % events, partition=number % 3, headers=headers)
                    self.sent[number % 3, sent.offset] = events * (copy == 0)
                self.seq += events

    def check(self) -> None:
        """Every event is stored once, in table and view, and every record is in the ledger."""
        rows = self.backend.rows("events", "kafka_partition", "kafka_offset", "event_index")
        assert rows == sorted((p, o, i) for (p, o), events in self.sent.items() for i in range(events))
        amounts = self.backend.rows("events", "amount")
        assert self.backend.total() == (len(rows), sum(amount for (amount,) in amounts))
        assert self.backend.rows("ledger", "partition", "offset") == sorted(self.sent)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(true):  # noqa: ASYNC110  (many conditions, no event)
                await asyncio.sleep(0.1)

    def count(self, table: str = "ledger") -> int:
        return len(self.backend.rows(table, "1"))


@pytest.fixture
def stack(kafka: str, engine: EngineProcess, database: str) -> Iterator[Stack]:
    backend = ClickHouseBackend(engine, database)
    yield Stack(kafka, backend)
    backend.close()


@contextlib.asynccontextmanager
async def running(*workers: ProcessorLoop) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*tasks)


def run(stack: Stack, body: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(110):
            await stack.cluster.create(stack.topic, 3)
            await body()

    asyncio.run(bounded())


def test_two_workers_one_of_which_dies_store_everything_once(stack: Stack) -> None:
    async def body() -> None:
        first, second, third = stack.worker(), stack.worker(), stack.worker()
        dying = asyncio.create_task(first.run())
        async with running(second):
            await stack.send(60)
            await stack.until(lambda: stack.count() > 20)
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
            await stack.send(60, again=True)
            async with running(third):
                await stack.send(30)
                await stack.until(lambda: stack.count() == len(stack.sent))
        stack.check()
        assert sum(duplicate for (duplicate,) in stack.backend.rows("ledger", "duplicate")) == 60

    run(stack, body)


def test_a_worker_started_again_continues_and_replays_nothing(stack: Stack) -> None:
    async def body() -> None:
        for worker in (stack.worker(), stack.worker()):
            async with running(worker):
                await stack.send(10)
                await stack.until(lambda: stack.count() == len(stack.sent))
                await stack.until(functools.partial(getattr, worker, "ready"))
                assert sum(worker.lag.values()) == 0
        stack.check()

    run(stack, body)


def test_a_topic_created_anew_is_read_from_its_beginning(stack: Stack) -> None:
    async def body() -> None:
        worker = stack.worker()
        async with running(worker):
            await stack.send(9)
            await stack.until(lambda: stack.count() == 9)
            await stack.cluster.create(stack.topic, 3)
            await stack.send(30)
            await stack.until(lambda: stack.count() == 39)
        assert len(set(stack.backend.rows("events", "incarnation"))) == 2
        assert stack.count("events") == 39 * 7
        assert stack.backend.total()[0] == 39 * 7

    run(stack, body)


def test_a_value_that_does_not_fit_halts_its_partition_and_is_not_repeated(stack: Stack) -> None:
    def unfit(batch: Batch) -> Sequence[Block]:
        (block,) = rows_of(batch)
        if batch.partition == 1:
            return [Block("events", {**block.columns, "amount": ["the secret"] * block.rows})]
        return [block]

    async def body() -> None:
        worker = stack.worker(unfit)
        async with running(worker):
            await stack.send(9)
            await stack.until(lambda: stack.count() == 6 and len(worker.halted) == 1)
            (reason,) = worker.halted.values()
            assert reason.startswith("table events, column amount: a value does not fit the column's type")
            assert "secret" not in reason
        async with running(stack.worker()):
            await stack.until(lambda: stack.count() == 9)
        stack.check()

    run(stack, body)


def test_our_own_fault_halts_its_partition_and_resume_goes_on_without_loss(stack: Stack) -> None:
    faulty = True

    def function(batch: Batch) -> Sequence[Block]:
        if faulty and batch.partition == 1:
            raise ValueError("the secret")
        return rows_of(batch)

    async def body() -> None:
        nonlocal faulty
        worker = stack.worker(function)
        async with running(worker):
            await stack.send(9)
            await stack.until(lambda: stack.count() == 6 and len(worker.halted) == 1)
            assert [(p.partition, "ValueError at test_loop.py" in why, "secret" in why) for p, why in worker.halted.items()] == [
                (1, True, False)
            ]
            await stack.send(9)
            await stack.until(lambda: stack.count() == 12)
            faulty = False
            worker.resume()
            await stack.until(lambda: stack.count() == 18)
            assert not worker.halted
        stack.check()

    run(stack, body)


def test_errors_of_the_server_name_table_and_column_and_hold_no_value(stack: Stack) -> None:
    store = stack.backend.store
    (good,) = rows_of(Batch("calls", "i", "t", 0, 0, 0, 0, ()))
    full = {name: [1] if name not in ("incarnation", "kafka_topic") else ["x"] for name in good.columns}
    with pytest.raises(StoreRefusedError, match=r"table events, column nope: does not exist"):
        store.insert(Block("events", {**full, "nope": [1]}), "a")
    with pytest.raises(StoreRefusedError, match="table nowhere"):
        store.insert(Block("nowhere", full), "b")
    stack.backend.client.command("ALTER TABLE events ADD CONSTRAINT small CHECK amount < 10")
    with pytest.raises(StoreRefusedError, match=r"table events, column amount: ClickHouse error 469 VIOLATED_CONSTRAINT") as refused:
        store.insert(Block("events", {**full, "amount": [987_654]}), "c")
    assert "987654" not in str(refused.value)
    with pytest.raises(StoreUnavailableError, match="cannot connect"):
        ClickHouseStore({**stack.backend.options, "port": 1}).insert(Block("events", full), "d")


def test_an_emptied_group_takes_generation_minus_one_and_our_commit_does_not_send_it(stack: Stack) -> None:
    """What fencing is for: a member that was put out while it was frozen still believes in its generation, or in none."""

    async def body() -> None:
        partition = TopicPartition(stack.topic, 0)
        member = await stack.cluster.member(stack.topic)
        log, fence = member.log, member.fence
        assert isinstance(log, KafkaLog)
        coordinator = log._consumer._coordinator
        await log.commit(fence, {partition: Pending("i", 50, 59, 1)})
        await coordinator._maybe_leave_group()
        coordinator.generation, coordinator.member_id = fence.generation, fence.member
        with pytest.raises(CommitRefusedError, match="UnknownMemberIdError"):
            await log.commit(fence, {partition: Pending("i", 10, 19, 1)})
        assert (coordinator.generation, coordinator.member_id) == (-1, "")
        with pytest.raises(CommitRefusedError, match="no longer"):
            await log.commit(fence, {partition: Pending("i", 10, 19, 1)})
        await stack.cluster.close()

        outsider = KafkaLog(stack.kafka, stack.cluster.group, (stack.topic,))
        await outsider.start(lambda fence, partitions: None, nothing)
        try:
            found = await fencing.committed(outsider._consumer, [partition])
            assert found[partition][0] == 50
        finally:
            await outsider.stop()

    run(stack, body)


async def nothing() -> None:
    """A callback that does nothing."""
