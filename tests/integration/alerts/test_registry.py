"""The registry's audit rows on the real edges: a race of two people, its one winner in the table, once."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from tests.integration.alerts.conftest import Place

from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.leader import Firing
from llmtower_processors.registry_books import RegistryBooks
from llmtower_processors.registry_topic import RegistryFeed
from llmtower_schemas.chains import Entry
from llmtower_schemas.prompt_store import PromptStore
from llmtower_schemas.prompts import Prompt
from llmtower_schemas.registry_log import KafkaRegistryLog

pytestmark = pytest.mark.integration
_ROWS = "SELECT kind, action, name, label, version, replaced, by FROM registry_events ORDER BY kafka_offset"


def test_of_two_moves_at_once_one_is_in_the_table(place: Callable[[], AbstractAsyncContextManager[Place]]) -> None:
    async def story() -> None:
        async with place() as here:
            logs = [KafkaRegistryLog(here.kafka, topic=here.registry) for _ in range(2)]
            anna, bert = (PromptStore(log) for log in logs)
            for words in "ab":
                await anna.push("support/answer", Prompt(text=words, author="anna"))
            await asyncio.gather(anna.refresh(), bert.refresh())
            moves = (
                anna.promote("support/answer", 1, label="production", by="anna", seen=0),
                bert.promote("support/answer", 2, label="production", by="bert", seen=0),
            )
            found = await asyncio.gather(*moves, return_exceptions=True)
            won = [name for name, one in zip(("anna", "bert"), found, strict=True) if isinstance(one, Entry)]
            assert len(won) == 1, found
            tables = ClickHouseTables(here.clickhouse)
            for _ in range(2):
                books = RegistryBooks(RegistryFeed(here.kafka, topic=here.registry), tables)
                await books.fire(Firing(0, "t"))
                await books.resign()
            version = "1" if won == ["anna"] else "2"
            assert [tuple(row) for row in here.client.query(_ROWS).result_rows] == [
                ("prompt", "push", "support/answer", "", "1", "", "anna"),
                ("prompt", "push", "support/answer", "", "2", "1", "anna"),
                ("label", "promote", "support/answer", "production", version, "", won[0]),
            ]
            await asyncio.gather(*(log.close() for log in logs))

    asyncio.run(story())
