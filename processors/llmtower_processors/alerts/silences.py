"""Silences from the compacted topic `llmtower.registry`: read by the leader, written by command line, page and API."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from llmtower_processors.alerts.rows import SilenceRecord
from llmtower_processors.errors import LlmtowerError
from llmtower_processors.registry_topic import RegistryFeed, publish
from llmtower_schemas import topics
from llmtower_schemas.settings import KafkaSettings
from llmtower_schemas.silences import Silence, decode_silence, encode_silence, newest_silence


class NoSilenceError(LlmtowerError):
    """An id that no silence has."""


class SilenceFeed(Protocol):
    """What was silenced, as it is written."""

    async def poll(self) -> list[SilenceRecord]:
        """Give what is new since the last time; at first everything. Raises Unreachable; nothing is left out by that."""

    async def close(self) -> None:
        """Let go; the next poll begins at the beginning."""


class MemorySilences:
    """A feed in memory."""

    def __init__(self) -> None:
        self.records: list[SilenceRecord] = []
        self._position = 0

    def publish(self, silence: Silence, at_ms: int = 0) -> None:
        """Write one version of a silence."""
        self.records.append(SilenceRecord("memory", len(self.records), at_ms, silence))

    async def poll(self) -> list[SilenceRecord]:
        """Give what is new."""
        new, self._position = self.records[self._position :], len(self.records)
        return new

    async def close(self) -> None:
        """Begin again."""
        self._position = 0


class KafkaSilences:
    """The feed from Kafka."""

    def __init__(self, kafka: KafkaSettings, *, topic: str = topics.REGISTRY) -> None:
        self._feed = RegistryFeed(kafka, topic=topic)

    async def poll(self) -> list[SilenceRecord]:
        """Read up to the present end."""
        records = await self._feed.poll()
        decoded = ((record, decode_silence(record.key, record.value)) for record in records)
        return [SilenceRecord(record.incarnation, record.offset, record.at_ms, found) for record, found in decoded if found is not None]

    async def close(self) -> None:
        """Stop following."""
        await self._feed.close()


async def publish_silence(kafka: KafkaSettings, silence: Silence, *, topic: str = topics.REGISTRY) -> None:
    """Write a silence (or, with `deleted`, its end); the leader follows within a round. Raises Unreachable."""
    await publish(kafka, silence.key, encode_silence(silence), topic=topic)


async def end_silence(kafka: KafkaSettings, silence_id: str, *, topic: str = topics.REGISTRY) -> None:
    """End a silence; one that was ended before stays so. Raises NoSilenceError, Unreachable."""
    feed = RegistryFeed(kafka, topic=topic)
    try:
        found = newest_silence(silence_id, await feed.poll())
    finally:
        await feed.close()
    if found is None:
        raise NoSilenceError(f"No silence has the id {silence_id}, so nothing was ended. `llmtower alerts silences` lists them.")
    if not found.deleted:
        await publish_silence(kafka, found.model_copy(update={"deleted": True}), topic=topic)


class Silences:
    """The latest version of each silence, and which one covers an alert."""

    def __init__(self, records: Iterable[SilenceRecord] = ()) -> None:
        self._latest: dict[str, Silence] = {}
        self.learn(records)

    def learn(self, records: Iterable[SilenceRecord]) -> None:
        """Take in versions, in the order in which they were written."""
        for record in records:
            if record.silence.deleted:
                self._latest.pop(record.silence.silence_id, None)
            else:
                self._latest[record.silence.silence_id] = record.silence

    def covering(self, rule: str, group: Mapping[str, str], at_us: int) -> Silence | None:
        """Give the silence that covers an alert, a real one before an acknowledgement; None when people are to be told."""
        found = [silence for silence in self._latest.values() if silence.covers(rule, group, at_us)]
        return min(found, key=lambda silence: (silence.kind != "silence", silence.silence_id), default=None)
