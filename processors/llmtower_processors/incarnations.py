"""Ask Kafka which incarnation of a topic there is: a topic that was deleted and created again is another one."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime import fencing
from llmtower_schemas.settings import KafkaSettings


def incarnation(kafka: KafkaSettings, topic: str) -> str:
    """Give a topic's cluster id and topic id, as the ledger names them. Raises Unreachable, LogUnavailableError."""
    return asyncio.run(_incarnation(kafka, topic))


async def _incarnation(kafka: KafkaSettings, topic: str) -> str:
    consumer = AIOKafkaConsumer(**kafka.client_options())
    try:
        await consumer.start()
        return (await fencing.incarnations(consumer, [topic]))[topic]
    except KafkaError as error:
        raise Unreachable(f"Kafka at {kafka.bootstrap_servers} does not answer ({type(error).__name__}). Is it running?") from error
    finally:
        await consumer.stop()
