"""What stands in `llmtower.calls`, read back as the runtime would take it."""

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from llmtower_schemas.codec import Malformed, decode
from llmtower_schemas.events import ResponseEvent
from llmtower_schemas.topics import CALLS, MAX_RECORD_BYTES, SIGNALS


async def create_topics(address: str) -> None:
    """Create the SDK's topics as `llmtower topics create` does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    limit = {"max.message.bytes": str(MAX_RECORD_BYTES)}
    await admin.create_topics([NewTopic(topic, 4, 1, topic_configs=limit) for topic in (CALLS, SIGNALS)])
    await admin.close()


def read(address: str, producers: set[str] | None = None) -> list[ConsumerRecord]:
    """Read everything that stands in `llmtower.calls`, of some producers."""

    async def all_records() -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="none", enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(CALLS, number) for number in range(4)]
            ends = await consumer.end_offsets(places)
            consumer.assign(places)
            for place in places:
                consumer.seek(place, 0)
            found: list[ConsumerRecord] = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    records = asyncio.run(all_records())
    return [record for record in records if producers is None or header(record, "producer") in producers]


def header(record: ConsumerRecord, name: str) -> str:
    value: bytes = dict(record.headers)[name]
    return value.decode()


def exact(records: list[ConsumerRecord]) -> list[str]:
    """Give the call ids of responses as the runtime would store them."""
    return [response.call_id for response in responses(records)]


def responses(records: list[ConsumerRecord]) -> list[ResponseEvent]:
    """Give the responses as the runtime would store them: re-sent envelopes are recognised and must be identical."""
    first: dict[tuple[str, str], ConsumerRecord] = {}
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        known = first.setdefault((header(record, "producer"), header(record, "seq")), record)
        assert (known.partition, known.value, known.headers) == (record.partition, record.value, record.headers)
    for producer in {key[0] for key in first}:
        ranges = sorted((int(header(r, "seq")), int(header(r, "count"))) for key, r in first.items() if key[0] == producer)
        assert [start for start, _ in ranges] == [sum(count for _, count in ranges[:place]) for place in range(len(ranges))]
    events = [event for record in first.values() for event in decode(record.value)]
    assert not [event for event in events if isinstance(event, Malformed)]
    return [event for event in events if isinstance(event, ResponseEvent)]


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Poll until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)
