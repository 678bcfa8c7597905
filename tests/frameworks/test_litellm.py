"""The real LiteLLM against a local server: what the logger records, compared with what the provider said."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import litellm
import openai
import pytest
from litellm.proxy.types_utils.utils import get_instance_fn

import llmtower
from llmtower.integrations.litellm import LLMTowerLogger, event_of, handler
from llmtower.testing import CapturedCalls
from llmtower_schemas.events import ResponseEvent
from tests.standins.openai import TOOL, USAGE
from tests.standins.oracle import our_cost, their_cost

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
BUCKETS = {"input_tokens": 12, "cache_read_tokens": 8, "output_tokens": 7, "reasoning_tokens": 5}
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def logger() -> Iterator[None]:
    litellm.callbacks = [LLMTowerLogger()]
    yield
    litellm.callbacks = []


def response_of(captured: CapturedCalls) -> dict[str, Any]:
    deadline = time.monotonic() + 20  # LiteLLM calls its loggers from a thread of its own
    while time.monotonic() < deadline:
        found = [event for event in captured.events() if event["type"] == "response"]
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("nothing was recorded")


def complete(url: str, model: str, **given: Any) -> Any:
    return litellm.completion(
        model=f"openai/{model}", messages=MESSAGES, api_base=url, api_key="k", num_retries=0, user="u-1", temperature=0.5, **given
    )


def test_a_chat_is_recorded_with_what_the_provider_said(openai_url: str, captured_calls: CapturedCalls) -> None:
    complete(openai_url, "gpt-4o")
    event = response_of(captured_calls)
    assert (event["provider"], event["request_model"], event["response_model"]) == ("openai", "gpt-4o", "gpt-4o")
    assert (event["usage"], event["usage_source"], event["usage_convention"]) == (BUCKETS, "provider", "openai")
    assert (event["finish_reasons"], event["user_id"]) == (["stop"], "u-1")
    assert event["input"] == MESSAGES
    assert event["output"][0]["content"] == "hello world"
    assert event["parameters"]["temperature"] == 0.5
    assert event["duration_us"] > 0
    assert "reported_cost_nano_usd" not in event, "LiteLLM's own price list is not the provider's figure"
    assert our_cost(event) == their_cost({"model": "gpt-4o", "usage": USAGE}, "openai", "chat")


def test_tool_calls_are_part_of_the_output(openai_url: str, captured_calls: CapturedCalls) -> None:
    complete(openai_url, "tools")
    event = response_of(captured_calls)
    assert event["output"][0]["tool_calls"][0]["function"] == TOOL["function"]
    assert event["finish_reasons"] == ["tool_calls"]


def test_a_stream_has_a_first_token(openai_url: str, captured_calls: CapturedCalls) -> None:
    chunks = list(complete(openai_url, "gpt-4o", stream=True, stream_options={"include_usage": True}))
    assert chunks
    event = response_of(captured_calls)
    assert (event["stream"], event["usage"]) == (True, BUCKETS)
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_asynchronous_calls(openai_url: str, captured_calls: CapturedCalls) -> None:
    async def ask() -> dict[str, Any]:
        await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, api_base=openai_url, api_key="k")
        return await asyncio.to_thread(response_of, captured_calls)

    assert asyncio.run(ask())["usage"] == BUCKETS


def test_a_cancelled_call_is_a_request_alone(openai_url: str, captured_calls: CapturedCalls) -> None:
    async def ask() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await litellm.acompletion(model="openai/slow", messages=MESSAGES, api_base=openai_url, api_key="k")

    asyncio.run(ask())
    complete(openai_url, "gpt-4o")
    answer = response_of(captured_calls)
    first, second = captured_calls.events("request")
    assert (first["request_model"], first["provider"], first["operation"]) == ("slow", "openai", "chat")
    assert second["call_id"] == answer["call_id"] != first["call_id"]
    assert len(captured_calls) == 1


def test_after_a_cancelled_call_the_calls_of_its_task_count_on(openai_url: str, captured_calls: CapturedCalls) -> None:
    client = llmtower.wrap_openai(openai.AsyncOpenAI(base_url=openai_url, api_key="k", max_retries=0))

    async def ask() -> list[str]:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await litellm.acompletion(model="openai/slow", messages=MESSAGES, api_base=openai_url, api_key="k")
            assert not llmtower.scope.within_call()
        await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, client=client)
        return await asyncio.to_thread(names_of, captured_calls, 2)  # LiteLLM's loggers run in this loop

    assert asyncio.run(ask()) == ["llmtower.litellm", "llmtower.openai"]


def test_errors_are_classified_and_raised_as_before(openai_url: str, captured_calls: CapturedCalls) -> None:
    with pytest.raises(litellm.RateLimitError):
        complete(openai_url, "error-429")
    event = response_of(captured_calls)
    assert (event["status"], event["error_class"], event["http_status"]) == ("error", "rate_limit", 429)


def test_a_wrapped_client_within_leaves_the_call_to_litellm(openai_url: str, captured_calls: CapturedCalls) -> None:
    client = llmtower.wrap_openai(openai.OpenAI(base_url=openai_url, api_key="k", max_retries=0))
    aclient = llmtower.wrap_openai(openai.AsyncOpenAI(base_url=openai_url, api_key="k", max_retries=0))
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, client=client)  # by `client.post`
    litellm.embedding(model="openai/text-embedding-3-small", input=["hi"], encoding_format="float", client=client)  # by its resource
    for _ in litellm.completion(model="openai/gpt-4o", messages=MESSAGES, client=client, stream=True):
        inside = llmtower.scope.within_call()
    assert not inside, "the caller's own code lies outside"
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(model="openai/error-429", messages=MESSAGES, client=client, num_retries=0)

    async def ask() -> None:
        await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, client=aclient)
        await aclient.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    asyncio.run(ask())
    client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    names = names_of(captured_calls, 7)
    assert names == ["llmtower.litellm"] * 5 + ["llmtower.openai"] * 2


def test_asynchronous_embeddings_leave_the_call_to_litellm(openai_url: str, captured_calls: CapturedCalls) -> None:
    client = llmtower.wrap_openai(openai.AsyncOpenAI(base_url=openai_url, api_key="k", max_retries=0))

    async def ask() -> list[str]:
        given: Any = {"model": "openai/text-embedding-3-small", "input": ["hi"], "encoding_format": "float"}
        await litellm.aembedding(**given, client=client)
        assert not llmtower.scope.within_call()
        await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        return await asyncio.to_thread(names_of, captured_calls, 2)

    assert asyncio.run(ask()) == ["llmtower.litellm", "llmtower.openai"]


def test_a_call_around_is_the_outermost(openai_url: str, captured_calls: CapturedCalls) -> None:
    with llmtower.call(provider="mine", model="outer", instrumentation="mine"):
        complete(openai_url, "gpt-4o")
    complete(openai_url, "gpt-4o")
    assert names_of(captured_calls, 2) == ["llmtower.litellm", "mine"]


def names_of(captured: CapturedCalls, count: int) -> list[str]:
    deadline = time.monotonic() + 20
    while len(captured) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # one too many would come now
    return sorted(event["instrumentation"] for event in captured)


def test_the_proxy_finds_the_handler_by_name_and_its_router_is_recorded(openai_url: str, captured_calls: CapturedCalls) -> None:
    """As the proxy does it: its own look-up of `callbacks` in config.yaml, and the router behind its endpoints."""
    found = get_instance_fn("llmtower.integrations.litellm.handler")
    assert found is handler
    litellm.callbacks = [found]
    served = {"model": "openai/gpt-4o", "api_base": openai_url, "api_key": "k"}
    router = litellm.Router(model_list=[{"model_name": "our-model", "litellm_params": served}], num_retries=0)

    async def ask() -> dict[str, Any]:
        await router.acompletion(model="our-model", messages=MESSAGES, user="u-9")
        return await asyncio.to_thread(response_of, captured_calls)

    event = asyncio.run(ask())
    assert (event["request_model"], event["usage"], event["user_id"]) == ("gpt-4o", BUCKETS, "u-9")
    (request,) = captured_calls.events("request")
    assert request["call_id"] == event["call_id"]


BASE: dict[str, Any] = {
    "startTime": 1_795_000_000.0,
    "endTime": 1_795_000_001.0,
    "completionStartTime": 1_795_000_000.25,
    "call_type": "completion",
    "stream": True,
    "status": "success",
    "model": "gpt-4o",
    "custom_llm_provider": "openai",
    "messages": MESSAGES,
    "response": {"id": "x", "choices": [], "usage": USAGE},
}
Change = Callable[[dict[str, Any]], bool]


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        ({"cache_hit": True}, lambda event: event["usage_convention"] == "litellm-cache" and "usage" not in event),
        ({"response": {"usage": {"prompt_tokens": "many"}}}, lambda event: event["usage_source"] == "missing"),
        ({"response": "text"}, lambda event: event["output"] == "text"),
        ({"endTime": 1_794_999_999.0}, lambda event: event["duration_us"] == 0),
        ({"stream": False}, lambda event: "ttft_us" not in event),
        ({"call_type": "aembedding"}, lambda event: event["operation"] == "embeddings"),
    ],
)
def test_strange_payloads(given: dict[str, Any], holds: Change) -> None:
    event = event_of(BASE | given)
    assert holds(event)
    ResponseEvent.model_validate(event | {"app": "a", "call_id": "01234567-89ab-7def-8123-456789abcdef"})
