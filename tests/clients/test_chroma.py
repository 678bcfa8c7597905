"""A real ChromaDB collection, wrapped, in memory."""

import asyncio
from typing import Any
from uuid import uuid4

import chromadb
import pytest

import llmtower
from llmtower.testing import CapturedCalls


class Letters(chromadb.EmbeddingFunction[Any]):  # type: ignore[misc]  # no types without the library
    """Embeds a text by its letters: no model to load."""

    def __init__(self) -> None:
        """Hold nothing."""

    def __call__(self, input: Any) -> Any:  # noqa: A002
        return [[float(text.count(letter)) for letter in "abc"] for text in input]

    @staticmethod
    def name() -> str:
        """Give the name it is stored by."""
        return "letters"

    def get_config(self) -> dict[str, Any]:
        """Give what it is made again from: nothing."""
        return {}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "Letters":
        """Make it again."""
        return Letters()


@pytest.fixture(scope="module")
def client() -> Any:
    return chromadb.EphemeralClient()


@pytest.fixture
def plain(client: Any) -> Any:
    collection = client.create_collection(f"texts-{uuid4().hex}", embedding_function=Letters())
    collection.add(ids=["a", "b", "c"], documents=["aa", "bb", "abc"])
    return collection


@pytest.fixture
def collection(plain: Any, captured_calls: CapturedCalls) -> Any:
    return llmtower.wrap_chroma(plain)


def test_a_query_is_a_retrieval_step(plain: Any, captured_calls: CapturedCalls) -> None:
    before = plain.query(query_texts=["aa"], n_results=2)
    collection = llmtower.wrap_chroma(plain)
    after = collection.query(query_texts=["aa"], n_results=2)

    assert collection is plain
    assert before == after
    (step,) = captured_calls.events("step")
    assert (step["kind"], step["name"], step["input"]) == ("retrieval", "chroma.query", ["aa"])
    assert step["retrieved"] == [
        {"id": identity, "score": distance, "text": text}
        for identity, distance, text in zip(after["ids"][0], after["distances"][0], after["documents"][0], strict=True)
    ]
    assert step["retrieved"][0] == {"id": "a", "score": 0.0, "text": "aa"}
    assert step["attributes"] == {"collection": plain.name, "n_results": "2", "score": "distance"}
    assert step["duration_us"] > 0


def test_several_questions_and_what_was_not_asked_for(collection: Any, captured_calls: CapturedCalls) -> None:
    collection.query(query_embeddings=[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], n_results=1, include=["metadatas"])

    (step,) = captured_calls.events("step")
    assert step["retrieved"] == [{"id": "a"}, {"id": "b"}]
    assert "input" not in step


def test_texts_are_left_out_on_request(plain: Any, captured_calls: CapturedCalls) -> None:
    llmtower.wrap_chroma(plain, texts=False).query(query_texts="aa", n_results=1)

    assert captured_calls.events("step")[0]["retrieved"] == [{"id": "a", "score": 0.0}]


def test_the_answer_carries_what_was_retrieved(collection: Any, captured_calls: CapturedCalls) -> None:
    with llmtower.step("answer", kind="workflow"):
        collection.query(query_texts=["aa"], n_results=1)
        with llmtower.call(provider="openai", model="gpt-4o"):
            pass

    assert captured_calls[0]["retrieved"] == [{"id": "a", "score": 0.0, "text": "aa"}]


def test_an_asynchronous_collection(plain: Any, captured_calls: CapturedCalls) -> None:
    class Asynchronous:
        """The real collection behind a coroutine function, as chromadb's AsyncCollection gives it (which needs a server)."""

        name = plain.name

        async def query(self, query_texts: Any, n_results: int = 10, delay_s: float = 0.0) -> Any:
            await asyncio.sleep(delay_s)
            return plain.query(query_texts=query_texts, n_results=n_results)

    async def main() -> None:
        collection = llmtower.wrap_chroma(Asynchronous())
        assert (await collection.query(["aa"], n_results=1))["ids"] == [["a"]]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collection.query(["aa"], delay_s=5.0), 0.05)

    asyncio.run(main())
    found, cancelled = captured_calls.events("step")
    assert found["retrieved"] == [{"id": "a", "score": 0.0, "text": "aa"}]
    assert (cancelled["status"], cancelled["error_class"]) == ("error", "cancelled")


def test_errors_are_raised_as_before_and_classified(collection: Any, captured_calls: CapturedCalls) -> None:
    with pytest.raises(ValueError, match="query"):
        collection.query(n_results=1)

    (step,) = captured_calls.events("step")
    assert (step["status"], step["error_type"]) == ("error", "ValueError")


def test_wrapped_twice_counts_once(collection: Any, captured_calls: CapturedCalls) -> None:
    llmtower.wrap_chroma(collection).query(query_texts=["aa"], n_results=1)

    assert len(captured_calls.events("step")) == 1


def test_what_is_no_collection_is_left_as_it_is(captured_calls: CapturedCalls, caplog: pytest.LogCaptureFixture) -> None:
    odd = object()
    assert llmtower.wrap_chroma(odd) is odd
    assert "is no collection of ChromaDB" in caplog.text


def test_without_configuration_the_collection_works_as_ever(plain: Any) -> None:
    assert llmtower.wrap_chroma(plain).query(query_texts=["aa"], n_results=1)["ids"] == [["a"]]
