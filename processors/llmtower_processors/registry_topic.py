"""Edge: the compacted topic `llmtower.registry`, followed to its present end by the server's parts, and written one value at a time."""

from typing import TYPE_CHECKING

from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime import fencing
from llmtower_processors.runtime.edges import EdgeError
from llmtower_schemas import topics
from llmtower_schemas.chains import RegistryRecord
from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryUnavailable
from llmtower_schemas.settings import KafkaSettings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

__all__ = ["RegistryFeed", "RegistryRecord", "publish"]


class _Named(KafkaRegistryLog):
    """The log, whose records name the topic's incarnation."""

    async def incarnation(self, consumer: "AIOKafkaConsumer", topic: str) -> str:
        """Ask for the ids of cluster and topic."""
        return (await fencing.incarnations(consumer, [topic]))[topic]


class RegistryFeed:
    """Follows the topic; it is of no group and commits nothing."""

    def __init__(self, kafka: KafkaSettings, *, topic: str = topics.REGISTRY) -> None:
        self._log = _Named(kafka, topic=topic)

    async def poll(self) -> list[RegistryRecord]:
        """Give what is new up to the present end, at first everything. Raises Unreachable; the next poll then begins anew."""
        try:
            return await self._log.read()
        except (RegistryUnavailable, EdgeError) as error:
            await self.close()
            raise Unreachable(str(error)) from error

    async def close(self) -> None:
        """Stop the consumer."""
        await self._log.close()


async def publish(kafka: KafkaSettings, key: str, value: bytes, *, topic: str = topics.REGISTRY) -> None:
    """Write one value; followers have it within seconds. Raises Unreachable."""
    log = KafkaRegistryLog(kafka, topic=topic)
    try:
        await log.write(key, value)
    except RegistryUnavailable as error:
        raise Unreachable(str(error)) from error
    finally:
        await log.close()
