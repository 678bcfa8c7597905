import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from llmtower_processors.local.errors import KafkaFailedError, PortTakenError
from llmtower_processors.local.kafka import KafkaProcess, answers, kafka_runtime
from llmtower_processors.local.supervisor import describe_exit

pytestmark = pytest.mark.integration
TOPIC = "resume"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaProcess]:
    """A node whose path has what usually breaks scripts: a space, a comma, a letter outside ASCII."""
    with KafkaProcess(tmp_path_factory.mktemp("a folder, with é") / "node") as process:
        yield process


async def create(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def send(address: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True, max_request_size=8_000_000)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read(address: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", max_partition_fetch_bytes=8_000_000)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        return [(await asyncio.wait_for(consumer.getone(), 20)).value or b"" for _ in range(count)]
    finally:
        await consumer.stop()


def test_data_and_address_outlive_a_restart_and_a_kill(node: KafkaProcess) -> None:
    address = node.bootstrap_servers
    asyncio.run(create(address, TOPIC))
    asyncio.run(send(address, TOPIC, [b"before"]))
    first = node.pid
    node.restart()
    asyncio.run(send(address, TOPIC, [b"after a stop"]))
    node.kill()
    node.start()
    asyncio.run(send(address, TOPIC, [b"after a kill"]))
    assert asyncio.run(read(address, TOPIC, 3)) == [b"before", b"after a stop", b"after a kill"]
    assert node.bootstrap_servers == address
    assert node.pid != first


def test_a_broker_killed_or_frozen_by_others_comes_back(node: KafkaProcess) -> None:
    os.kill(node.pid, signal.SIGSTOP)
    assert not answers(node.port, timeout_s=0.5)
    os.kill(node.pid, signal.SIGCONT)
    deadline = time.monotonic() + 20
    while not answers(node.port) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(node.pid, signal.SIGKILL)
    node.start()
    assert answers(node.port)
    with pytest.raises(KafkaFailedError, match=rf"Kafka runs already \(pid {node.pid}\): stop it first"):
        node.start()


def test_an_envelope_above_a_mebibyte_is_taken(node: KafkaProcess, topic_prefix: str) -> None:
    topic = f"{topic_prefix}large"
    asyncio.run(create(node.bootstrap_servers, topic))
    envelope = os.urandom(3_000_000)
    asyncio.run(send(node.bootstrap_servers, topic, [envelope]))
    assert asyncio.run(read(node.bootstrap_servers, topic, 1)) == [envelope]


def test_topics_are_never_created_by_accident(node: KafkaProcess, topic_prefix: str) -> None:
    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=node.bootstrap_servers, request_timeout_ms=2000)
        await producer.start()
        try:
            with pytest.raises(UnknownTopicOrPartitionError):
                await producer.partitions_for(f"{topic_prefix}misspelt")
        finally:
            await producer.stop()

    asyncio.run(produce())


def test_only_this_machine_can_connect(node: KafkaProcess) -> None:
    listening = subprocess.run(["ss", "-Htln"], capture_output=True, text=True, check=False) if sys.platform == "linux" else None
    with socket.create_connection(("127.0.0.1", node.port), timeout=2):
        pass
    if listening and listening.returncode == 0:
        lines = [line for line in listening.stdout.splitlines() if f":{node.port} " in line]
        assert lines
        assert all("127.0.0.1" in line for line in lines)
    assert stat.S_IMODE(node.data_dir.stat().st_mode) == 0o700


def test_a_port_that_another_program_has_is_refused_before_anything_starts(node: KafkaProcess, tmp_path: Path) -> None:
    with pytest.raises(PortTakenError, match=f"port {node.port} for Kafka is in use by another program"):
        KafkaProcess(tmp_path / "second", port=node.port)
    assert not (tmp_path / "second").exists()


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    process = KafkaProcess(tmp_path / "node", runtime=kafka_runtime(), options=("-XX:NoSuchOption",))
    try:
        with pytest.raises(KafkaFailedError, match=r"Kafka ended with status 1 while it started \(.*; see .*kafka\.log\)"):
            process.start()
    finally:
        process.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child's life to its parent's")
def test_a_broker_dies_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from llmtower_processors.local.kafka import KafkaProcess\n"
        "node = KafkaProcess(Path(sys.argv[1])); node.start(); print(node.pid, node.port, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "node")], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid, port = map(int, parent.stdout.readline().split())
        assert answers(port)
        parent.kill()
        assert describe_exit(parent.wait()) == "was killed by SIGKILL"
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
