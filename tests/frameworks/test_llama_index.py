"""The real LlamaIndex against a local server: what its instrumentation tells, recorded."""

import asyncio
from typing import Any

import openai
import pytest
from llama_index.core.base.llms.types import ChatMessage, LLMMetadata
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.llms.openai import OpenAI

import llmtower
from llmtower.integrations.llama_index import instrument
from llmtower.testing import CapturedCalls
from tests.standins.openai import TOOL, USAGE
from tests.standins.oracle import our_cost, their_cost

BUCKETS = {"input_tokens": 12, "cache_read_tokens": 8, "output_tokens": 7, "reasoning_tokens": 5}
MESSAGES = [ChatMessage(role="user", content="hi")]


class Library(BaseRetriever):  # type: ignore[misc]  # not installed where types are checked
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(id_="d-1", text="Orders ship in two days."), score=0.75)]


@pytest.fixture(autouse=True)
def instrumented(captured_calls: CapturedCalls) -> None:
    instrument()


class AnyModel(OpenAI):  # type: ignore[misc]  # likewise
    """LlamaIndex knows the names of OpenAI's models; the stand-in goes by other ones."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model, is_chat_model=True)


def model(url: str, name: str = "gpt-4o", **given: Any) -> OpenAI:
    return AnyModel(model=name, api_base=url, api_key="k", max_retries=0, temperature=0.5, **given)


def of_type(captured: CapturedCalls, kind: str) -> list[dict[str, Any]]:
    return [event for event in captured.events() if event["type"] == kind]


def test_a_chat_is_recorded_with_what_the_provider_said(openai_url: str, captured_calls: CapturedCalls) -> None:
    model(openai_url).chat(MESSAGES)
    (event,) = of_type(captured_calls, "response")
    assert (event["provider"], event["request_model"], event["response_model"]) == ("openai", "gpt-4o", "gpt-4o")
    assert (event["usage"], event["response_id"], event["finish_reasons"]) == (BUCKETS, "chatcmpl-1", ["stop"])
    assert (event["input"], event["output"]["content"]) == ([{"role": "user", "content": "hi"}], "hello world")
    assert our_cost(event) == their_cost({"model": "gpt-4o", "usage": USAGE}, "openai", "chat")


def test_tool_calls_are_part_of_the_output(openai_url: str, captured_calls: CapturedCalls) -> None:
    model(openai_url, "tools").chat(MESSAGES)
    (event,) = of_type(captured_calls, "response")
    assert TOOL["function"]["name"] in str(event["output"])
    assert event["finish_reasons"] == ["tool_calls"]


def test_an_abandoned_stream_leaves_nothing_open(openai_url: str, captured_calls: CapturedCalls) -> None:
    chunks = model(openai_url).stream_chat(MESSAGES)
    while not next(chunks).delta:
        pass
    chunks.close()
    (event,) = of_type(captured_calls, "response")
    assert (event["status"], event["error_class"], event["usage_source"]) == ("error", "cancelled", "estimated")
    assert event["output"]["content"] == "hello"


def test_asynchronous_chats(openai_url: str, captured_calls: CapturedCalls) -> None:
    async def ask() -> None:
        await model(openai_url).achat(MESSAGES)

    asyncio.run(ask())
    (event,) = of_type(captured_calls, "response")
    assert event["usage"] == BUCKETS


def test_a_stream_has_a_first_token(openai_url: str, captured_calls: CapturedCalls) -> None:
    chat = model(openai_url, additional_kwargs={"stream_options": {"include_usage": True}})
    assert "".join(chunk.delta or "" for chunk in chat.stream_chat(MESSAGES)) == "hello world"
    (event,) = of_type(captured_calls, "response")
    assert event["stream"]
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_a_wrapped_client_within_leaves_the_call_to_llama_index(openai_url: str, captured_calls: CapturedCalls) -> None:
    chat = model(openai_url)
    chat._client = llmtower.wrap_openai(openai.OpenAI(base_url=openai_url, api_key="k", max_retries=0))
    chat._aclient = llmtower.wrap_openai(openai.AsyncOpenAI(base_url=openai_url, api_key="k", max_retries=0))
    chat.chat(MESSAGES)
    for chunk in chat.stream_chat(MESSAGES):
        if chunk.delta:
            assert not llmtower.scope.within_call(), "the caller's own code lies outside"

    async def ask() -> None:
        await chat.achat(MESSAGES)
        await chat._aclient.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    asyncio.run(ask())
    chat._client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    with llmtower.call(provider="mine", model="outer", instrumentation="mine"):
        chat.chat(MESSAGES)
    names = sorted(event["instrumentation"] for event in of_type(captured_calls, "response"))
    assert names == ["llmtower.llama_index"] * 3 + ["llmtower.openai"] * 2 + ["mine"]


def test_errors_are_classified_and_raised_as_before(openai_url: str, captured_calls: CapturedCalls) -> None:
    with pytest.raises(Exception, match="Error code: 429"):
        model(openai_url, "error-429").chat(MESSAGES)
    (event,) = of_type(captured_calls, "response")
    assert (event["status"], event["error_class"]) == ("error", "rate_limit")


def test_a_retrieval_is_a_step(captured_calls: CapturedCalls) -> None:
    Library().retrieve("when?")
    (step,) = of_type(captured_calls, "step")
    assert (step["kind"], step["input"]) == ("retrieval", "when?")
    assert step["retrieved"] == [{"id": "d-1", "score": 0.75, "text": "Orders ship in two days."}]
