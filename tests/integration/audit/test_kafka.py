"""The audit's, the leader's, the watermark's and the replay's edges against a real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from llmtower_processors.audit import KafkaRecords, LogEnds
from llmtower_processors.dead_letters import KafkaSender, Outgoing
from llmtower_processors.errors import Unreachable
from llmtower_processors.leader import Firing, KafkaElection, Leader, Timer
from llmtower_processors.runtime.edges import SystemClock
from llmtower_processors.runtime.envelopes import envelope
from llmtower_processors.runtime.model import Processor, Record
from llmtower_processors.watermark import Backlog, KafkaBacklog
from llmtower_schemas.codec import EnvelopeHeaders
from llmtower_schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration
T0 = 1_790_000_000_000


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    """The settings of the session's Kafka."""
    return KafkaSettings(bootstrap_servers=kafka)


async def create(settings: KafkaSettings, topic: str, partitions: int) -> None:
    """Create a topic and wait until it can be used."""
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(topic, partitions, 1, topic_configs={"retention.ms": "-1"})]
        )  # some records are older than a week
        async with asyncio.timeout(20):
            while len((await admin.describe_topics([topic]))[0]["partitions"]) != partitions:  # noqa: ASYNC110 - Kafka is asked
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


@asynccontextmanager
async def producer(settings: KafkaSettings, **options: str) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer."""
    started = AIOKafkaProducer(**settings.client_options(), **options)
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


async def fill(settings: KafkaSettings, topic: str) -> None:
    """Partition 0: records at 0, 1, then a transaction (2, its marker 3), an aborted one (4, marker 5), a record at 6."""
    await create(settings, topic, 2)
    async with producer(settings) as plain:
        for number in range(2):
            await plain.send_and_wait(topic, b"%d" % number, partition=0, timestamp_ms=T0 + number * 1_000, headers=[("producer", b"p")])
    async with producer(settings, transactional_id=topic) as careful:
        async with careful.transaction():
            await careful.send_and_wait(topic, b"2", partition=0, timestamp_ms=T0 + 2_000)
        await careful.begin_transaction()
        await careful.send_and_wait(topic, b"aborted", partition=0, timestamp_ms=T0 + 3_000)
        await careful.abort_transaction()
    async with producer(settings) as plain:
        await plain.send_and_wait(topic, b"6", partition=0, timestamp_ms=T0 + 6_000)


def test_records_are_read_again_by_offset_and_by_time(settings: KafkaSettings, topic_prefix: str) -> None:
    topic = f"{topic_prefix}calls"
    asyncio.run(fill(settings, topic))
    with KafkaRecords(settings) as records:
        assert records.ends(topic) == {0: LogEnds(0, 7), 1: LogEnds(0, 0)}
        found = list(records.read(topic, 0, 0, 100))
        assert [(record.offset, record.value) for record in found] == [(0, b"0"), (1, b"1"), (2, b"2"), (6, b"6")]
        assert found[0] == Record(topic, 0, 0, T0, None, b"0", (("producer", b"p"),))
        assert [record.offset for record in records.read(topic, 0, 1, 2)] == [1, 2]
        assert [record.offset for record in records.read(topic, 0, 3, 5)] == []
        assert list(records.read(topic, 1, 0, 5)) == []
        assert records.since(topic, T0 + 1_000) == {0: 1, 1: 0}
        assert records.since(topic, 2 * T0) == {0: 7, 1: 0}
        cluster, _, topic_id = records.incarnation(topic).partition(".")
        assert cluster
        assert len(topic_id) == 22
        with pytest.raises(Unreachable, match="no topic"):
            records.ends(f"{topic_prefix}missing")


def test_a_kafka_that_does_not_answer_is_said_so() -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1", request_timeout_ms=500)
    with pytest.raises(Unreachable, match=r"nothing answers at 127\.0\.0\.1:1"), KafkaRecords(nowhere):
        pass


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait (bounded) until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions are no events
            await asyncio.sleep(0.05)


def test_one_of_two_leads_and_the_other_takes_over(settings: KafkaSettings, topic_prefix: str) -> None:
    topic, fired = f"{topic_prefix}alerts", list[Firing]()

    async def note(firing: Firing) -> None:
        fired.append(firing)

    async def scenario() -> None:
        await create(settings, topic, 1)
        leaders = [
            Leader(
                KafkaElection(settings, f"{topic_prefix}timers", topic=topic, session_timeout_ms=6_000),
                [Timer("beat", 0.2, note)],
                f"{topic_prefix}timers",
                SystemClock(),
            )
            for _ in range(2)
        ]
        tasks = [asyncio.create_task(leader.run()) for leader in leaders]
        await until(lambda: bool(fired))
        await asyncio.sleep(3)
        assert sum(leader.is_leader for leader in leaders) == 1
        first = next(number for number, leader in enumerate(leaders) if leader.is_leader)
        tasks[first].cancel()
        await asyncio.gather(tasks[first], return_exceptions=True)
        assert not leaders[first].is_leader
        count = len(fired)
        await until(lambda: leaders[1 - first].is_leader and len(fired) > count)
        tasks[1 - first].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())
    assert fired[0].token == f"beat:{topic_prefix}timers:{fired[0].window_end_ms}"


def test_the_backlog_is_what_a_group_has_not_committed(settings: KafkaSettings, topic_prefix: str) -> None:
    topic = f"{topic_prefix}calls"
    processor = Processor("calls", (topic,), (), lambda batch: [])

    async def commit(offset: int) -> None:
        consumer = AIOKafkaConsumer(**settings.client_options(), group_id=f"{topic_prefix}g.calls", enable_auto_commit=False)
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): offset})
        await consumer.stop()

    async def scenario() -> None:
        await fill(settings, topic)
        async with KafkaBacklog(settings, [processor], f"{topic_prefix}g") as backlog:
            assert await backlog.read() == [Backlog(topic, 7, T0), Backlog(topic, 0, None)]
            await commit(3)
            assert await backlog.read() == [Backlog(topic, 4, T0 + 6_000), Backlog(topic, 0, None)]
            await commit(7)
            assert await backlog.read() == [Backlog(topic, 0, None), Backlog(topic, 0, None)]

    asyncio.run(scenario())


def test_a_dead_letter_is_sent_to_its_partition_with_its_headers(settings: KafkaSettings, topic_prefix: str) -> None:
    topic = f"{topic_prefix}calls"
    headers = EnvelopeHeaders("replay:i:t:1", 16_384, 1, "default", "app0")

    async def scenario() -> None:
        await create(settings, topic, 2)
        async with KafkaSender(settings) as sender:
            assert await sender.send([Outgoing(topic, 1, b"{}", headers), Outgoing(topic, 1, b"[]", headers)]) == [True, True]

    asyncio.run(scenario())
    with KafkaRecords(settings) as records:
        sent = list(records.read(topic, 1, 0, 9))
    assert [record.value for record in sent] == [b"{}", b"[]"]
    assert envelope(sent[0]) == ("replay:i:t:1", 16_384, 1, "default", "app0")
