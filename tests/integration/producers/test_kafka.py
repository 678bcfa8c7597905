"""The SDK against a real Kafka, which is killed, frozen and restarted under it."""

import asyncio
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.producers.records import create_topics, exact, header, read, until

import llmtower
from llmtower.kafka import KafkaTransport
from llmtower.transport import Envelope, MemoryTransport, OpenTransport, Transport, seal
from llmtower_processors.local.kafka import KafkaProcess
from llmtower_schemas.topics import CALLS, SIGNALS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaProcess]:
    with KafkaProcess(tmp_path_factory.mktemp("kafka")) as process:
        asyncio.run(create_topics(process.bootstrap_servers))
        yield process


def emit(count: int, text: str = "hello") -> list[str]:
    ids = []
    for _ in range(count):
        with llmtower.call(provider="openai", model="gpt-4o", input=text) as call:
            call.finish(output="world", usage={"prompt_tokens": 5, "completion_tokens": 1})
        ids.append(call.id)
    return ids


@pytest.fixture
def configured(node: KafkaProcess, tmp_path: Path) -> Iterator[Path]:
    llmtower.configure(app="shop", bootstrap_servers=node.bootstrap_servers, spool_dir=tmp_path / "spool")
    yield tmp_path / "spool"
    llmtower.close()


# The contract of a transport, on both implementations.


@pytest.fixture(params=["memory", "kafka"])
def opened(request: pytest.FixtureRequest, node: KafkaProcess) -> OpenTransport:
    memory = MemoryTransport()
    options = {"bootstrap_servers": node.bootstrap_servers, "request_timeout_ms": 5_000}
    return (lambda: memory) if request.param == "memory" else (lambda: KafkaTransport(options))


def envelope(number: int, size: int = 10) -> Envelope:
    return seal(CALLS, "p", "a", [b'{"x":"%s"}' % (b"y" * size)], producer=f"contract-{os.getpid()}-{size}", seq=number, at_ns=1)


def driven(opened: OpenTransport, work: Callable[[Transport], object]) -> None:
    async def main() -> None:
        transport = opened()
        await transport.start()
        try:
            answer = work(transport)
            assert asyncio.iscoroutine(answer)
            await answer
        finally:
            await transport.stop()

    asyncio.run(main())


def test_a_transport_delivers_and_knows_its_partitions(opened: OpenTransport) -> None:
    async def work(transport: Transport) -> None:
        assert transport.partitions(CALLS) == transport.partitions(SIGNALS) == 4
        await asyncio.gather(*[transport.send(envelope(number).placed(4)) for number in range(20)])

    driven(opened, work)


def test_a_transport_takes_the_largest_event(opened: OpenTransport) -> None:
    driven(opened, lambda transport: transport.send(envelope(0, 999_990).placed(4)))


def test_a_transport_says_what_can_never_be_delivered(opened: OpenTransport) -> None:
    from llmtower.errors import Rejected

    async def work(transport: Transport) -> None:
        with pytest.raises(Rejected):
            await transport.send(envelope(0, 2_000_000).placed(4))

    driven(opened, work)


def test_a_transport_can_be_stopped_at_any_time(opened: OpenTransport) -> None:
    async def main() -> None:
        await opened().stop()
        transport = opened()
        starting = asyncio.ensure_future(transport.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        await transport.stop()
        await transport.stop()

    asyncio.run(main())


def test_a_stop_that_is_cancelled_leaves_no_connection(node: KafkaProcess) -> None:
    """What is left open would be found by the garbage collector, long after its loop is closed: a warning in the host."""

    async def main() -> None:
        transport = KafkaTransport({"bootstrap_servers": node.bootstrap_servers})
        await transport.start()
        assert transport._producer is not None
        client = transport._producer.client
        stopping = asyncio.ensure_future(transport.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        assert not any(connection.connected() for connection in client._conns.values())

    asyncio.run(main())


def test_what_was_sent_is_what_stands_in_kafka(node: KafkaProcess) -> None:
    sent = [envelope(number, 77).placed(4) for number in range(5)]

    async def work(transport: Transport) -> None:
        for one in sent:
            await transport.send(one)

    driven(lambda: KafkaTransport({"bootstrap_servers": node.bootstrap_servers}), work)
    found = {int(header(record, "seq")): record for record in read(node.bootstrap_servers, {sent[0].producer})}
    assert [(found[e.seq].partition, found[e.seq].value, tuple(found[e.seq].headers)) for e in sent] == [
        (e.partition, e.value, e.headers) for e in sent
    ]
    assert {batch for path in node.data_dir.glob(f"data/{CALLS}-*/*.log") for batch in batches(path)} == {("lz4", True)}


def batches(path: Path) -> Iterator[tuple[str, bool]]:
    """Give of each batch of a segment how it is compressed, and whether it is an idempotent producer's."""
    raw, start = path.read_bytes(), 0
    while start + 61 <= len(raw) and (length := int.from_bytes(raw[start + 8 : start + 12])):
        attributes, producer_id = struct.unpack_from(">hxxxxxxxxxxxxxxxxxxxxq", raw, start + 21)
        yield ("none", "gzip", "snappy", "lz4", "zstd")[attributes & 7], producer_id >= 0
        start += 12 + length


# The SDK.


def test_every_call_arrives_exactly_once(node: KafkaProcess, configured: Path) -> None:
    ids = emit(2_000)

    report = llmtower.flush(20)
    stats = llmtower.stats()
    assert report.complete
    assert (stats.emitted, stats.delivered, stats.dropped, stats.queued) == (4_000, 4_000, 0, 0)
    assert sorted(exact(read(node.bootstrap_servers, {stats.producer}))) == sorted(ids)


def test_huge_events_take_nobody_along(node: KafkaProcess, configured: Path) -> None:
    ids = [*emit(3), *emit(2, "ä" * 3_000_000), *emit(3)]

    assert llmtower.flush(20).complete
    assert sorted(exact(read(node.bootstrap_servers, {llmtower.stats().producer}))) == sorted(ids)


def test_a_killed_broker_costs_nothing(node: KafkaProcess, configured: Path) -> None:
    ids = emit(200)
    assert llmtower.flush(20).complete
    producer = llmtower.stats().producer
    node.kill()
    for _ in range(40):
        ids += emit(10)
        time.sleep(0.02)
    until(lambda: llmtower.stats().spooled > 0)
    ids += emit(100)
    node.restart()

    until(lambda: llmtower.flush(5).complete, 60)
    stats = llmtower.stats()
    assert (stats.emitted, stats.delivered, stats.spooled, stats.dropped) == (1_400, 1_400, 0, 0)
    assert sorted(exact(read(node.bootstrap_servers, {producer}))) == sorted(ids)
    assert [path for path in configured.rglob("*") if path.is_file()] == []


def test_a_frozen_broker_is_bridged_and_envelopes_stay_identical(node: KafkaProcess, configured: Path) -> None:
    ids = emit(50)
    assert llmtower.flush(20).delivered == 100
    producer = llmtower.stats().producer
    os.kill(node.pid, signal.SIGSTOP)
    try:
        ids += emit(50)
        until(lambda: llmtower.stats().spooled == 100, 10)
        ids += emit(50)
        until(lambda: llmtower.stats().spooled == 200, 10)
        llmtower.close()  # comes back although nobody answers; how soon is measured by bench_sdk
        stats = llmtower.stats()
        assert (stats.emitted, stats.delivered, stats.spooled, stats.queued, stats.dropped) == (300, 100, 200, 0, 0)
    finally:
        os.kill(node.pid, signal.SIGCONT)

    llmtower.configure(app="shop", bootstrap_servers=node.bootstrap_servers, spool_dir=configured)
    until(lambda: llmtower.stats().replayed == 200, 30)
    assert sorted(exact(read(node.bootstrap_servers, {producer}))) == sorted(ids)


KILLED = """
import sys, time, llmtower
llmtower.configure(app="shop", bootstrap_servers=sys.argv[1], spool_dir=sys.argv[2])
number = 0
while True:
    with llmtower.call(model="m", input="x" * 200) as call: call.finish(output="y")
    number += 1
    if number % 20 == 0:
        s = llmtower.stats()
        print(s.producer, s.delivered, s.spooled, flush=True)
        time.sleep(0.004)
"""


def test_kill_9_loses_nothing_that_was_delivered_or_on_the_disk(node: KafkaProcess, tmp_path: Path) -> None:
    promised: dict[str, int] = {}
    for turn in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, node.bootstrap_servers, str(tmp_path / "spool")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1.0)
        if turn == 1:
            node.kill()
            time.sleep(2.0)
        process.kill()
        out, _ = process.communicate()
        last = [line.split() for line in out.splitlines() if line.count(" ") == 2][-1]
        promised[last[0]] = int(last[1]) + int(last[2])
        if turn == 1:
            node.restart()
    llmtower.configure(app="shop", bootstrap_servers=node.bootstrap_servers, spool_dir=tmp_path / "spool")
    try:
        until(lambda: not list((tmp_path / "spool").rglob("*.spool")), 60)
    finally:
        llmtower.close()

    for producer, count in promised.items():
        records = {header(r, "seq"): r for r in read(node.bootstrap_servers, {producer})}
        assert sum(int(header(record, "count")) for record in records.values()) >= count


def test_two_processes_share_the_work_of_a_dead_one(node: KafkaProcess, tmp_path: Path) -> None:
    body = "import sys, llmtower\nllmtower.configure(app='shop', bootstrap_servers='127.0.0.1:9', spool_dir=sys.argv[1])\n"
    body += "for _ in range(300):\n  with llmtower.call(model='m'): pass\n"
    left = [subprocess.Popen([sys.executable, "-c", body, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(30) for process in left] == [0, 0, 0]

    again = """
import sys, time, llmtower
from pathlib import Path
llmtower.configure(app="shop", bootstrap_servers=sys.argv[1], spool_dir=sys.argv[2])
while list(Path(sys.argv[2]).rglob("*.spool")): time.sleep(0.05)
llmtower.close()
print(llmtower.stats().replayed, llmtower.stats().producer)
"""
    command = [sys.executable, "-c", again, node.bootstrap_servers, str(tmp_path)]
    rivals = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    replayed = [int(process.communicate(timeout=30)[0].split()[0]) for process in rivals]

    assert sum(replayed) == 1_800


def test_a_short_script_delivers_before_it_ends(node: KafkaProcess, tmp_path: Path) -> None:
    body = "import sys, llmtower\nllmtower.configure(app='shop', bootstrap_servers=sys.argv[1], spool_dir=sys.argv[2])\n"
    body += "with llmtower.call(model='m') as call: call.finish(output='x')\nprint(llmtower.stats().producer)"
    command = [sys.executable, "-W", "error", "-c", body, node.bootstrap_servers.replace("127.0.0.1", "localhost"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)

    assert "Traceback" not in done.stderr
    assert len(exact(read(node.bootstrap_servers, {done.stdout.strip()}))) == 1


def test_a_missing_topic_keeps_events_on_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with KafkaProcess(tmp_path / "kafka") as bare:
        llmtower.configure(app="shop", bootstrap_servers=bare.bootstrap_servers, spool_dir=tmp_path / "spool")
        ids = emit(5)
        until(lambda: llmtower.stats().spooled == 10 and "is not there" in caplog.text, 30)
        asyncio.run(create_topics(bare.bootstrap_servers))
        until(lambda: llmtower.flush(2).complete, 60)
        producer = llmtower.stats().producer
        llmtower.close()
        assert sorted(exact(read(bare.bootstrap_servers, {producer}))) == sorted(ids)
    assert caplog.text.count("topic llmtower.calls is not there") == 1
    assert "aiokafka" not in caplog.text.replace("aiokafka.consumer", "")
