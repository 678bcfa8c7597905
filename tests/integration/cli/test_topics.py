"""Topics on the real Kafka."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from llmtower_processors.errors import Unreachable
from llmtower_processors.topics import check_topics, create_topics
from llmtower_schemas.settings import KafkaSettings, RetentionSettings
from llmtower_schemas.topics import TOPICS

pytestmark = pytest.mark.integration


def test_topics_are_created_once_and_differences_are_named(kafka: str) -> None:
    settings, retention = KafkaSettings(bootstrap_servers=kafka), RetentionSettings()
    asyncio.run(create_topics(settings, retention))
    assert asyncio.run(create_topics(settings, retention)) == []
    assert asyncio.run(check_topics(settings, retention)) == []
    (difference,) = asyncio.run(check_topics(settings, RetentionSettings(topics_bytes=1 << 21)))
    assert str(difference) == "llmtower.calls: retention.bytes is 8589934592, should be 2097152"


def test_a_missing_topic_is_named(kafka: str) -> None:
    settings, retention = KafkaSettings(bootstrap_servers=kafka), RetentionSettings()
    asyncio.run(create_topics(settings, retention))
    asyncio.run(_delete(kafka, "llmtower.registry"))
    (difference,) = asyncio.run(check_topics(settings, retention))
    assert str(difference) == f"llmtower.registry is missing ({TOPICS['llmtower.registry'].partitions} partitions)"
    assert asyncio.run(create_topics(settings, retention)) == ["llmtower.registry"]


def test_the_registry_is_compacted(kafka: str) -> None:
    asyncio.run(create_topics(KafkaSettings(bootstrap_servers=kafka), RetentionSettings()))
    assert asyncio.run(_config(kafka, "llmtower.registry"))["cleanup.policy"] == "compact"


def test_a_dead_broker_is_one_sentence() -> None:
    with pytest.raises(Unreachable, match=r"Kafka cannot be reached: nothing answers at 127\.0\.0\.1:1"):
        asyncio.run(check_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"), RetentionSettings()))


async def _delete(kafka: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_topics([topic])
    for _ in range(200):
        if topic not in await admin.list_topics():
            break
        await asyncio.sleep(0.05)
    await admin.close()


async def _config(kafka: str, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    await admin.close()
    return {entry[0]: entry[1] for response in responses for resource in response.resources for entry in resource[4]}
