"""Silences as the page writes and finds them. Edge: the page may not import the worker's half, so it has a small producer of its own."""

import contextlib
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from llmtower_schemas import topics
from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryUnavailable
from llmtower_schemas.settings import KafkaSettings
from llmtower_schemas.silences import Silence, encode_silence, newest_silence

Kind = Literal["silence", "acknowledge"]
LASTS: Final[Mapping[Kind, timedelta]] = {"silence": timedelta(hours=1), "acknowledge": timedelta(hours=12)}
BY: Final = "live page"
SEND_S: Final = 10.0


class NotSilencedError(Exception):
    """A silence was not taken, or cannot be looked up; the message says what failed and what to do."""


class Silencer(Protocol):
    """Where silences go."""

    async def publish(self, silence: Silence) -> None:
        """Write one version of a silence; with `deleted` its end. Raises NotSilencedError."""

    async def find(self, silence_id: str) -> Silence | None:
        """Give the latest version, also of one that was ended or has run out; None if there never was one. Raises NotSilencedError."""


class MemorySilencer:
    """Silences in memory, in the order in which they were written."""

    def __init__(self) -> None:
        self.written: list[Silence] = []

    async def publish(self, silence: Silence) -> None:
        """Keep it."""
        self.written.append(silence)

    async def find(self, silence_id: str) -> Silence | None:
        """Look it up."""
        return next((one for one in reversed(self.written) if one.silence_id == silence_id), None)


class KafkaSilencer:
    """Silences in the compacted topic; a producer lives only as long as one silence takes, so an idle page holds no connection."""

    def __init__(self, kafka: KafkaSettings, *, topic: str = topics.REGISTRY) -> None:
        self._kafka = kafka
        self._topic = topic

    async def publish(self, silence: Silence) -> None:
        """Write it, acknowledged by all replicas."""
        import asyncio

        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        if not self._kafka.bootstrap_servers:
            raise NotSilencedError("Nothing was silenced: this page knows no Kafka. Set LLMTOWER_KAFKA__BOOTSTRAP_SERVERS.")
        producer = AIOKafkaProducer(**self._kafka.client_options(), acks="all", enable_idempotence=True)
        try:
            async with asyncio.timeout(SEND_S):
                await producer.start()
                await producer.send_and_wait(self._topic, encode_silence(silence), key=silence.key.encode())
        except (KafkaError, TimeoutError) as error:
            where = self._kafka.bootstrap_servers
            raise NotSilencedError(
                f"Nothing was silenced: Kafka at {where} did not take it ({type(error).__name__}). Is it running?"
            ) from error
        finally:
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(SEND_S):
                    await producer.stop()

    async def find(self, silence_id: str) -> Silence | None:
        """Read the topic, which has a silence as soon as it is made; the tables follow it."""
        topic = KafkaRegistryLog(self._kafka, topic=self._topic)
        try:
            return newest_silence(silence_id, await topic.read())
        except RegistryUnavailable as error:
            raise NotSilencedError(f"Nothing was ended. {error}") from error
        finally:
            await topic.close()


def silence(kind: Kind, rule: str, group: Mapping[str, str], now: datetime) -> Silence:
    """Make a silence of one alert from now on, for as long as its kind lasts."""
    start = round(now.timestamp() * 1_000_000)
    return Silence(
        silence_id=f"page-{uuid.uuid4().hex}",
        kind=kind,
        rule=_literally(rule),
        group=dict(group),
        starts_at_us=start,
        ends_at_us=start + round(LASTS[kind].total_seconds() * 1_000_000),
        by=BY,
    )


def _literally(rule: str) -> str:
    """A rule's name is a pattern there: keep its letters from meaning more than themselves."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in rule)
