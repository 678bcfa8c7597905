"""The OpenTelemetry Collector's kafka exporter, followed by the worker: its export requests become events like those that come over HTTP.

A bridge, not a processor: a Collector sends again after time-outs and spreads its records over partitions as it likes, so the same span may
stand in two of them. Through the sink each event goes to the partition of its identity, where the runtime drops what it has already. An
offset is committed only after Kafka has acknowledged everything before it; what is read twice after a crash is recognised as well.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter

from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.gateway.intake import Kind, Taken, Write, counted, take
from llmtower_processors.gateway.sink import Sink
from llmtower_processors.otel.model import UnreadableError
from llmtower_processors.otel.nesting import Decided
from llmtower_schemas.settings import KafkaSettings

log = logging.getLogger(__name__)

_POLL_MS: Final = 1_000
_MOST_RECORDS: Final = 50
_WAIT_S: Final = (0.5, 30.0)
UNREADABLE: Final = "unreadable record"


class CollectorTopics:
    """Topics to follow, the group that follows them, and the project of what they hold."""

    def __init__(self, kafka: KafkaSettings, group: str, topics: Sequence[str], *, sink: Sink, project: str, write: Write) -> None:
        self._kafka, self._group, self._topics = kafka, group, topics
        self._sink, self._project, self._write = sink, project, write
        self._decided = Decided()

    async def run(self, registry: CollectorRegistry) -> None:
        """Follow for ever; whatever fails in passing is tried again."""
        records = Counter(
            "llmtower_collector_records",
            "spans and log records from the Collector's topics, by topic, outcome and reason",
            ["topic", "outcome", "reason"],
            registry=registry,
        )
        wait_s = _WAIT_S[0]
        while True:
            consumer = AIOKafkaConsumer(
                *self._topics, **self._kafka.client_options(), group_id=self._group, enable_auto_commit=False, auto_offset_reset="earliest"
            )
            try:
                await consumer.start()
                while True:
                    await self._turn(consumer, records)
                    wait_s = _WAIT_S[0]
            except (KafkaError, Refusal, OSError) as error:
                log.warning("Collector's topics: %s; trying again in %.1f s.", type(error).__name__, wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(_WAIT_S[1], wait_s * 2)
            finally:
                with contextlib.suppress(KafkaError, TimeoutError):
                    await asyncio.wait_for(consumer.stop(), 5)

    async def _turn(self, consumer: AIOKafkaConsumer, records: Any) -> None:
        """Take some records, store what they hold, then commit."""
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        for partition, messages in fetched.items():
            for message in messages:
                taken = await asyncio.to_thread(self._read, partition.topic, message.value or b"")
                if UNREADABLE in taken.rejected:
                    where = f"{partition.topic}[{partition.partition}] offset {message.offset}"
                    log.warning("%s is neither otlp_proto nor otlp_json and is skipped. Look at the exporter's `encoding`.", where)
                if taken.lines:
                    await self._sink.put(taken.lines)
                    self._decided.learn(self._project, taken.chains)
                for outcome, reason, number in counted(taken):
                    records.labels(partition.topic, outcome, reason).inc(number)
        if fetched:
            await consumer.commit()

    def _read(self, topic: str, value: bytes) -> Taken:
        """Read one record, protobuf or JSON as it looks; one that is neither is counted as rejected."""
        kind: Kind = "logs" if "log" in topic else "spans"
        is_json = value[:1] == b"{"  # protobuf begins with the tag of its first field, a newline
        read = partial(take, kind, value, is_json=is_json, project=self._project, now_ns=time.time_ns(), write=self._write)
        try:
            taken = read()
            earlier = self._decided.earlier(self._project, taken.chains)
            return read(earlier=earlier) if any(earlier) else taken
        except UnreadableError:
            taken = Taken()
            taken.rejected[UNREADABLE] += 1
            return taken
