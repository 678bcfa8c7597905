"""How long the broker may hold a fetch: long in quiet times, short while records come or a partition is paused."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.contract.backends import Member

from llmtower_processors.runtime.edges import TopicPartition
from llmtower_processors.runtime.kafka import DEFAULTS, KafkaLog

pytestmark = pytest.mark.integration


def test_fetches_are_held_long_only_in_quiet_times(kafka: str, topic_prefix: str) -> None:
    p = TopicPartition(f"{topic_prefix}t", 0)

    async def held_ms(log: KafkaLog, polls: int) -> int:
        for _ in range(polls):
            await log.poll(0.01)
        return int(log._consumer._fetcher._fetch_max_wait_ms)

    async def run() -> list[int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(p.topic, 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(p.topic, b"first", partition=0)
            log = KafkaLog({"bootstrap_servers": kafka}, f"{topic_prefix}g", [p.topic])
            member = await Member(log).start()
            try:
                log.seek(p, 0)
                log.resume(p)
                await member.read(p, 1)
                held = [await held_ms(log, 0), await held_ms(log, 10)]
                log.pause(p)
                held.append(await held_ms(log, 0))
                log.resume(p)
                return [*held, await held_ms(log, 0)]
            finally:
                await log.stop()

    idle_ms = DEFAULTS["fetch_max_wait_ms"]
    busy_ms, *rest = asyncio.run(run())
    assert busy_ms < idle_ms
    assert rest == [idle_ms, busy_ms, idle_ms]
