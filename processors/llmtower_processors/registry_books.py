"""The audit trail: every entry of the registry that counts becomes a row of `registry_events`, once, whoever wrote it and died after."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Protocol

from llmtower_processors.alerts.tables import Tables
from llmtower_processors.errors import LlmtowerError
from llmtower_processors.leader import Firing
from llmtower_processors.runtime.model import Block
from llmtower_schemas.chains import Chains, Entry, RegistryRecord
from llmtower_schemas.queries import Query
from llmtower_schemas.registry_events import KINDS, RegistryEvent, registry_event

log = logging.getLogger(__name__)

_FLOOR: Final = Query("SELECT incarnation, max(kafka_offset) FROM registry_events GROUP BY incarnation", {})


class Feed(Protocol):
    """What is new in the registry."""

    async def poll(self) -> list[RegistryRecord]:
        """Give what is new, at first everything."""

    async def close(self) -> None:
        """Begin again."""


class RegistryBooks:
    """The table follows the topic: one leader writes, so the table has all up to its highest offset."""

    def __init__(self, feed: Feed, tables: Tables) -> None:
        self._feed, self._tables = feed, tables
        self._begin()

    def _begin(self) -> None:
        self._chains = Chains(*KINDS)
        self._incarnation = ""
        self._floors: dict[str, int] | None = None
        self._waiting: deque[tuple[str, Entry, RegistryEvent]] = deque()

    async def fire(self, firing: Firing) -> None:
        """Read what is new and write it. What cannot be reached now is written later."""
        del firing
        try:
            self.learn(await self._feed.poll())
            await asyncio.to_thread(self.write)
        except LlmtowerError as error:
            log.warning("registry: %s Trying again.", error)

    async def resign(self) -> None:
        """Another leads: forget everything."""
        await self._feed.close()
        self._begin()

    def learn(self, records: Sequence[RegistryRecord]) -> None:
        """Take in records; a topic that was made anew begins anew."""
        for record in records:
            if record.incarnation != self._incarnation:
                self._chains, self._incarnation = Chains(*KINDS), record.incarnation
            for entry in self._chains.learn([record]):
                before = self._chains.before(entry)
                if event := registry_event(entry, before):
                    self._waiting.append((record.incarnation, entry, event))

    def write(self) -> None:
        """Write what waits. Blocks. Raises Unreachable; what was written then waits no longer."""
        if not self._waiting:
            return
        if self._floors is None:
            self._floors = {str(incarnation): int(top) for incarnation, top in self._tables.ask(_FLOOR)[1]}
        while self._waiting:
            incarnation, entry, event = self._waiting[0]
            if entry.offset > self._floors.get(incarnation, -1):
                self._tables.insert(_block(incarnation, entry, event), f"registry:{incarnation}:{entry.offset}")
            self._waiting.popleft()


def _block(incarnation: str, entry: Entry, event: RegistryEvent) -> Block:
    columns: dict[str, list[Any]] = {name: [value] for name, value in asdict(event).items()}
    place: dict[str, list[Any]] = {"number": [entry.number], "incarnation": [incarnation], "kafka_offset": [entry.offset]}
    return Block("registry_events", {"at": [entry.at_ms]} | columns | place)
