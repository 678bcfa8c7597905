"""The real `openai` client beyond chat completions: responses, embeddings, completions; Azure; helpers; raw and streaming responses."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

import llmtower
from llmtower.testing import CapturedCalls
from tests.standins import responses
from tests.standins.openai import USAGE, Server, openai_server
from tests.standins.oracle import our_cost, their_cost
from tests.standins.service import Service, serving

MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
BUCKETS = {"input_tokens": 400, "cache_read_tokens": 600, "output_tokens": 40, "reasoning_tokens": 80}
CHAT_BUCKETS = {"input_tokens": 12, "cache_read_tokens": 8, "output_tokens": 7, "reasoning_tokens": 5}
SAID = [{"type": "output_text", "text": '{"word": "Hello"}', "annotations": []}]


class Word(BaseModel):
    """What the model is asked to fill in."""

    word: str


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(responses.script) as running:
        yield running


@pytest.fixture(scope="module")
def chat_service() -> Iterator[tuple[Server, str]]:
    with openai_server() as running:
        yield running


@pytest.fixture
def client(service: Service, captured_calls: CapturedCalls) -> Iterator[OpenAI]:
    with OpenAI(base_url=service.url, api_key="k", max_retries=0) as plain:
        yield llmtower.wrap_openai(plain, stream_usage=True)


@pytest.fixture
def chat(chat_service: tuple[Server, str], captured_calls: CapturedCalls) -> Iterator[OpenAI]:
    with OpenAI(base_url=chat_service[1], api_key="k", max_retries=0) as plain:
        yield llmtower.wrap_openai(plain, stream_usage=True)


def completions_of(client: Any, method: str) -> Any:
    """Give the resource that has a helper: it moved out of `beta` in openai 1.92."""
    return client.chat.completions if hasattr(client.chat.completions, method) else client.beta.chat.completions


def check(event: dict[str, Any], *, stream: bool, model: str = "gpt-5") -> None:
    """Compare an event with what the provider said."""
    said = responses.answer(model)
    assert (event["provider"], event["instrumentation"], event["operation"]) == ("openai", "llmtower.openai", "chat")
    assert (event["usage"], event["usage_source"], event["usage_convention"]) == (BUCKETS, "provider", "openai-responses")
    assert (event["response_id"], event["response_model"], event["service_tier"]) == ("resp_1", responses.MODEL, "default")
    assert event["finish_reasons"] == ["max_output_tokens" if said["status"] == "incomplete" else said["status"]]
    assert ("ttft_us" in event, event.get("stream", False)) == (stream, stream)
    assert event["output"][0]["content"] == SAID
    assert our_cost(event) == their_cost(said, "openai", "responses")


def test_a_response(client: OpenAI, captured_calls: CapturedCalls) -> None:
    answer = client.responses.create(model="gpt-5", input="hi", instructions="Be brief.", temperature=0.5)

    assert type(answer) is openai.types.responses.Response
    (event,) = captured_calls
    check(event, stream=False)
    assert event["input"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert event["parameters"] == {"temperature": 0.5}


@pytest.mark.parametrize("way", ["create", "helper"])
def test_a_streamed_response(client: OpenAI, captured_calls: CapturedCalls, way: str) -> None:
    if way == "create":
        events = list(client.responses.create(model="gpt-5", input=MESSAGES, stream=True))
        assert events[-1].type == "response.completed"
    else:
        with client.responses.stream(model="gpt-5", input=MESSAGES) as stream:
            assert stream.get_final_response().id == "resp_1"

    (event,) = captured_calls
    check(event, stream=True)
    assert event["input"] == MESSAGES
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_a_parsed_response(client: OpenAI, captured_calls: CapturedCalls) -> None:
    answer = client.responses.parse(model="gpt-5", input="hi", text_format=Word)

    assert answer.output_parsed == Word(word="Hello")
    (event,) = captured_calls
    assert (event["usage"], event["response_id"]) == (BUCKETS, "resp_1")


def test_asynchronous_responses(service: Service, captured_calls: CapturedCalls) -> None:
    async def main() -> None:
        async with AsyncOpenAI(base_url=service.url, api_key="k") as plain:
            client = llmtower.wrap_openai(plain)
            await client.responses.create(model="gpt-5", input="hi")
            assert len([event async for event in await client.responses.create(model="gpt-5", input="hi", stream=True)]) == 8
            assert (await client.embeddings.create(model="text-embedding-3-small", input="hi")).data[0].embedding == [0.5, 0.25]

    asyncio.run(main())
    whole, streamed, embedded = captured_calls
    check(whole, stream=False)
    check(streamed, stream=True)
    assert embedded["usage"] == {"input_tokens": 8}


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_part_of_the_output(client: OpenAI, captured_calls: CapturedCalls, stream: bool) -> None:
    list(client.responses.create(model="tool", input="hi", stream=stream))

    (event,) = captured_calls
    assert event["output"] == [responses.TOOL]


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_response_says_of_its_end(client: OpenAI, captured_calls: CapturedCalls, stream: bool) -> None:
    list(client.responses.create(model="cut off", input="hi", stream=stream))
    list(client.responses.create(model="failing", input="hi", stream=stream))

    cut, failed = captured_calls
    check(cut, stream=stream, model="cut off")
    assert (failed["status"], failed["error_class"], failed["error_type"]) == ("error", "server", "server_error")
    assert failed["usage"] == BUCKETS


@pytest.mark.parametrize(("status", "error_class"), [(400, "invalid_request"), (401, "auth"), (429, "rate_limit"), (500, "server")])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_raised_as_before_and_classified(
    client: OpenAI, captured_calls: CapturedCalls, status: int, error_class: str, stream: bool
) -> None:
    with pytest.raises(openai.APIStatusError):
        client.responses.create(model=f"error-{status}", input="hi", stream=stream)

    assert (captured_calls[0]["error_class"], captured_calls[0]["http_status"]) == (error_class, status)


@pytest.mark.parametrize("way", ["close", "forget", "cut"])
def test_an_abandoned_response_is_recorded(client: OpenAI, captured_calls: CapturedCalls, way: str) -> None:
    stream: Any = client.responses.create(model="cut" if way == "cut" else "trickle", input="hi", stream=True)
    if way == "cut":
        with pytest.raises(Exception, match=r"peer closed|Connection error"):
            list(stream)
    else:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
        if way == "close":
            stream.close()
        del stream
        gc.collect()

    (found,) = captured_calls
    assert found["error_class"] == ("network" if way == "cut" else "cancelled")
    assert (found["output"][0]["content"][0]["text"], found["usage_source"]) == ('{"word": ', "estimated")


@pytest.mark.parametrize("stream", [False, True])
def test_raw_and_streaming_responses(client: OpenAI, captured_calls: CapturedCalls, stream: bool) -> None:
    raw: Any = client.responses.with_raw_response.create(model="gpt-5", input="hi", stream=stream)
    assert len(list(raw.parse())) > 1
    with client.responses.with_streaming_response.create(model="gpt-5", input="hi", stream=stream) as response:
        assert b"".join(response.iter_bytes())

    for event in captured_calls:
        assert (event["usage"], event["response_id"], event["finish_reasons"]) == (BUCKETS, "resp_1", ["completed"])
    assert len(captured_calls) == 2


def test_embeddings(client: OpenAI, captured_calls: CapturedCalls) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["hi", "ho"])

    assert answer.data[1].embedding == [0.5, 0.25]
    (event,) = captured_calls
    assert (event["operation"], event["usage"], event["input"]) == ("embeddings", {"input_tokens": 8}, ["hi", "ho"])
    assert "output" not in event
    assert our_cost(event) == their_cost(responses.embeddings({"model": "text-embedding-3-small", "input": "hi"}), "openai", "embeddings")


def test_errors_of_embeddings_and_completions(client: OpenAI, captured_calls: CapturedCalls) -> None:
    with pytest.raises(openai.RateLimitError):
        client.embeddings.create(model="error-429", input="hi")
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="error-400", prompt="hi")

    assert [event["error_class"] for event in captured_calls] == ["rate_limit", "invalid_request"]


def test_a_cancelled_embedding(service: Service, captured_calls: CapturedCalls) -> None:
    async def main() -> None:
        async with AsyncOpenAI(base_url=service.url, api_key="k") as plain:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(llmtower.wrap_openai(plain).embeddings.create(model="slow", input="hi"), 0.2)

    asyncio.run(main())
    assert captured_calls[0]["error_class"] == "cancelled"


@pytest.mark.parametrize("stream", [False, True])
def test_legacy_completions(client: OpenAI, captured_calls: CapturedCalls, stream: bool) -> None:
    answer: Any = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi", stream=stream)
    if stream:
        assert [chunk.choices[0].text for chunk in answer] == ["Hello", " there"]

    (event,) = captured_calls
    assert (event["operation"], event["input"], event["output"]) == ("text_completion", "hi", ["Hello there"])
    assert (event["usage"], event["finish_reasons"]) == ({"input_tokens": 5, "output_tokens": 7}, ["stop"])


def test_a_parsed_chat(chat: OpenAI, captured_calls: CapturedCalls) -> None:
    answer = completions_of(chat, "parse").parse(model="json", messages=MESSAGES, response_format=Word)

    assert answer.choices[0].message.parsed == Word(word="Hello")
    (event,) = captured_calls
    assert event["usage"] == CHAT_BUCKETS


def test_the_helper_that_streams_a_chat(chat: OpenAI, captured_calls: CapturedCalls) -> None:
    with completions_of(chat, "stream").stream(model="gpt", messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content == "hello world"

    (event,) = captured_calls
    assert (event["usage"], event["finish_reasons"], event["stream"]) == (CHAT_BUCKETS, ["stop"], True)


@pytest.mark.parametrize("stream", [False, True])
def test_raw_and_streaming_chats(chat: OpenAI, captured_calls: CapturedCalls, stream: bool) -> None:
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    raw: Any = chat.chat.completions.with_raw_response.create(model="gpt", messages=MESSAGES, **options)
    assert list(raw.parse())
    with chat.chat.completions.with_streaming_response.create(model="gpt", messages=MESSAGES, **options) as response:
        for _ in response.iter_lines():
            pass

    for event in captured_calls:
        assert (event["usage"], event["finish_reasons"]) == (CHAT_BUCKETS, ["stop"])
    assert len(captured_calls) == 2


def test_a_chat_costs_what_the_oracle_says(chat: OpenAI, captured_calls: CapturedCalls) -> None:
    chat.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    (event,) = captured_calls
    assert our_cost(event) == their_cost({"model": "gpt-4o", "usage": USAGE}, "openai", "chat")


def test_azure(chat_service: tuple[Server, str], captured_calls: CapturedCalls) -> None:
    url = chat_service[1].removesuffix("/v1")
    with llmtower.wrap_openai(AzureOpenAI(azure_endpoint=url, api_key="k", api_version="2024-10-21")) as client:
        client.chat.completions.create(model="my-deployment", messages=MESSAGES)
        list(client.chat.completions.create(model="my-deployment", messages=MESSAGES, stream=True))

    whole, streamed = captured_calls
    assert (whole["provider"], whole["request_model"], whole["usage"]) == ("azure", "my-deployment", CHAT_BUCKETS)
    assert streamed["usage_source"] == "estimated"
    assert "stream_options" not in chat_service[0].requests[-1]


def test_the_outermost_instrumentation_wins(client: OpenAI, captured_calls: CapturedCalls) -> None:
    with llmtower.call(provider="mine", model="outer"):
        list(client.responses.create(model="gpt-5", input="hi", stream=True))

    assert [event["provider"] for event in captured_calls] == ["mine"]
