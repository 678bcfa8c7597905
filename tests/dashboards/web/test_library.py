"""The prompt library on the page: what it says and offers, who may move labels, what a click of an older page does."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from llmtower_dashboards.macros import Frame
from llmtower_dashboards.web import library
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.shelf import LogShelf, NotMovedError, Step
from llmtower_dashboards.web.state import View
from llmtower_schemas.keys import encode_key, make_key
from llmtower_schemas.prompt_book import PromptBook
from llmtower_schemas.prompt_store import PromptStore
from llmtower_schemas.prompts import Prompt
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LOOK = Look("/library", View(), Frame(NOW - timedelta(hours=1), NOW), NOW)
NAME, EVIL = "support/<b>answer</b>", "<script>alert(1)</script>"


@pytest.fixture
def topic() -> MemoryTopic:
    """Three versions, of which production went from 1 to 2."""
    topic = MemoryTopic()

    async def fill() -> None:
        store = PromptStore(MemoryRegistryLog(topic))
        for words in ("one", "two", EVIL):
            await store.push(NAME, Prompt(text=words, author=EVIL, message=EVIL))
        for number in (1, 2):
            await store.promote(NAME, number, label="production", by=EVIL, note=EVIL)

    asyncio.run(fill())
    return topic


def book(topic: MemoryTopic) -> PromptBook:
    return asyncio.run(PromptStore(MemoryRegistryLog(topic)).refresh())


def test_versions_labels_and_moves(topic: MemoryTopic) -> None:
    found = book(topic)
    listed, versions, moves = library.library(found, LOOK), library.versions(found, NAME, LOOK), library.moves(found, NAME, LOOK)
    assert "production → 2" in listed
    assert "/library?prompt=support" in listed
    assert versions.count("to production</button>") == 2, "not where it is already"
    assert versions.count("to staging</button>") == 3
    assert "Point production of support/" in versions
    assert moves.count("roll back to 1</button>") == 1
    assert "nothing → 1" in moves
    for html in (listed, versions, moves):
        assert "<script>" not in html
        assert "<b>" not in html


def test_texts_need_their_scope(topic: MemoryTopic) -> None:
    found = book(topic)
    assert "two" not in library.changed(found, NAME, texts=False)
    shown = library.changed(found, NAME, texts=True)
    assert "-two" in shown
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_empty_states() -> None:
    assert "llmtower prompts push" in library.library(PromptBook(), LOOK)
    assert "No prompt is called a" in library.versions(PromptBook(), "a", LOOK)
    assert "No label points to it yet" in library.moves(PromptBook(), "a", LOOK)


def step(version: int, seen: int) -> Step:
    return Step("promote", NAME, "production", version, seen)


def test_a_click_moves_and_one_of_an_older_page_does_not(topic: MemoryTopic) -> None:
    shelf = LogShelf(lambda: MemoryRegistryLog(topic), open_moves=True)

    async def clicks() -> None:
        assert (await shelf.book()).pointed(NAME, "production") == 2
        assert await shelf.move(step(3, seen=2), key_id="") == f"production of {NAME} points to 3."
        assert (await shelf.book()).pointed(NAME, "production") == 3, "what was read before is read anew"
        with pytest.raises(NotMovedError, match="points to 3, not to 2"):
            await shelf.move(step(1, seen=2), key_id="")
        assert await shelf.move(Step("rollback", NAME, "production", 2, 3), key_id="") == f"production of {NAME} is back at 2."
        topic.reachable = False
        with pytest.raises(NotMovedError, match="unreachable"):
            await shelf.move(step(3, seen=2), key_id="")

    asyncio.run(clicks())


def test_moves_need_a_key_beyond_loopback_and_once_there_is_one(topic: MemoryTopic) -> None:
    away, here = (LogShelf(lambda: MemoryRegistryLog(topic), open_moves=open_moves) for open_moves in (False, True))
    _, key = make_key("default", ["promote"], name="", at_us=1)

    async def clicks() -> None:
        with pytest.raises(NotMovedError, match="Enter a key of the scope promote"):
            await away.move(step(3, seen=2), key_id="")
        await MemoryRegistryLog(topic).write(key.key, encode_key(key))
        await away.move(step(3, seen=2), key_id=key.key_id)
        with pytest.raises(NotMovedError, match="Enter a key of the scope promote"):
            await here.move(step(2, seen=3), key_id="")
        await here.move(step(2, seen=3), key_id=key.key_id)
        *_, moved = (await here.book()).moves(NAME, "production")
        assert (moved.move.by, moved.move.key_id) == ("live page", key.key_id)
        revoked = key.model_copy(update={"revoked_at_us": 2})
        await MemoryRegistryLog(topic).write(revoked.key, encode_key(revoked))
        with pytest.raises(NotMovedError, match="Enter a key of the scope promote"):
            await away.move(step(3, seen=2), key_id=key.key_id)

    asyncio.run(clicks())
