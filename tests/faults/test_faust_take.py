"""Why the hot path is not a Faust agent: `take()` acknowledges in a `finally`, so what a failing sink refused is gone for good."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

EVENTS = 2_000


@pytest.mark.faults
def test_a_plain_take_agent_loses_what_its_sink_refused(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}take"
    asyncio.run(_fill(kafka, topic))
    stored = tmp_path / "stored"
    _run_until_quiet(kafka, topic, stored, fail_every=3)
    _run_until_quiet(kafka, topic, stored, fail_every=0)
    numbers = stored.read_bytes().split()
    lost = EVENTS - len(set(numbers))
    assert lost > 0, "Faust keeps what a failing sink refused: the worker could be simpler; measure again and read DESIGN section 4"


@pytest.mark.faults
def test_the_same_agent_loses_nothing_when_its_sink_never_fails(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}take"
    asyncio.run(_fill(kafka, topic))
    stored = tmp_path / "stored"
    _run_until_quiet(kafka, topic, stored, fail_every=0)
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


def _run_until_quiet(kafka: str, topic: str, path: Path, *, fail_every: int) -> None:
    """Run the agent until its file has not grown for three seconds, then stop it cleanly, so that it commits."""
    process = subprocess.Popen([sys.executable, "-m", "tests.faults.faust_take", kafka, topic, str(path), str(fail_every)])
    try:
        before, quiet, deadline = -1, 0, time.monotonic() + 60
        while quiet < 6 and time.monotonic() < deadline:
            time.sleep(0.5)
            size = path.stat().st_size if path.exists() else -1
            quiet = quiet + 1 if size == before and (size >= 0 or fail_every == 0) else 0
            before = size
    finally:
        process.terminate()
        process.wait(20)
