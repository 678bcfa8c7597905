"""The audit trail of the registry: each entry that counts is one row, through outages, new leaders and losers of races."""

import asyncio

from llmtower_processors.alerts.tables import MemoryTables
from llmtower_processors.datasets.shelf import Shelf
from llmtower_processors.leader import Firing
from llmtower_processors.registry_books import RegistryBooks
from llmtower_schemas.chains import RegistryRecord, entry_key
from llmtower_schemas.datasets import Erasure
from llmtower_schemas.prompt_store import PromptStore
from llmtower_schemas.prompts import Move, Prompt, encode_move
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic

NAME = "support/answer"
FIRING = Firing(0, "t")


class Feed:
    """The memory log as the leader's feed."""

    def __init__(self, topic: MemoryTopic) -> None:
        self._log = MemoryRegistryLog(topic)

    async def poll(self) -> list[RegistryRecord]:
        return await self._log.read()

    async def close(self) -> None:
        await self._log.close()


async def story(topic: MemoryTopic) -> None:
    store = PromptStore(MemoryRegistryLog(topic))
    for words in "ab":
        await store.push(NAME, Prompt(text=words, author="anna", message=f"says {words}"))
        await store.promote(NAME, store.book.newest(NAME), label="production", by="anna", key_id="ab12")
    loser = encode_move(Move(version=1, by="bert"))
    await MemoryRegistryLog(topic).write(entry_key(f"label/{NAME}/production", 2, "f" * 32), loser)
    await store.rollback(NAME, label="production", by="bert", note="rude")


def test_every_entry_that_counts_is_one_row_whatever_happens() -> None:
    topic, tables = MemoryTopic(), MemoryTables(lambda query: ([], []))

    async def run() -> None:
        await story(topic)
        books = RegistryBooks(Feed(topic), tables)
        tables.away = True
        await books.fire(FIRING)
        assert not tables.rows
        tables.away = False
        await books.fire(FIRING)
        await books.fire(FIRING)
        await RegistryBooks(Feed(topic), tables).fire(FIRING)
        await books.resign()
        await books.fire(FIRING)

    asyncio.run(run())
    names = ("kind", "action", "label", "number", "version", "replaced", "by", "key_id", "note")
    assert [tuple(row[name] for name in names) for row in tables.rows["registry_events"]] == [
        ("prompt", "push", "", 1, "1", "", "anna", "", "says a"),
        ("label", "promote", "production", 1, "1", "", "anna", "ab12", ""),
        ("prompt", "push", "", 2, "2", "1", "anna", "", "says b"),
        ("label", "promote", "production", 2, "2", "1", "anna", "ab12", ""),
        ("label", "rollback", "production", 3, "1", "2", "bert", "", "rude"),
    ]


def test_a_topic_made_anew_begins_anew() -> None:
    topic, tables = MemoryTopic(), MemoryTables(lambda query: ([], []))
    asyncio.run(story(topic))
    books = RegistryBooks(Feed(topic), tables)
    books.learn(topic.records)
    books.learn([record._replace(incarnation="another") for record in topic.records])
    books.write()
    assert [row["incarnation"] for row in tables.rows["registry_events"]] == ["memory"] * 5 + ["another"] * 5


def test_what_cannot_be_read_leaves_a_row_too() -> None:
    tables = MemoryTables(lambda query: ([], []))
    books = RegistryBooks(Feed(MemoryTopic()), tables)
    for number, chain in enumerate(("prompt/a", "label/a/x")):
        books.learn([RegistryRecord("i", number, 0, entry_key(chain, 1, "0" * 32).encode(), b"\xff")])
    books.write()
    assert [(row["kind"], row["note"]) for row in tables.rows["registry_events"]] == [
        ("prompt", "(cannot be read)"),
        ("label", "(cannot be read)"),
    ]


def test_an_erasure_says_how_many_rows_and_never_whose() -> None:
    topic, tables = MemoryTopic(), MemoryTables(lambda query: ([], []))

    async def run() -> None:
        shelf = Shelf(MemoryRegistryLog(topic))
        for rows in (2, 3):
            await shelf.record_erasure(Erasure(dataset="failures", rows=rows, by="anna", note="ticket 812"))
        await RegistryBooks(Feed(topic), tables).fire(FIRING)

    asyncio.run(run())
    names = ("kind", "action", "name", "number", "by", "note")
    assert [tuple(row[name] for name in names) for row in tables.rows["registry_events"]] == [
        ("erasure", "erase", "failures", 1, "anna", "2 rows: ticket 812"),
        ("erasure", "erase", "failures", 2, "anna", "3 rows: ticket 812"),
    ]
