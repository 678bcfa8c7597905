"""What compare-and-set relies on in the registry's log, in memory and in Kafka."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from llmtower_schemas.chains import Chains, Entry
from llmtower_schemas.registry_log import (
    KafkaRegistryLog,
    MemoryRegistryLog,
    MemoryTopic,
    RegistryLog,
    RegistryUnavailable,
    TakenError,
    append,
)
from llmtower_schemas.settings import KafkaSettings

OpenLog = Callable[[], RegistryLog]
Story = Callable[[OpenLog], Awaitable[None]]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def tell(request: pytest.FixtureRequest, topic_prefix: str) -> Callable[[Story], None]:
    """Run a story on logs of one fresh compacted topic, and close them."""
    opened: list[RegistryLog] = []

    def keep(log: RegistryLog) -> RegistryLog:
        opened.append(log)
        return log

    async def run(story: Story, open_log: OpenLog) -> None:
        try:
            await story(open_log)
        finally:
            for log in opened:
                await log.close()

    async def on_kafka(story: Story) -> None:
        settings, topic = KafkaSettings(bootstrap_servers=request.getfixturevalue("kafka")), f"{topic_prefix}registry"
        admin = AIOKafkaAdminClient(**settings.client_options())
        await admin.start()
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"cleanup.policy": "compact"})])
        await admin.close()
        await run(story, lambda: keep(KafkaRegistryLog(settings, topic=topic)))

    shared = MemoryTopic()
    if request.param == "memory":
        return lambda story: asyncio.run(run(story, lambda: keep(MemoryRegistryLog(shared))))
    return lambda story: asyncio.run(on_kafka(story))


def test_everything_first_then_what_is_new(tell: Callable[[Story], None]) -> None:
    async def story(open_log: OpenLog) -> None:
        writer, reader = open_log(), open_log()
        assert await reader.read() == []
        places = [await writer.write(f"x/{number}", b"v%d" % number) for number in range(3)]
        found = await reader.read()
        assert [(one.offset, one.key, one.value) for one in found] == [(place, b"x/%d" % n, b"v%d" % n) for n, place in enumerate(places)]
        assert await reader.read(0.05) == []
        assert [one.value for one in await open_log().read()] == [b"v0", b"v1", b"v2"]
        await reader.close()
        assert len(await reader.read()) == 3

    tell(story)


def test_of_many_writers_at_once_one_wins_each_number(tell: Callable[[Story], None]) -> None:
    async def story(open_log: OpenLog) -> None:
        async def one(number: int) -> Entry | TakenError:
            try:
                return await append(open_log(), Chains("p/"), "p/a", b"%d" % number, after=0)
            except TakenError as error:
                return error

        found = await asyncio.gather(*(one(number) for number in range(4)))
        (winner,) = [entry for entry in found if isinstance(entry, Entry)]
        assert {error.entry for error in found if isinstance(error, TakenError)} <= {winner}
        chains = Chains("p/")
        chains.learn(await open_log().read())
        assert chains.entries("p/a") == (winner,)

    tell(story)


async def _never_anything(reader: RegistryLog) -> None:
    while True:
        assert await reader.read(0.2) == [], "what is new was taken for more of the old"


@pytest.mark.integration
def test_a_topic_made_anew_is_read_from_its_beginning(kafka: str, topic_prefix: str) -> None:
    settings, topic = KafkaSettings(bootstrap_servers=kafka), f"{topic_prefix}anew"

    async def story() -> None:
        admin = AIOKafkaAdminClient(**settings.client_options())
        await admin.start()
        await admin.create_topics([NewTopic(topic, 1, 1)])
        reader, writer = KafkaRegistryLog(settings, topic=topic), KafkaRegistryLog(settings, topic=topic)
        try:
            for number in range(3):
                await writer.write(f"x/{number}", b"old")
            assert len(await reader.read()) == 3
            await writer.close()
            await admin.delete_topics([topic])
            while topic in await admin.list_topics():  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(0.1)
            await admin.create_topics([NewTopic(topic, 1, 1)])
            await writer.write("x/0", b"new")
            with pytest.raises(RegistryUnavailable):
                await asyncio.wait_for(_never_anything(reader), 20)
            assert [one.value for one in await reader.read()] == [b"new"]
        finally:
            for client in (reader, writer, admin):
                await client.close()

    asyncio.run(story())


def test_an_unreachable_kafka_is_a_sentence() -> None:
    log = KafkaRegistryLog(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(RegistryUnavailable, match=r"^Kafka at 127\.0\.0\.1:1 does not give topic .* Is it running\?"):
        asyncio.run(log.read())
    with pytest.raises(RegistryUnavailable, match=r"set LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"):
        asyncio.run(KafkaRegistryLog(KafkaSettings()).write("a", b"b"))
