"""Spans through the gateway's sink, a real Kafka and the real `calls` processor: sent again in other batches, stored once."""

import asyncio
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import clickhouse_connect
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client
from prometheus_client import CollectorRegistry
from tests.contract.backends import KafkaCluster
from tests.integration.gateway.topics import read_all
from tests.otel.exports import PARENT, span, traces
from tests.otel.test_dialects import SEMCONV_37

from llmtower_processors.cli.policy import content_writer
from llmtower_processors.cost import calls_processor
from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.gateway.collector import CollectorTopics
from llmtower_processors.gateway.intake import take_spans
from llmtower_processors.gateway.packing import Line
from llmtower_processors.gateway.sink import KafkaSink, MemorySink
from llmtower_processors.local.kafka import KafkaProcess
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.pricing import PriceBook
from llmtower_processors.runtime.buffer import Limits
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.loop import connect
from llmtower_schemas.settings import KafkaSettings, RetentionSettings, Settings
from llmtower_schemas.topics import CALLS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
WRITE = content_writer(Settings())


def lines_of(count: int, topic: str) -> list[Line]:
    """Give lines of distinct calls, on a topic of the test's own."""
    now_ns = time.time_ns()
    given = [span(SEMCONV_37, span_id=f"{number + 1:016x}", start_ns=now_ns - 10**9, end_ns=now_ns) for number in range(count)]
    taken = take_spans(traces(given).SerializeToString(), is_json=False, project="shop", now_ns=now_ns, write=WRITE)
    return [line._replace(topic=topic) for line in taken.lines]


def settings(bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=bootstrap, request_timeout_ms=3_000)


@pytest.fixture
def store(engine: EngineProcess, database: str) -> Iterator[Client]:
    address: dict[str, Any] = {
        "host": engine.host,
        "port": engine.port,
        "username": Role.WRITER.value,
        "password": engine.credentials.password(Role.WRITER),
    }
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**address, database=database) as client:
            migrate(client, RetentionSettings())
            yield client
        server.command(f"DROP DATABASE {database}")


def options_of(client: Client, engine: EngineProcess, database: str) -> dict[str, Any]:
    password = engine.credentials.password(Role.WRITER)
    return {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "password": password, "database": database}


def test_spans_sent_again_in_other_batches_are_stored_once(kafka: str, store: Client, engine: EngineProcess, database: str) -> None:
    topic = f"t{uuid.uuid4().hex}"
    lines = lines_of(300, topic)

    async def body() -> None:
        await KafkaCluster(kafka, "g").create(topic, 3)
        sink = KafkaSink(settings(kafka), ack_s=10, topics=(topic,))
        processor = replace(calls_processor(PriceBook()), topics=(topic,))
        loop = connect(
            processor,
            kafka={"bootstrap_servers": kafka},
            store_factory=lambda: ClickHouseStore(options_of(store, engine, database)),
            group_id=f"g{uuid.uuid4().hex}",
            limits=Limits(rows=100, flush_s=0.2, acknowledge_s=0.5),
        )
        running = asyncio.create_task(loop.run())
        try:
            await asyncio.gather(sink.put(lines[:200]), sink.put(lines[150:]))
            await asyncio.sleep(1)
            await sink.put(list(reversed(lines)))  # a Collector after a time-out, batched anew
            async with asyncio.timeout(60):
                while await asyncio.to_thread(_number, store, "SELECT count() FROM ledger") < 650:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        finally:
            loop.stop()
            await running
            await sink.close()

    asyncio.run(body())
    assert _number(store, "SELECT count() FROM calls") == _number(store, "SELECT uniqExact(call_id) FROM calls") == 300
    assert _number(store, "SELECT sum(calls) FROM rollup_1m") == 300
    assert _number(store, "SELECT sum(duplicate) FROM ledger") == 350
    assert _number(store, "SELECT sum(cost_nano_usd) FROM calls") == 300 * (60 * 2_500 + 40 * 1_250 + 50 * 10_000)


def _number(client: Client, sql: str) -> int:
    return int(str(client.command(sql)))


def test_what_was_acknowledged_outlives_a_killed_broker_and_nothing_else_was_promised(tmp_path: Path) -> None:
    topic = CALLS
    lines = lines_of(400, topic)
    with KafkaProcess(tmp_path / "kafka") as node:
        bootstrap = node.bootstrap_servers

        async def body() -> tuple[set[str], list[str]]:
            await KafkaCluster(bootstrap, "g").create(topic, 2)
            sink = KafkaSink(settings(bootstrap), ack_s=4, topics=(topic,))
            acknowledged: set[str] = set()
            refused = 0
            for start in range(0, 400, 20):
                if start == 200:
                    await asyncio.to_thread(node.kill)
                part = lines[start : start + 20]
                try:
                    await sink.put(part)
                except Refusal:
                    refused += 1
                    if refused == 1:
                        await asyncio.to_thread(node.restart)
                    await _until_taken(sink, part)
                acknowledged |= {line.event_id for line in part}
            assert refused
            await sink.close()
            return acknowledged, [orjson.loads(value)["call_id"] for value in await read_all(bootstrap, topic, 2)]

        acknowledged, stored = asyncio.run(body())
    assert acknowledged == set(stored)
    assert len(acknowledged) == 400


async def _until_taken(sink: KafkaSink, part: Sequence[Line]) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await sink.put(part)
            except Refusal:
                await asyncio.sleep(0.5)


def test_no_broker_is_a_refusal_in_time() -> None:
    async def body() -> Refusal:
        sink = KafkaSink(KafkaSettings(bootstrap_servers="127.0.0.1:9", request_timeout_ms=500), ack_s=1)
        with pytest.raises(Refusal) as refused:
            await sink.put(lines)
        await sink.close()
        return refused.value

    lines = lines_of(1, CALLS)
    assert asyncio.run(body()).retry_after_s == 5


def test_the_collectors_topics_are_followed_and_read_again_after_a_failure(kafka: str) -> None:
    topic, group = f"otlp_spans.{uuid.uuid4().hex}", f"g{uuid.uuid4().hex}"

    async def body() -> list[Line]:
        await KafkaCluster(kafka, "g").create(topic, 2)
        now_ns = time.time_ns()
        request = traces([span(SEMCONV_37, span_id=os.urandom(8).hex(), start_ns=now_ns) for _ in range(5)])
        inner, outer = span(SEMCONV_37, parent_id=PARENT, start_ns=now_ns), span(SEMCONV_37, span_id=PARENT, start_ns=now_ns)
        apart = [(0, traces([one]).SerializeToString()) for one in (inner, outer)]
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            for partition, value in (*apart, (0, request.SerializeToString()), (1, b"\xff\xff"), (1, request.SerializeToString())):
                await producer.send_and_wait(topic, value, partition=partition)
        sink = MemorySink()
        sink.fails = 1
        topics = CollectorTopics(settings(kafka), group, [topic], sink=sink, project="shop", write=WRITE)
        task = asyncio.create_task(topics.run(CollectorRegistry()))
        async with asyncio.timeout(60):
            while len(sink.lines) < 12:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return sink.lines

    lines = asyncio.run(body())
    assert len({line.event_id for line in lines}) == 7
    assert [line.kind for line in lines].count("step") == 1, "the outer span of a call that is stored"
    assert {line.project for line in lines} == {"shop"}
