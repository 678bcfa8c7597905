"""Keys that `llmtower keys create` has made, read from Kafka when one is shown. Edge: nothing is read while nobody shows a key."""

import asyncio
import contextlib
import logging
import time
from typing import Final, Protocol

from llmtower_schemas import topics
from llmtower_schemas.keys import PREFIX, ApiKey, Scope, decode_key
from llmtower_schemas.settings import KafkaSettings

FRESH_S: Final = 5.0
"""A key that was revoked opens nothing any more after so many seconds."""
READ_S: Final = 10.0

log = logging.getLogger(__name__)


class Register(Protocol):
    """What is known of keys."""

    async def find(self, key_id: str) -> ApiKey | None:
        """Give the key of that id; None when there is none, or when that cannot be told."""


class MemoryRegister:
    """Keys in memory."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {key.key_id: key for key in keys}

    async def find(self, key_id: str) -> ApiKey | None:
        """Look it up."""
        return self.keys.get(key_id)


class KafkaRegister:
    """Keys in the compacted topic; the consumer lives only while it reads."""

    def __init__(self, kafka: KafkaSettings, *, topic: str = topics.REGISTRY) -> None:
        self._kafka = kafka
        self._topic = topic
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, key_id: str) -> ApiKey | None:
        """Look it up, in what was read at most FRESH_S ago."""
        await self._refresh()
        return self._keys.get(key_id)

    async def grants(self, scope: Scope) -> bool:
        """Say whether any key has that scope."""
        await self._refresh()
        return any(key.revoked_at_us is None and scope in key.scopes for key in self._keys.values())

    async def _refresh(self) -> None:
        async with self._reading:
            if time.monotonic() - self._read_at < FRESH_S or not self._kafka.bootstrap_servers:
                return
            from aiokafka.errors import KafkaError

            try:
                async with asyncio.timeout(READ_S):
                    self._keys = await self._read()
            except (KafkaError, TimeoutError) as error:
                self._keys = {}
                log.warning(
                    "keys cannot be read from Kafka at %s (%s): none is accepted", self._kafka.bootstrap_servers, type(error).__name__
                )
            self._read_at = time.monotonic()

    async def _read(self) -> dict[str, ApiKey]:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        found: dict[str, ApiKey] = {}
        consumer = AIOKafkaConsumer(**self._kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await consumer.start()
            partitions = [TopicPartition(self._topic, number) for number in sorted(consumer.partitions_for_topic(self._topic) or {0})]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            while behind := [one for one in partitions if await consumer.position(one) < ends[one]]:
                for messages in (await consumer.getmany(*behind, timeout_ms=500)).values():
                    for message in messages:
                        if key := decode_key(message.key, message.value):
                            found[key.key_id] = key
                        elif message.key and not message.value:
                            found.pop(message.key.decode("utf-8", "replace").removeprefix(PREFIX), None)
        finally:
            with contextlib.suppress(Exception):
                await consumer.stop()
        return found
