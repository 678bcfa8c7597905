"""Why the hot path is not a Faust agent: `take()` acknowledges in a `finally`, so what a failing sink refused is gone for good."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError

EVENTS = 2_000


@pytest.mark.faults
def test_a_plain_take_agent_loses_what_its_sink_refused(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}take"
    asyncio.run(_fill(kafka, topic))
    stored = tmp_path / "stored"
    _run_until_acknowledged(kafka, topic, stored, fail_every=3)
    _run_until_acknowledged(kafka, topic, stored, fail_every=0)
    numbers = stored.read_bytes().split()
    lost = EVENTS - len(set(numbers))
    assert lost > 0, "Faust keeps what a failing sink refused: the worker could be simpler; measure again and read DESIGN section 4"


@pytest.mark.faults
def test_the_same_agent_loses_nothing_when_its_sink_never_fails(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}take"
    asyncio.run(_fill(kafka, topic))
    stored = tmp_path / "stored"
    _run_until_acknowledged(kafka, topic, stored, fail_every=0)
    assert len(set(stored.read_bytes().split())) == EVENTS


async def _fill(kafka: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(EVENTS):
            await producer.send(topic, b"%d" % number)
        await producer.flush()


def _run_until_acknowledged(kafka: str, topic: str, path: Path, *, fail_every: int) -> None:
    """Run the agent until Kafka has its word for the whole topic, then stop it: what it has not stored now it never will."""
    process = subprocess.Popen([sys.executable, "-m", "tests.faults.faust_take", kafka, topic, str(path), str(fail_every)])
    try:
        asyncio.run(_acknowledged(kafka, topic, process))
    finally:
        process.terminate()
        process.wait(60)


async def _acknowledged(kafka: str, topic: str, process: "subprocess.Popen[bytes]") -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        while process.poll() is None:
            with suppress(GroupCoordinatorNotAvailableError):  # a broker that has just started has none yet
                committed = await admin.list_consumer_group_offsets(f"take-{topic}", partitions=[TopicPartition(topic, 0)])
                if committed[TopicPartition(topic, 0)].offset >= EVENTS:
                    return
            await asyncio.sleep(0.2)
    finally:
        await admin.close()
    pytest.fail(f"the agent has ended with {process.returncode}")
