"""Edge: what a judge writes into the compacted topic `llmtower.registry`, and reads back."""

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from llmtower_processors.errors import Unreachable
from llmtower_processors.registry_topic import RegistryFeed, RegistryRecord
from llmtower_schemas import topics
from llmtower_schemas.settings import KafkaSettings


class KafkaRegistry:
    """The topic."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka, self._feed = kafka, RegistryFeed(kafka)
        self._producer: AIOKafkaProducer | None = None

    async def poll(self) -> list[RegistryRecord]:
        """Give what is new up to the present end, at first everything. Raises Unreachable."""
        return await self._feed.poll()

    async def write(self, key: str, value: bytes | None) -> None:
        """Write one value and wait for it. Raises Unreachable; then it may or may not have been written."""
        try:
            producer = await self._open()
            await producer.send_and_wait(topics.REGISTRY, value, key=key.encode())
        except (KafkaError, OSError) as error:
            await self._drop()
            where = self._kafka.bootstrap_servers
            raise Unreachable(f"Kafka at {where} did not take {key} ({type(error).__name__}). Is it running?") from error

    async def close(self) -> None:
        """Let go."""
        await self._drop()
        await self._feed.close()

    async def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(**self._kafka.client_options(), acks="all", enable_idempotence=True)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
