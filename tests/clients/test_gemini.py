"""The real `google-genai` client, wrapped, against a local stand-in."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

import llmtower
from llmtower.testing import CapturedCalls
from tests.standins import gemini
from tests.standins.oracle import our_cost, their_cost
from tests.standins.service import Service, serving

BUCKETS = {"input_tokens": 400, "cache_read_tokens": 600, "output_tokens": 50, "reasoning_tokens": 30}
SAID = [{"role": "model", "parts": [{"text": "Let me see.", "thought": True}, {"text": "Hello there"}]}]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(gemini.script) as running:
        yield running


def client_of(service: Service, **options: Any) -> genai.Client:
    return llmtower.wrap_gemini(genai.Client(api_key="k", http_options=types.HttpOptions(base_url=service.url, **options)))


@pytest.fixture
def client(service: Service, captured_calls: CapturedCalls) -> genai.Client:
    return client_of(service)


def check(event: dict[str, Any], *, stream: bool) -> None:
    """Compare an event with what the provider said."""
    assert (event["provider"], event["instrumentation"], event.get("status", "ok")) == ("google", "llmtower.gemini", "ok")
    assert (event["usage"], event["usage_source"], event["usage_convention"]) == (BUCKETS, "provider", "gemini")
    assert (event["response_model"], event["finish_reasons"], event["output"]) == (gemini.VERSION, ["STOP"], SAID)
    assert event.get("response_id", "r-1") == "r-1"
    assert ("ttft_us" in event, event.get("stream", False)) == (stream, stream)
    assert our_cost(event) == their_cost(gemini.answer("gemini"), "google")


def test_a_plain_call(client: genai.Client, captured_calls: CapturedCalls) -> None:
    config = types.GenerateContentConfig(temperature=0.5, system_instruction="Be brief.")
    answer = client.models.generate_content(model="gemini-2.5-flash", contents="hi", config=config)

    assert type(answer) is types.GenerateContentResponse
    assert answer.text == "Hello there"
    (event,) = captured_calls
    check(event, stream=False)
    assert event["request_model"] == "gemini-2.5-flash"
    assert event["input"][0] == {"role": "system", "content": "Be brief."}
    assert "hi" in str(event["input"][1])
    assert event["parameters"]["temperature"] == 0.5


def test_a_stream(client: genai.Client, captured_calls: CapturedCalls) -> None:
    chunks = list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"))

    assert len(chunks) == 3
    (event,) = captured_calls
    check(event, stream=True)
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_chats_and_their_streams(client: genai.Client, captured_calls: CapturedCalls) -> None:
    chat = client.chats.create(model="gemini-2.5-flash")
    chat.send_message("first")
    list(chat.send_message_stream("second"))

    whole, streamed = captured_calls
    check(whole, stream=False)
    check(streamed, stream=True)
    assert "first" in str(streamed["input"])


def test_asynchronous_calls_and_streams(service: Service, captured_calls: CapturedCalls) -> None:
    async def main() -> None:
        client = client_of(service)
        answer = await client.aio.models.generate_content(model="gemini-2.5-flash", contents="hi")
        assert answer.text == "Hello there"
        chunks = [chunk async for chunk in await client.aio.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")]
        assert len(chunks) == 3

    asyncio.run(main())
    whole, streamed = captured_calls
    check(whole, stream=False)
    check(streamed, stream=True)


@pytest.mark.parametrize(
    ("status", "error_class"), [(400, "invalid_request"), (403, "auth"), (429, "rate_limit"), (500, "server"), (504, "timeout")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_raised_as_before_and_classified(
    client: genai.Client, captured_calls: CapturedCalls, status: int, error_class: str, stream: bool
) -> None:
    models: Any = client.models
    with pytest.raises(errors.APIError):
        list((models.generate_content_stream if stream else models.generate_content)(model=f"error-{status}", contents="hi"))

    (event,) = captured_calls
    assert (event["status"], event["error_class"], event["http_status"]) == ("error", error_class, status)
    assert event["error_type"] == gemini.ERRORS[status]


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_part_of_the_output(client: genai.Client, captured_calls: CapturedCalls, stream: bool) -> None:
    models: Any = client.models
    list((models.generate_content_stream if stream else models.generate_content)(model="tool", contents="hi"))

    (part,) = captured_calls[0]["output"][0]["parts"]
    assert (part["function_call"]["name"], part["function_call"]["args"]) == ("weather", {"city": "Oslo"})


def test_each_round_of_automatic_function_calling_is_a_call(client: genai.Client, captured_calls: CapturedCalls) -> None:
    @llmtower.tool
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"rain in {city}"

    config = types.GenerateContentConfig(tools=[weather])
    answer = client.models.generate_content(model="agent", contents="hi", config=config)

    assert answer.text == "Hello there"
    asked, told = captured_calls
    assert asked["usage"] == told["usage"] == BUCKETS
    (step,) = captured_calls.events("step")
    assert (step["name"], step["kind"], step["input"], step["output"]) == ("weather", "tool", {"city": "Oslo"}, "rain in Oslo")


def test_a_blocked_prompt(client: genai.Client, captured_calls: CapturedCalls) -> None:
    client.models.generate_content(model="blocked", contents="hi")

    assert (captured_calls[0]["finish_reasons"], captured_calls[0]["usage"]) == (["PROHIBITED_CONTENT"], {"input_tokens": 9})


def test_embeddings(client: genai.Client, captured_calls: CapturedCalls) -> None:
    client.models.embed_content(model="gemini-embedding-001", contents="hi")

    (event,) = captured_calls
    assert (event["operation"], event["request_model"]) == ("embeddings", "gemini-embedding-001")
    assert "usage" not in event  # the Gemini API tells no tokens of an embedding


@pytest.mark.parametrize("way", ["close", "forget", "never started"])
def test_an_abandoned_stream_is_recorded(client: genai.Client, captured_calls: CapturedCalls, way: str) -> None:
    stream: Any = client.models.generate_content_stream(model="trickle", contents="hi")
    if way != "never started":
        next(stream)
    if way == "close":
        stream.close()
    del stream

    found = list(captured_calls)
    if way == "never started":
        assert all(event["error_class"] == "cancelled" for event in found)
    else:
        assert (found[0]["error_class"], found[0]["error_type"]) == ("cancelled", "StreamAbandoned")
        assert found[0]["output"] == [{"role": "model", "parts": [{"text": "Let me see.", "thought": True}]}]


def test_cancelled_timed_out_and_broken(service: Service, captured_calls: CapturedCalls) -> None:
    async def main() -> None:
        client = client_of(service)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.aio.models.generate_content(model="slow", contents="hi"), 0.2)
        stream = await client.aio.models.generate_content_stream(model="trickle", contents="hi")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(stream), 0.1)

    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    asyncio.run(main())
    hasty, patient = client_of(service, timeout=150), client_of(service)
    with pytest.raises(Exception, match=r"timed out|timeout"):
        hasty.models.generate_content(model="slow", contents="hi")
    with pytest.raises(Exception, match="peer closed"):
        list(patient.models.generate_content_stream(model="cut", contents="hi"))
    assert [event["error_class"] for event in captured_calls] == ["cancelled", "cancelled", "timeout", "network"]


def test_wrapped_twice_counts_once_and_the_outermost_instrumentation_wins(client: genai.Client, captured_calls: CapturedCalls) -> None:
    llmtower.wrap_gemini(client).models.generate_content(model="gemini-2.5-flash", contents="hi")
    with llmtower.call(provider="mine", model="outer"):
        client.models.generate_content(model="gemini-2.5-flash", contents="hi")

    assert [event["provider"] for event in captured_calls] == ["google", "mine"]


def test_what_is_no_client_is_left_as_it_is(captured_calls: CapturedCalls, caplog: pytest.LogCaptureFixture) -> None:
    odd = object()
    assert llmtower.wrap_gemini(odd) is odd
    assert "is no google-genai client" in caplog.text


def test_without_configuration_the_client_works_as_ever(service: Service) -> None:
    assert client_of(service).models.generate_content(model="gemini-2.5-flash", contents="hi").text == "Hello there"
