"""The real `anthropic` client, wrapped, against a local stand-in."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

import llmtower
from llmtower.testing import CapturedCalls
from tests.standins import anthropic as standin
from tests.standins.oracle import our_cost, their_cost
from tests.standins.service import Service, serving

MESSAGES: Any = [{"role": "user", "content": "hi"}]
ASKED: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 64}
BUCKETS = {
    "input_tokens": 25,
    "cache_read_tokens": 3_000,
    "cache_write_tokens": 248,
    "cache_write_1h_tokens": 1_000,
    "output_tokens": 50,
    "reasoning_tokens": 40,
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(standin.script) as running:
        yield running


@pytest.fixture
def plain(service: Service) -> Iterator[Anthropic]:
    with Anthropic(base_url=service.url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def client(plain: Anthropic, captured_calls: CapturedCalls) -> Anthropic:
    return llmtower.wrap_anthropic(plain)


@pytest.fixture
def run(service: Service, captured_calls: CapturedCalls) -> Callable[[Callable[[AsyncAnthropic], Any]], Any]:
    """Run a coroutine function with a wrapped asynchronous client."""

    def runs(work: Callable[[AsyncAnthropic], Any]) -> Any:
        async def main() -> Any:
            async with AsyncAnthropic(base_url=service.url, api_key="k", max_retries=0) as client:
                return await work(llmtower.wrap_anthropic(client))

        return asyncio.run(main())

    return runs


def check(event: dict[str, Any], *, stream: bool, model: str = "claude") -> None:
    """Compare an event with what the provider said."""
    said = standin.message(model)
    assert (event["provider"], event["instrumentation"], event["request_model"]) == ("anthropic", "llmtower.anthropic", model)
    assert (event["usage"], event["usage_source"], event["usage_convention"]) == (BUCKETS, "provider", "anthropic")
    assert (event["response_id"], event["response_model"]) == (said["id"], said["model"])
    assert (event["finish_reasons"], event["service_tier"], event["http_status"]) == ([said["stop_reason"]], "standard", 200)
    assert ("ttft_us" in event, event.get("stream", False)) == (stream, stream)
    assert our_cost(event) == their_cost(said, "anthropic")


def test_a_plain_call(plain: Anthropic, captured_calls: CapturedCalls) -> None:
    before = plain.messages.create(model="claude", **ASKED)
    client = llmtower.wrap_anthropic(plain)
    after = client.messages.create(model="claude", system="Be brief.", stop_sequences=["END"], **ASKED)

    assert client is plain
    assert (type(after), after) == (anthropic.types.Message, before)
    assert after._request_id == before._request_id == "req_1"
    (event,) = captured_calls
    check(event, stream=False)
    assert event["input"] == [{"role": "system", "content": "Be brief."}, *MESSAGES]
    assert event["output"] == [{"role": "assistant", "content": [{"type": "text", "text": "Hello there"}]}]
    assert event["parameters"] == {"max_tokens": 64, "stop_sequences": ["END"]}
    assert event["retries"] == 0


@pytest.mark.parametrize("way", ["create", "helper"])
def test_a_stream(client: Anthropic, captured_calls: CapturedCalls, way: str) -> None:
    if way == "create":
        stream = client.messages.create(model="claude", stream=True, **ASKED)
        assert type(stream) is anthropic.Stream
        events = list(stream)
        assert events[0].type == "message_start"
    else:
        with client.messages.stream(model="claude", **ASKED) as helper:
            assert "".join(helper.text_stream) == "Hello there"
            assert helper.get_final_message().usage.output_tokens == 90

    (event,) = captured_calls
    check(event, stream=True)
    assert event["output"] == [{"role": "assistant", "content": [{"type": "text", "text": "Hello there"}]}]
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_asynchronous_calls_and_streams(run: Callable[..., Any], captured_calls: CapturedCalls) -> None:
    async def work(client: AsyncAnthropic) -> None:
        assert type(await client.messages.create(model="claude", **ASKED)) is anthropic.types.Message
        stream = await client.messages.create(model="claude", stream=True, **ASKED)
        assert len([event async for event in stream]) == 8
        async with client.messages.stream(model="claude", **ASKED) as helper:
            assert await helper.get_final_text() == "Hello there"

    run(work)
    whole, streamed, helped = captured_calls
    check(whole, stream=False)
    check(streamed, stream=True)
    check(helped, stream=True)


def test_thinking(client: Anthropic, captured_calls: CapturedCalls) -> None:
    client.messages.create(model="thinking", **ASKED)
    list(client.messages.create(model="thinking", stream=True, **ASKED))

    for event in captured_calls:
        check(event, stream="ttft_us" in event, model="thinking")
        assert event["output"][0]["content"][0]["thinking"] == "Let me see."


def test_tool_calls_are_part_of_the_output(client: Anthropic, captured_calls: CapturedCalls) -> None:
    client.messages.create(model="tool", **ASKED)
    list(client.messages.create(model="tool", stream=True, **ASKED))

    whole, streamed = captured_calls
    assert whole["output"][0]["content"][1] == standin.TOOL[1]
    assert streamed["output"][0]["content"][1] == {**standin.TOOL[1], "input": '{"city": "Oslo"}'}
    assert whole["finish_reasons"] == streamed["finish_reasons"] == ["tool_use"]


def test_fees_of_server_tools(client: Anthropic, captured_calls: CapturedCalls) -> None:
    client.messages.create(model="search", **ASKED)
    list(client.messages.create(model="search", stream=True, **ASKED))

    tokens = their_cost(standin.message("claude"), "anthropic")
    for event in captured_calls:
        assert event["tool_fees_nano_usd"] == 30_000_000
        assert our_cost(event) == tokens + 30_000_000


@pytest.mark.parametrize(
    ("status", "raised", "error_class"),
    [
        (400, anthropic.BadRequestError, "invalid_request"),
        (401, anthropic.AuthenticationError, "auth"),
        (429, anthropic.RateLimitError, "rate_limit"),
        (500, anthropic.InternalServerError, "server"),
        (529, anthropic.APIStatusError, "server"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_raised_as_before_and_classified(
    client: Anthropic, captured_calls: CapturedCalls, status: int, raised: type[Exception], error_class: str, stream: bool
) -> None:
    with pytest.raises(raised):
        client.messages.create(model=f"error-{status}", stream=stream, **ASKED)

    (event,) = captured_calls
    assert (event["status"], event["error_class"], event["http_status"]) == ("error", error_class, status)
    assert "secret prompt" not in event["error_type"]


def test_retries_are_counted(service: Service, captured_calls: CapturedCalls) -> None:
    client = llmtower.wrap_anthropic(Anthropic(base_url=service.url, api_key="k", max_retries=1))
    with client, pytest.raises(anthropic.InternalServerError):
        client.with_options(timeout=5).messages.create(model="error-500", **ASKED)

    (event,) = captured_calls
    assert event["retries"] == 1


def test_a_stream_that_breaks_keeps_what_came(client: Anthropic, captured_calls: CapturedCalls) -> None:
    with pytest.raises(anthropic.APIError):
        list(client.messages.create(model="failing", stream=True, **ASKED))
    with pytest.raises(Exception, match="peer closed"):
        list(client.messages.create(model="cut", stream=True, **ASKED))

    failed, cut = captured_calls
    assert [failed["status"], cut["error_class"]] == ["error", "network"]
    for event in (failed, cut):
        assert event["output"] == [{"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}]
        assert (event["usage_source"], event["usage"]["input_tokens"], event["usage"]["output_tokens"]) == ("estimated", 25, 2)
        assert event["usage"]["cache_write_1h_tokens"] == 1_000


@pytest.mark.parametrize("way", ["close", "with", "forget"])
def test_an_abandoned_stream_is_recorded(client: Anthropic, captured_calls: CapturedCalls, way: str) -> None:
    stream: Any = client.messages.create(model="trickle", stream=True, **ASKED)
    for event in stream:
        if event.type == "content_block_delta":
            break
    if way == "close":
        stream.close()
    elif way == "with":
        with stream:
            pass
    else:
        stream.response.close()
        del stream
        gc.collect()

    (found,) = captured_calls
    assert (found["error_class"], found["error_type"], found["usage_source"]) == ("cancelled", "StreamAbandoned", "estimated")
    assert found["output"] == [{"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}]


def test_cancelled_and_timed_out(run: Callable[..., Any], client: Anthropic, captured_calls: CapturedCalls) -> None:
    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    async def work(found: AsyncAnthropic) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(found.messages.create(model="slow", **ASKED), 0.2)
        stream = await found.messages.create(model="trickle", stream=True, **ASKED)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(stream), 0.3)
        await stream.close()

    run(work)
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.1).messages.create(model="slow", **ASKED)
    assert [event["error_class"] for event in captured_calls] == ["cancelled", "cancelled", "timeout"]


@pytest.mark.parametrize("stream", [False, True])
def test_raw_and_streaming_responses(client: Anthropic, captured_calls: CapturedCalls, stream: bool) -> None:
    raw: Any = client.messages.with_raw_response.create(model="claude", stream=stream, **ASKED)
    answer = raw.parse()
    assert len(list(answer)) == 8 if stream else answer.id == "msg_1"
    with client.messages.with_streaming_response.create(model="claude", stream=stream, **ASKED) as response:
        assert b"".join(response.iter_bytes())

    for event in captured_calls:
        assert (event["usage"], event["response_id"], event["finish_reasons"]) == (BUCKETS, "msg_1", ["end_turn"])
    assert len(captured_calls) == 2


@pytest.mark.parametrize(
    ("title", "provider"),
    [("AnthropicBedrock", "aws.bedrock"), ("AnthropicVertex", "gcp.vertex_ai"), ("Anthropic", "anthropic")],
)
def test_the_provider_is_named_from_the_class(service: Service, captured_calls: CapturedCalls, title: str, provider: str) -> None:
    kind: Any = type(title, (Anthropic,), {})
    with llmtower.wrap_anthropic(kind(base_url=service.url, api_key="k")) as client:
        client.messages.create(model="claude", **ASKED)

    assert captured_calls[0]["provider"] == provider


def test_wrapped_twice_counts_once_and_the_outermost_instrumentation_wins(client: Anthropic, captured_calls: CapturedCalls) -> None:
    llmtower.wrap_anthropic(client).messages.create(model="claude", **ASKED)
    with llmtower.call(provider="mine", model="outer"):
        list(client.messages.create(model="claude", stream=True, **ASKED))

    assert [event["provider"] for event in captured_calls] == ["anthropic", "mine"]


def test_what_is_no_client_is_left_as_it_is(captured_calls: CapturedCalls, caplog: pytest.LogCaptureFixture) -> None:
    odd = object()
    assert llmtower.wrap_anthropic(odd) is odd
    assert "is no Anthropic client" in caplog.text


def test_without_configuration_the_client_works_as_ever(plain: Anthropic) -> None:
    client = llmtower.wrap_anthropic(plain)
    assert client.messages.create(model="claude", **ASKED).id == "msg_1"
    assert len(list(client.messages.create(model="claude", stream=True, **ASKED))) == 8
