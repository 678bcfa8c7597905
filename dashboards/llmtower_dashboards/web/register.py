"""Keys that `llmtower keys create` has made, read from Kafka when one is shown. Edge: nothing is read while nobody shows a key."""

import asyncio
import logging
import time
from typing import Final, Protocol

from llmtower_schemas import topics
from llmtower_schemas.keys import ApiKey, Scope
from llmtower_schemas.promotion import known_keys
from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryUnavailable
from llmtower_schemas.settings import KafkaSettings

FRESH_S: Final = 5.0
"""A key that was revoked opens nothing any more after so many seconds."""

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
            topic = KafkaRegistryLog(self._kafka, topic=self._topic)
            try:
                self._keys = known_keys(await topic.read())
            except RegistryUnavailable as error:
                self._keys = {}
                log.warning("keys cannot be read, so none is accepted: %s", error)
            finally:
                await topic.close()
            self._read_at = time.monotonic()
