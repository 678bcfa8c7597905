"""The real LangChain and LangGraph against a local server: what the handler records, compared with what the provider said."""

import asyncio
from collections.abc import Iterator
from typing import Any, TypedDict

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

import llmtower
from llmtower.integrations.langchain import LLMTowerCallbackHandler
from llmtower.testing import CapturedCalls
from tests.standins.openai import USAGE
from tests.standins.oracle import our_cost, their_cost

BUCKETS = {"input_tokens": 12, "cache_read_tokens": 8, "output_tokens": 7, "reasoning_tokens": 5}


class Library(BaseRetriever):  # type: ignore[misc]  # not installed where types are checked
    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document("Orders ship in two days.", id="d-1", metadata={"score": 0.75})]


@pytest.fixture
def handler(captured_calls: CapturedCalls) -> LLMTowerCallbackHandler:
    return LLMTowerCallbackHandler()


def model(url: str, name: str = "gpt-4o", **given: Any) -> ChatOpenAI:
    return ChatOpenAI(model=name, base_url=url, api_key="k", max_retries=0, temperature=0.5, use_responses_api=False, **given)


def of_type(captured: CapturedCalls, kind: str) -> list[dict[str, Any]]:
    return [event for event in captured.events() if event["type"] == kind]


def test_a_chat_is_recorded_with_what_the_provider_said(
    openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls
) -> None:
    model(openai_url).invoke("hi", config={"callbacks": [handler]})
    (event,) = of_type(captured_calls, "response")
    assert (event["provider"], event["request_model"], event["response_model"]) == ("openai", "gpt-4o", "gpt-4o")
    assert (event["usage"], event["usage_source"]) == (BUCKETS, "provider")
    assert (event.get("response_id", "chatcmpl-1"), event["finish_reasons"]) == ("chatcmpl-1", ["stop"])
    assert event.get("service_tier", "default") == "default"  # LangChain has handed id and tier on since 0.3.60
    assert our_cost(event) == their_cost({"model": "gpt-4o", "usage": USAGE}, "openai", "chat")
    assert event["input"][0]["content"] == "hi"
    assert event["output"][0]["content"] == "hello world"
    assert event["parameters"]["temperature"] == 0.5
    assert event["instrumentation"] == "llmtower.langchain"
    assert "ttft_us" not in event


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_has_a_first_token_and_its_usage(
    openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls, asynchronous: bool
) -> None:
    chat, config = model(openai_url, "gpt-5", stream_usage=True), {"callbacks": [handler]}

    async def stream() -> list[Any]:
        return [chunk async for chunk in chat.astream("hi", config=config)]

    chunks = asyncio.run(stream()) if asynchronous else list(chat.stream("hi", config=config))
    assert "".join(chunk.content for chunk in chunks) == "hello world"
    (event,) = of_type(captured_calls, "response")
    assert (event["usage"], event["stream"], event["finish_reasons"]) == (BUCKETS, True, ["stop"])
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_errors_are_classified_and_raised_as_before(
    openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls
) -> None:
    with pytest.raises(Exception, match="Error code: 429"):
        model(openai_url, "error-429").invoke("hi", config={"callbacks": [handler]})
    (event,) = of_type(captured_calls, "response")
    assert (event["status"], event["error_class"], event["http_status"]) == ("error", "rate_limit", 429)


def test_tool_calls_are_part_of_the_output(openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls) -> None:
    model(openai_url, "tools").invoke("hi", config={"callbacks": [handler]})
    (event,) = of_type(captured_calls, "response")
    assert event["output"][0]["tool_calls"][0]["name"] == "search"
    assert event["finish_reasons"] == ["tool_calls"]


def test_a_chain_hands_its_documents_to_the_answer(
    openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls
) -> None:
    prompt = ChatPromptTemplate.from_messages([("user", "{question} {context}")])
    chain = {"question": RunnableLambda(lambda text: text), "context": Library()} | prompt | model(openai_url)
    chain.invoke("when?", config={"callbacks": [handler]})
    (event,) = of_type(captured_calls, "response")
    assert event["retrieved"] == [{"id": "d-1", "score": 0.75, "text": "Orders ship in two days."}]
    steps = {step["kind"]: step for step in of_type(captured_calls, "step")}
    assert set(steps) == {"retrieval", "workflow"}
    assert event["parent_id"] == steps["retrieval"]["parent_id"] == steps["workflow"]["step_id"]


class State(TypedDict):
    text: str


@tool  # type: ignore[untyped-decorator]  # likewise
def search(query: str) -> str:
    """Look it up."""
    return f"found {query}"


def test_the_nodes_of_a_graph_are_steps_and_their_calls_lie_within(
    openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls
) -> None:
    def answer(state: State) -> State:
        return {"text": str(model(openai_url).invoke(state["text"]).content)}

    def look(state: State) -> State:
        return {"text": search.invoke({"query": state["text"]})}

    graph = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_node("look", look)
    graph.add_edge(START, "look")
    graph.add_edge("look", "answer")
    graph.add_edge("answer", END)
    assert graph.compile().invoke({"text": "x"}, config={"callbacks": [handler]}) == {"text": "hello world"}
    steps = {step["name"]: step for step in of_type(captured_calls, "step")}
    assert {name: step["kind"] for name, step in steps.items()} == {
        "LangGraph": "workflow",
        "answer": "workflow",
        "look": "workflow",
        "search": "tool",
    }
    assert steps["search"]["parent_id"] == steps["look"]["step_id"]
    assert steps["look"]["parent_id"] == steps["LangGraph"]["step_id"]
    (event,) = of_type(captured_calls, "response")
    assert event["parent_id"] == steps["answer"]["step_id"]
    assert event["input"][0]["content"] == "found x"


def test_a_wrapped_client_within_counts_once(openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls) -> None:
    chat, config = model(openai_url), {"callbacks": [handler]}
    llmtower.wrap_openai(chat.root_client)
    llmtower.wrap_openai(chat.root_async_client)
    chat.invoke("hi", config=config)
    for _ in chat.stream("hi", config=config):
        inside = llmtower.scope.within_call()
    assert not inside
    asyncio.run(_both(chat, config))
    with pytest.raises(Exception, match="Error code: 429"):
        model(openai_url, "error-429").invoke("hi", config=config)
    chat.invoke("hi")

    names = [event["instrumentation"] for event in of_type(captured_calls, "response")]
    assert names == [*["llmtower.langchain"] * 5, "llmtower.openai"]
    with llmtower.call(provider="mine", model="outer"):
        chat.invoke("hi", config=config)
    assert of_type(captured_calls, "response")[-1]["provider"] == "mine"


async def _both(chat: ChatOpenAI, config: Any) -> None:
    await chat.ainvoke("hi", config=config)
    assert [chunk async for chunk in chat.astream("hi", config=config)]


def test_an_abandoned_stream_leaves_nothing_open(openai_url: str, handler: LLMTowerCallbackHandler, captured_calls: CapturedCalls) -> None:
    chunks: Iterator[Any] = model(openai_url).stream("hi", config={"callbacks": [handler]})
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]  # a generator
    (event,) = of_type(captured_calls, "response")
    assert (event["status"], event["error_class"]) == ("error", "cancelled")
    assert not handler._runs
