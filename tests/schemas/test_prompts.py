"""Prompts in the registry: what a version is, who wins, what a rollback leads to."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmtower_schemas.chains import RegistryRecord
from llmtower_schemas.prompt_book import Moved, PromptBook, undone
from llmtower_schemas.prompt_store import OvertakenError, PromptError, PromptStore, moved_to
from llmtower_schemas.prompts import MAX_BYTES, Message, Move, Prompt, encode_prompt, label_name, prompt_name, split_title
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic

NAME = "support/answer"


def tell(story: Callable[[PromptStore, MemoryTopic], Awaitable[None]]) -> None:
    topic = MemoryTopic()
    asyncio.run(story(PromptStore(MemoryRegistryLog(topic)), topic))  # type: ignore[arg-type]


def text(words: str) -> Prompt:
    return Prompt(text=words)


def test_versions_are_numbered_hashed_and_immutable() -> None:
    async def story(store: PromptStore, topic: MemoryTopic) -> None:
        first = await store.push(NAME, text("a"))
        second = await store.push(NAME, Prompt(text="b", author="anna", message="shorter"))
        again = await store.push(NAME, Prompt(text="b", author="bert"))
        assert [(one.version.number, one.new) for one in (first, second, again)] == [(1, True), (2, True), (2, False)]
        assert first.version.sha256 != second.version.sha256
        book = await PromptStore(MemoryRegistryLog(topic)).refresh()
        assert [one.prompt.text for one in book.versions(NAME)] == ["a", "b"]
        assert book.version(NAME, 2) == second.version
        back = await store.push(NAME, text("a"))
        assert (back.version.number, back.new) == (3, True), "what an older version said may come back"

    tell(story)


def test_concurrent_pushes_get_numbers_of_their_own() -> None:
    topic = MemoryTopic()

    async def story() -> list[int]:
        pushed = await asyncio.gather(*(PromptStore(MemoryRegistryLog(topic)).push(NAME, text(f"v{n}")) for n in range(6)))
        return [one.version.number for one in pushed]

    assert sorted(asyncio.run(story())) == [1, 2, 3, 4, 5, 6]


def test_a_label_is_moved_by_who_saw_the_last_move() -> None:
    async def story(store: PromptStore, topic: MemoryTopic) -> None:
        for words in "abc":
            await store.push(NAME, text(words))
        await store.promote(NAME, 2, label="production", by="anna", seen=0)
        with pytest.raises(OvertakenError, match=r"points to 2, not to 1\. anna moved it to 2"):
            await store.promote(NAME, 3, label="production", by="bert", seen=1)
        other = PromptStore(MemoryRegistryLog(topic))
        await other.refresh()
        both = await asyncio.gather(
            store.promote(NAME, 3, label="production", by="anna", seen=2),
            other.promote(NAME, 1, label="production", by="bert", seen=2),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in both) == ["Entry", "OvertakenError"]
        book = await PromptStore(MemoryRegistryLog(topic)).refresh()
        assert book.pointed(NAME, "production") == 3
        assert [(one.move.by, one.before, one.move.version) for one in book.moves(NAME, "production")] == [
            ("anna", None, 2),
            ("anna", 2, 3),
        ]

    tell(story)


def test_what_does_not_exist_is_not_promoted() -> None:
    async def story(store: PromptStore, topic: MemoryTopic) -> None:
        await store.push(NAME, text("a"))
        await store.promote(NAME, 1, label="production", by="anna")
        with pytest.raises(PromptError, match=r"support/answer@9 does not exist; the versions of support/answer are 1 to 1"):
            await store.promote(NAME, 9, label="production", by="anna")
        with pytest.raises(PromptError, match=r"No prompt is called support/anwser: did you mean support/answer\?"):
            await store.promote("support/anwser", 1, label="production", by="anna")
        with pytest.raises(PromptError, match="nothing stood there before"):
            await store.rollback(NAME, label="production", by="anna")
        with pytest.raises(PromptError, match="always the newest"):
            await store.promote(NAME, 1, label="latest", by="anna")
        assert store.book.pointed(NAME, "production") == 1
        assert store.book.labels(NAME) == {"production": 1}
        assert len(topic.records) == 2

    tell(story)


def test_rollback_goes_back_one_promotion_each_time() -> None:
    async def story(store: PromptStore, topic: MemoryTopic) -> None:
        for words in "abc":
            await store.push(NAME, text(words))
        for number in (1, 2, 3):
            await store.promote(NAME, number, label="production", by="anna")
        assert moved_to(await store.rollback(NAME, label="production", by="anna", note="toxic", seen=3)) == 2
        assert moved_to(await store.rollback(NAME, label="production", by="anna")) == 1
        last = store.book.moves(NAME, "production")[-1]
        assert (last.move.action, last.before) == ("rollback", 2)

    tell(story)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_rollbacks_lead_back_through_the_promotions(promoted: list[int]) -> None:
    distinct = [number for place, number in enumerate(promoted) if place == 0 or promoted[place - 1] != number]
    moves = [Moved(NAME, "x", place, 0, Move(version=number), None) for place, number in enumerate(promoted)]
    seen = []
    while (target := undone(moves)) is not None:
        seen.append(target)
        moves.append(Moved(NAME, "x", len(moves), 0, Move(version=target, action="rollback"), None))
    assert seen == distinct[-2::-1]


@pytest.mark.parametrize("name", ["support/answer", "客服/回答", "réponse", "a b/c-d_1.2", "prompt/7"])
def test_names_of_all_tongues(name: str) -> None:
    async def story(store: PromptStore, topic: MemoryTopic) -> None:
        await store.push(prompt_name(name), text("a"))
        await store.promote(prompt_name(name), 1, label=label_name("生产"), by="安娜")
        book = await PromptStore(MemoryRegistryLog(topic)).refresh()
        assert book.names() == [prompt_name(name)]
        assert book.labels(prompt_name(name)) == {"生产": 1}
        assert split_title(f"{name}@12") == (prompt_name(name), 12)

    tell(story)


def test_one_name_however_its_letters_are_composed() -> None:
    assert prompt_name("re\u0301ponse") == prompt_name("r\u00e9ponse")


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "..", "a/../b", "a@b", "a\nb", "a\u202eb", " a", "a\\b", "x" * 201])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        prompt_name(name)


def test_one_megabyte_is_stored_and_more_is_refused() -> None:
    async def story(store: PromptStore, topic: MemoryTopic) -> None:
        pushed = await store.push(NAME, text("x" * 1_000_000))
        assert pushed.new
        with pytest.raises(PromptError, match=r"was not pushed: it takes [\d,]+ bytes, a version may take 1,048,576"):
            await store.push(NAME, text("x" * MAX_BYTES))
        assert store.book.newest(NAME) == 1

    tell(story)


def test_a_version_that_was_tampered_with_or_cannot_be_read_is_none() -> None:
    async def story(store: PromptStore, topic: MemoryTopic) -> None:
        await store.push(NAME, text("a"))
        good = topic.records[0]
        assert good.value is not None
        for value in (orjson.dumps({**orjson.loads(good.value), "text": "b"}), b"{", b"[]", b"{}"):
            book = PromptBook()
            book.learn([RegistryRecord("i", 0, 0, good.key, value)])
            assert book.version(NAME, 1) is None
            assert book.newest(NAME) == 1, "its number is taken all the same: readers agree"

    tell(story)


def test_a_prompt_has_one_form() -> None:
    with pytest.raises(ValidationError, match="a chat prompt has messages"):
        Prompt(form="chat", text="a")
    chat = Prompt(form="chat", messages=(Message(role="user", content="{{ a }}"),))
    assert chat.templates() == ["{{ a }}"]
    assert b'"form":"chat"' in encode_prompt(chat)
