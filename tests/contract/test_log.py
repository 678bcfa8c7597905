"""What the runtime relies on in a log."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from llmtower_processors.runtime.edges import CommitRefusedError, LogUnavailableError, PositionLostError, TopicPartition
from llmtower_processors.runtime.pending import Pending, parse
from tests.contract.backends import LogBackend, Member

Test = Callable[[LogBackend, str], Awaitable[None]]


def run(cluster: LogBackend, topic_prefix: str, test: Test) -> None:
    async def bounded() -> None:
        try:
            async with asyncio.timeout(90):
                await test(cluster, f"{topic_prefix}t")
        finally:
            await cluster.close()

    asyncio.run(bounded())


def opened(member: Member, partition: TopicPartition, offset: int = 0) -> None:
    member.log.seek(partition, offset)
    member.log.resume(partition)


def test_records_come_in_order_from_where_it_was_sought(cluster: LogBackend, topic_prefix: str) -> None:
    async def test(cluster: LogBackend, topic: str) -> None:
        p = TopicPartition(topic, 0)
        await cluster.create(topic, 1)
        await cluster.append(p, b"a", None, b"\xff\x00", b"d", headers=(("producer", b"x"), ("producer", b"y")))
        member = await cluster.member(topic)
        opened(member, p, 1)
        records = await member.read(p, 3)
        assert [(r.offset, r.value) for r in records] == [(1, None), (2, b"\xff\x00"), (3, b"d")]
        assert records[0].headers == (("producer", b"x"), ("producer", b"y"))
        assert (records[0].topic, records[0].partition, records[0].timestamp_ms) == (topic, 0, 1_700_000_000_000)
        assert member.log.position(p) == 4
        assert member.log.end(p) == 4

    run(cluster, topic_prefix, test)


def test_nothing_comes_of_a_partition_that_is_paused_or_was_not_sought(cluster: LogBackend, topic_prefix: str) -> None:
    async def test(cluster: LogBackend, topic: str) -> None:
        p, q = TopicPartition(topic, 0), TopicPartition(topic, 1)
        await cluster.create(topic, 2)
        await cluster.append(p, b"a")
        await cluster.append(q, b"b")
        member = await cluster.member(topic)
        assert not await member.log.poll(0.5)
        opened(member, q)
        assert [r.value for r in await member.read(q, 1)] == [b"b"]
        member.log.pause(q)
        await cluster.append(q, b"c")
        assert not await member.log.poll(0.7)
        member.log.resume(q)
        assert [r.value for r in await member.read(q, 1)] == [b"c"]

    run(cluster, topic_prefix, test)


def test_a_commit_is_read_back_with_its_metadata(cluster: LogBackend, topic_prefix: str) -> None:
    async def test(cluster: LogBackend, topic: str) -> None:
        p, q = TopicPartition(topic, 0), TopicPartition(topic, 1)
        await cluster.create(topic, 2)
        await cluster.append(p, *[b"x"] * 9)
        member = await cluster.member(topic)
        before = await member.log.states([p, q])
        assert (before[p].committed, before[p].log_start, before[p].log_end, before[q].log_end) == (-1, 0, 9, 0)
        pending = Pending(before[p].incarnation, 3, 7, 1_795_000_000_000, "1795000600000")
        await member.log.commit(member.fence, {p: pending, q: Pending(before[q].incarnation, 0, -1, 5)})
        after = await member.log.states([p, q])
        assert parse(after[p].committed, after[p].metadata) == pending
        assert parse(after[q].committed, after[q].metadata) == Pending(before[q].incarnation, 0, -1, 5)

    run(cluster, topic_prefix, test)


def test_a_member_that_lost_its_generation_is_refused(cluster: LogBackend, topic_prefix: str) -> None:
    async def test(cluster: LogBackend, topic: str) -> None:
        p = TopicPartition(topic, 0)
        await cluster.create(topic, 2)
        first = await cluster.member(topic)
        fence = first.fence
        assert first.assigned == {p, TopicPartition(topic, 1)}
        joining = asyncio.create_task(cluster.member(topic))
        await first.until(lambda: first.assignments > 1)
        second = await joining
        await first.until(lambda: not first.assigned & second.assigned)
        assert first.assigned | second.assigned == {p, TopicPartition(topic, 1)}
        assert first.revocations >= 1
        with pytest.raises(CommitRefusedError):
            await first.log.commit(fence, {p: Pending("i", 5, 9, 0)})
        assert (await second.log.states([p]))[p].committed == -1

    run(cluster, topic_prefix, test)


def test_who_left_is_refused_and_comes_back_as_somebody_else(cluster: LogBackend, topic_prefix: str) -> None:
    async def test(cluster: LogBackend, topic: str) -> None:
        p = TopicPartition(topic, 0)
        await cluster.create(topic, 1)
        member = await cluster.member(topic)
        fence = member.fence
        await member.log.leave()
        with pytest.raises(CommitRefusedError):
            await member.log.commit(fence, {p: Pending("i", 5, 9, 0)})
        await member.until(lambda: member.assignments > 1)
        assert member.fence.member != fence.member
        await member.log.commit(member.fence, {p: Pending("i", 1, 0, 0)})
        assert (await member.log.states([p]))[p].committed == 1

    run(cluster, topic_prefix, test)


def test_a_topic_that_is_created_anew_is_another_incarnation(cluster: LogBackend, topic_prefix: str) -> None:
    # Kafka tells of it by a lost position or, if the topic was seen missing, by a new assignment.
    async def test(cluster: LogBackend, topic: str) -> None:
        p = TopicPartition(topic, 0)
        await cluster.create(topic, 1)
        await cluster.append(p, b"a", b"b", b"c")
        member = await cluster.member(topic)
        old = (await member.log.incarnations([topic]))[topic]
        assert (await member.log.states([p]))[p].incarnation == old
        opened(member, p, 2)
        await member.read(p, 1)
        await cluster.create(topic, 1)
        with contextlib.suppress(PositionLostError):
            await member.until(lambda: member.assignments > 1)
        new = old
        while new == old:
            await asyncio.sleep(0.05)
            with contextlib.suppress(LogUnavailableError):
                new = (await member.log.incarnations([topic]))[topic]
        assert ":" not in new.rsplit(".", 1)[1]

    run(cluster, topic_prefix, test)


def test_a_head_that_was_deleted_is_a_lost_position(cluster: LogBackend, topic_prefix: str) -> None:
    async def test(cluster: LogBackend, topic: str) -> None:
        p = TopicPartition(topic, 0)
        await cluster.create(topic, 1)
        await cluster.append(p, b"a", b"b", b"c")
        await cluster.delete_before(p, 2)
        member = await cluster.member(topic)
        opened(member, p, 1)
        with pytest.raises(PositionLostError):
            await member.until(lambda: False)
        state = (await member.log.states([p]))[p]
        assert (state.log_start, state.log_end) == (2, 3)
        opened(member, p, 2)
        assert [r.value for r in await member.read(p, 1)] == [b"c"]

    run(cluster, topic_prefix, test)
