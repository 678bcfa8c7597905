"""Create the Kafka topics, or compare the ones that exist with what they should be."""

from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from llmtower_processors.errors import Unreachable
from llmtower_schemas.kafka_trouble import trouble
from llmtower_schemas.settings import KafkaSettings, RetentionSettings
from llmtower_schemas.topics import CALLS, DAY_MS, SIGNALS, TOPICS, TopicSpec


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """One way in which a topic differs from its specification; `found` is None when it is missing altogether."""

    topic: str
    setting: str
    wanted: str
    found: str | None

    def __str__(self) -> str:
        """Say it as a sentence."""
        if self.found is None:
            return f"{self.topic} is missing ({self.wanted} partitions)"
        return f"{self.topic}: {self.setting} is {self.found}, should be {self.wanted}"


def specifications(retention: RetentionSettings) -> list[TopicSpec]:
    """Give every topic, with the retention that the settings ask for."""
    return [
        TopicSpec(
            spec.name,
            spec.partitions,
            spec.cleanup,
            retention.topics_days * DAY_MS if spec.name in (CALLS, SIGNALS) else spec.retention_ms,
            retention.topics_bytes if spec.name == CALLS else spec.retention_bytes,
            spec.purpose,
        )
        for spec in TOPICS.values()
    ]


async def check_topics(kafka: KafkaSettings, retention: RetentionSettings) -> list[TopicDifference]:
    """Compare Kafka's topics with the specification. Raises Unreachable."""
    async with _Admin(kafka) as admin:
        return await _differences(admin, specifications(retention))


async def create_topics(kafka: KafkaSettings, retention: RetentionSettings) -> list[str]:
    """Create the topics that are missing, on three brokers where there are as many, and give their names. Raises Unreachable."""
    async with _Admin(kafka) as admin:
        existing = set(await admin.list_topics())
        missing = [spec for spec in specifications(retention) if spec.name not in existing]
        replicas = min(3, len((await admin.describe_cluster())["brokers"]))
        new = [NewTopic(spec.name, spec.partitions, replicas, topic_configs=_config(spec)) for spec in missing]
        response = await admin.create_topics(new) if new else None
        for topic, code, *_ in response.topic_errors if response else ():
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise Unreachable(f"Kafka refused to create topic {topic}: {error.__name__}")
        return [spec.name for spec in missing]


def _config(spec: TopicSpec) -> dict[str, str]:
    """Leave `min.insync.replicas` to the broker: it depends on the cluster's size."""
    return {name: value for name, value in spec.config().items() if name != "min.insync.replicas"}


async def _differences(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> list[TopicDifference]:
    described = {topic["topic"]: topic for topic in await admin.describe_topics()}
    found: list[TopicDifference] = []
    for spec in specs:
        if spec.name not in described:
            found.append(TopicDifference(spec.name, "partitions", str(spec.partitions), None))
            continue
        partitions = len(described[spec.name]["partitions"])
        if partitions < spec.partitions:
            found.append(TopicDifference(spec.name, "partitions", str(spec.partitions), str(partitions)))
        actual = await _actual_config(admin, spec.name)
        wanted = _config(spec).items()
        found += [TopicDifference(spec.name, name, value, actual.get(name, "unset")) for name, value in wanted if actual.get(name) != value]
    return found


async def _actual_config(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for response in responses for resource in response.resources for entry in resource[4]}


class _Admin:
    """An admin client that is closed, and whose refusal to connect is a sentence."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def __aenter__(self) -> AIOKafkaAdminClient:
        options: dict[str, Any] = self._kafka.client_options()
        self._admin = AIOKafkaAdminClient(**options)
        try:
            await self._admin.start()
        except KafkaConnectionError as error:
            await self._admin.close()
            raise Unreachable(f"Kafka cannot be reached: {await trouble(options)}") from error
        return self._admin

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
