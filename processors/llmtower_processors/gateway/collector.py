"""The OpenTelemetry Collector's kafka exporter, followed: its export requests become events like those that come over HTTP.

A bridge, not a processor: a Collector sends again after time-outs and spreads its records over partitions as it likes, so the same span may
stand in two of them. Through the sink each event goes to the partition of its identity, where the runtime drops what it has already. An
offset is committed only after Kafka has acknowledged everything before it; what is read twice after a crash is recognised as well.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter

from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.gateway.intake import Taken, Write, counted, take_logs, take_spans
from llmtower_processors.gateway.sink import Sink
from llmtower_processors.otel.model import UnreadableError
from llmtower_schemas.settings import KafkaSettings

log = logging.getLogger(__name__)

_POLL_MS: Final = 1_000
_MOST_RECORDS: Final = 50
_WAIT_S: Final = (0.5, 30.0)


async def follow_collector(
    kafka: KafkaSettings, group: str, topics: Sequence[str], *, sink: Sink, project: str, write: Write, registry: CollectorRegistry
) -> None:
    """Follow topics for ever; whatever fails in passing is tried again."""
    records = Counter(
        "llmtower_collector_records", "spans and log records from the Collector's topics", ["topic", "outcome", "reason"], registry=registry
    )
    wait_s = _WAIT_S[0]
    while True:
        consumer = AIOKafkaConsumer(
            *topics, **kafka.client_options(), group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            await consumer.start()
            while True:
                await _turn(consumer, sink, project, write, records)
                wait_s = _WAIT_S[0]
        except (KafkaError, Refusal, OSError) as error:
            log.warning("Collector's topics: %s; trying again in %.1f s.", type(error).__name__, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(_WAIT_S[1], wait_s * 2)
        finally:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), 5)


async def _turn(consumer: AIOKafkaConsumer, sink: Sink, project: str, write: Write, records: Any) -> None:
    """Take some records, store what they hold, then commit."""
    fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
    for partition, messages in fetched.items():
        for message in messages:
            taken = await read_export(message.value or b"", partition.topic, project=project, now_ns=time.time_ns(), write=write)
            if taken.lines:
                await sink.put(taken.lines)
            for outcome, reason, number in counted(taken):
                records.labels(partition.topic, outcome, reason).inc(number)
    if fetched:
        await consumer.commit()


async def read_export(value: bytes, topic: str, *, project: str, now_ns: int, write: Write) -> Taken:
    """Read one record, protobuf or JSON as it looks; one that is neither is counted as rejected."""
    take = take_logs if "log" in topic else take_spans
    is_json = value[:1] == b"{"  # protobuf begins with the tag of its first field, a newline
    try:
        return take(value, is_json=is_json, project=project, now_ns=now_ns, write=write)
    except UnreadableError:
        taken = Taken()
        taken.rejected["unreadable record"] += 1
        return taken
