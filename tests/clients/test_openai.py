"""The real `openai` client, wrapped, against a local server: nothing changes for the caller, everything is recorded."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

import llmtower
from llmtower.testing import CapturedCalls
from tests.standins.openai import TOOL, USAGE, Server, openai_server

MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
BUCKETS = {"input_tokens": 12, "cache_read_tokens": 8, "output_tokens": 7, "reasoning_tokens": 5}
ESTIMATED = {"input_tokens": 7, "output_tokens": 3}


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Server, str]]:
    with openai_server() as running:
        yield running


@pytest.fixture
def server(service: tuple[Server, str]) -> Server:
    service[0].requests.clear()
    service[0].failures = 0
    return service[0]


@pytest.fixture
def plain(service: tuple[Server, str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=service[1], api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def client(plain: OpenAI, captured_calls: CapturedCalls) -> OpenAI:
    return llmtower.wrap_openai(plain, stream_usage=True)


@pytest.fixture
def run(service: tuple[Server, str], captured_calls: CapturedCalls) -> Callable[[Callable[[AsyncOpenAI], Any]], Any]:
    """Run a coroutine function with a wrapped asynchronous client."""

    def runs(work: Callable[[AsyncOpenAI], Any]) -> Any:
        async def main() -> Any:
            async with AsyncOpenAI(base_url=service[1], api_key="k", max_retries=0) as client:
                return await work(llmtower.wrap_openai(client, stream_usage=True))

        return asyncio.run(main())

    return runs


def test_the_same_object_comes_back(plain: OpenAI, captured_calls: CapturedCalls) -> None:
    completions, create = plain.chat.completions, openai.resources.chat.Completions.create

    assert llmtower.wrap_openai(plain) is plain
    recorded: Any = completions._post
    assert llmtower.wrap_openai(plain).chat.completions is completions
    assert completions._post is recorded
    assert openai.resources.chat.Completions.create is create


def test_a_plain_call(client: OpenAI, server: Server, captured_calls: CapturedCalls) -> None:
    answer = client.chat.completions.create(model="gpt", messages=MESSAGES, temperature=0.5, extra_headers={"x-secret": "zzz"}, timeout=9.0)

    assert type(answer) is openai.types.chat.ChatCompletion
    assert answer.choices[0].message.content == "hello world"
    request = captured_calls.events("request")[0]
    assert (request["timeout_ms"], request["provider"], request["request_model"]) == (9_000, "openai", "gpt")
    response = captured_calls[0]
    assert response["input"] == MESSAGES
    assert response["output"] == [{"role": "assistant", "content": "hello world"}]
    assert response["usage"] == BUCKETS
    assert response["usage_raw"]["prompt_tokens_details"]["cached_tokens"] == USAGE["prompt_tokens_details"]["cached_tokens"]
    assert (response["response_id"], response["response_model"]) == ("chatcmpl-1", "gpt-2024")
    assert (response["finish_reasons"], response["service_tier"]) == (["stop"], "default")
    assert (response["rate_limit_remaining_requests"], response["rate_limit_remaining_tokens"]) == (99, 1_234)
    assert (response["retries"], response["http_status"]) == (0, 200)
    assert response["parameters"] == {"temperature": 0.5}
    assert "ttft_us" not in response
    assert "zzz" not in str(response)


def test_the_answer_equals_an_unwrapped_one(plain: OpenAI, captured_calls: CapturedCalls) -> None:
    before = plain.chat.completions.create(model="gpt", messages=MESSAGES, n=2)
    after = llmtower.wrap_openai(plain).chat.completions.create(model="gpt", messages=MESSAGES, n=2)

    assert before == after
    assert before._request_id == after._request_id
    assert captured_calls[0]["finish_reasons"] == ["stop", "stop"]


def test_tool_calls_are_part_of_the_output(client: OpenAI, captured_calls: CapturedCalls) -> None:
    client.chat.completions.create(model="tools", messages=MESSAGES)
    list(client.chat.completions.create(model="tools", messages=MESSAGES, stream=True))

    whole, streamed = captured_calls
    assert whole["output"][0]["tool_calls"] == streamed["output"][0]["tool_calls"] == [TOOL]
    assert whole["finish_reasons"] == streamed["finish_reasons"] == ["tool_calls"]


def test_a_stream(client: OpenAI, server: Server, captured_calls: CapturedCalls) -> None:
    stream = client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True)
    assert type(stream) is openai.Stream
    chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello world"
    assert server.requests[0]["stream_options"] == {"include_usage": True}
    response = captured_calls[0]
    assert response["stream"]
    assert response["usage"] == BUCKETS
    assert response["output"] == [{"role": "assistant", "content": "hello world"}]
    assert 0 < response["ttft_us"] <= response["duration_us"]
    assert (response["finish_reasons"], response["response_model"], response["rate_limit_remaining_requests"]) == (["stop"], "gpt-2024", 98)


def test_usage_is_not_asked_for_where_it_is_not_known_to_be_safe(plain: OpenAI, server: Server, captured_calls: CapturedCalls) -> None:
    list(llmtower.wrap_openai(plain).chat.completions.create(model="gpt", messages=MESSAGES, stream=True))

    assert "stream_options" not in server.requests[0]
    assert (captured_calls[0]["usage_source"], captured_calls[0]["usage"]) == ("estimated", ESTIMATED)


@pytest.mark.parametrize(("asked", "last"), [(True, True), (False, False)])
def test_who_asks_for_usage_gets_what_he_asked_for(
    client: OpenAI, server: Server, captured_calls: CapturedCalls, asked: bool, last: bool
) -> None:
    options: Any = {"include_usage": asked}
    chunks = list(client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True, stream_options=options))

    assert server.requests[0]["stream_options"] == options
    assert (chunks[-1].usage is not None) is last
    response = captured_calls[0]
    assert (response["usage_source"], response["usage"]) == (("provider", BUCKETS) if last else ("estimated", ESTIMATED))


@pytest.mark.parametrize(
    ("model", "raised", "error_class", "status"),
    [
        ("error-429", openai.RateLimitError, "rate_limit", 429),
        ("error-401", openai.AuthenticationError, "auth", 401),
        ("error-400", openai.BadRequestError, "invalid_request", 400),
        ("error-404", openai.NotFoundError, "invalid_request", 404),
        ("error-500", openai.InternalServerError, "server", 500),
        ("filtered", openai.BadRequestError, "content_filter", 400),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_raised_as_before_and_classified(
    client: OpenAI, captured_calls: CapturedCalls, model: str, raised: type[Exception], error_class: str, status: int, stream: bool
) -> None:
    with pytest.raises(raised):
        client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)

    response = captured_calls[0]
    assert (response["status"], response["error_class"], response["http_status"]) == ("error", error_class, status)
    assert response["rate_limit_remaining_requests"] == 99
    assert "secret prompt" not in response["error_type"]


def test_retries_are_counted(service: tuple[Server, str], server: Server, captured_calls: CapturedCalls) -> None:
    with llmtower.wrap_openai(OpenAI(base_url=service[1], api_key="k", max_retries=3)) as client:
        client.chat.completions.create(model="flaky", messages=MESSAGES)

    assert captured_calls[0]["retries"] == 2
    assert len(captured_calls) == 1


def test_timeouts_and_dead_servers(client: OpenAI, captured_calls: CapturedCalls) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.1).chat.completions.create(model="slow", messages=MESSAGES)
    with pytest.raises(openai.APIConnectionError):
        client.with_options(base_url="http://127.0.0.1:9").chat.completions.create(model="x", messages=MESSAGES)

    assert [response["error_class"] for response in captured_calls] == ["timeout", "network"]


def test_a_stream_that_breaks_keeps_what_came(client: OpenAI, captured_calls: CapturedCalls) -> None:
    with pytest.raises(openai.APIError, match="overloaded"):
        list(client.chat.completions.create(model="failing", messages=MESSAGES, stream=True))

    response = captured_calls[0]
    assert response["status"] == "error"
    assert response["output"] == [{"role": "assistant", "content": "hello world"}]
    assert (response["usage_source"], response["usage"]) == ("estimated", ESTIMATED)


@pytest.mark.parametrize("way", ["close", "with", "forget"])
def test_an_abandoned_stream_is_recorded(client: OpenAI, captured_calls: CapturedCalls, way: str) -> None:
    stream = client.chat.completions.create(model="trickle", messages=MESSAGES, stream=True)
    next(stream)
    next(stream)
    if way == "close":
        stream.close()
    elif way == "with":
        with stream:
            pass
    else:
        stream.response.close()
        del stream
        gc.collect()

    response = captured_calls[0]
    assert (response["status"], response["error_class"], response["error_type"]) == ("error", "cancelled", "StreamAbandoned")
    assert (response["usage_source"], response["usage"]["output_tokens"]) == ("estimated", 2)
    assert response["output"] == [{"role": "assistant", "content": "hello"}]


def test_a_raw_response_is_left_to_the_caller(client: OpenAI, captured_calls: CapturedCalls) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt", messages=MESSAGES)
    assert raw.headers["x-ratelimit-remaining-requests"] == "99"
    assert raw.parse().id == "chatcmpl-1"

    assert captured_calls[0]["usage"] == BUCKETS


def test_an_answer_carries_what_was_retrieved_for_it(client: OpenAI, captured_calls: CapturedCalls) -> None:
    def ask() -> None:
        client.chat.completions.create(model="gpt", messages=MESSAGES)

    with llmtower.step("agent", kind="agent"):
        ask()
        with llmtower.step("search", kind="retrieval") as search:
            search.finish(retrieved=[{"id": "a", "text": "first"}])
        with llmtower.step("look up", kind="tool"), llmtower.step("table", kind="retrieval") as search:
            search.finish(retrieved=[{"id": "b", "score": 0.5}])
        ask()
        list(client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True))
        with llmtower.step("nothing", kind="retrieval") as search:
            search.finish(retrieved=[])
        with llmtower.step("no documents", kind="tool") as tool:
            tool.finish(retrieved=[{"id": "c"}])
        ask()
    ask()

    documents = [{"id": "a", "text": "first"}, {"id": "b", "score": 0.5}]
    assert [call.get("retrieved") for call in captured_calls] == [None, documents, documents, documents, None]


def test_context_and_parent_apply(client: OpenAI, captured_calls: CapturedCalls) -> None:
    with llmtower.context(user_id="u"), llmtower.step("agent", kind="agent") as step:
        client.chat.completions.create(model="gpt", messages=MESSAGES)

    assert (captured_calls[0]["user_id"], captured_calls[0]["parent_id"]) == ("u", step.id)


def test_changed_messages_do_not_change_what_was_recorded(client: OpenAI, captured_calls: CapturedCalls) -> None:
    messages: list[Any] = [{"role": "user", "content": "before"}]
    answer = client.chat.completions.create(model="gpt", messages=messages)
    messages[0]["content"] = "after"
    answer.choices[0].message.content = "after"

    assert captured_calls[0]["input"][0]["content"] == "before"
    assert captured_calls[0]["output"][0]["content"] == "hello world"


def test_asynchronous_calls_and_streams(run: Callable[..., Any], captured_calls: CapturedCalls) -> None:
    async def work(client: AsyncOpenAI) -> str:
        answer = await client.chat.completions.create(model="gpt", messages=MESSAGES)
        assert type(answer) is openai.types.chat.ChatCompletion
        stream = await client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True)
        assert type(stream) is openai.AsyncStream
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert run(work) == "hello world"
    whole, streamed = captured_calls
    assert whole["usage"] == streamed["usage"] == BUCKETS
    assert "ttft_us" in streamed


def test_asynchronous_errors_and_cancellation(run: Callable[..., Any], captured_calls: CapturedCalls) -> None:
    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    async def work(client: AsyncOpenAI) -> None:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="error-429", messages=MESSAGES)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.chat.completions.create(model="slow", messages=MESSAGES), 0.1)
        stream = await client.chat.completions.create(model="trickle", messages=MESSAGES, stream=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(stream), 0.7)
        await stream.close()

    run(work)
    assert [response["error_class"] for response in captured_calls] == ["rate_limit", "cancelled", "cancelled"]
    assert captured_calls[2]["output"] == [{"role": "assistant", "content": "hello"}]


@pytest.mark.parametrize("odd", [object(), None, "client"])
def test_what_is_no_client_is_left_as_it_is(odd: Any, captured_calls: CapturedCalls, caplog: pytest.LogCaptureFixture) -> None:
    assert llmtower.wrap_openai(odd) is odd
    assert "is no OpenAI client" in caplog.text


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://my.openai.azure.com/openai", "azure"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://localhost:8000/v1", "openai"),
        ("http://vllm:8000/v1", "vllm"),
        ("http://vllm-service.ml:8000/v1", "vllm"),
        ("https://eu.VLLM2.example.com/v1", "vllm"),
        ("https://vllm.openai.azure.com/openai", "azure"),
        ("https://notvllm.example.com/v1", "openai"),
    ],
)
def test_the_provider_is_named_from_the_base_url(captured_calls: CapturedCalls, url: str, provider: str) -> None:
    from llmtower.openai import host_of, provider_of

    assert provider_of(host_of(OpenAI(base_url=url, api_key="k"))) == provider


def test_without_configuration_the_client_works_as_ever(plain: OpenAI, server: Server) -> None:
    client = llmtower.wrap_openai(plain)

    assert client.chat.completions.create(model="gpt", messages=MESSAGES).id == "chatcmpl-1"
    assert len(list(client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True))) == 5
