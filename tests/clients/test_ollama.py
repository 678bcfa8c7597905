"""The real `ollama` client, wrapped, against a local stand-in."""

import asyncio
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest

import llmtower
from llmtower.testing import CapturedCalls
from llmtower_processors.pricing.book import load_price_book
from llmtower_schemas.events import ResponseEvent
from tests.standins import ollama as standin
from tests.standins.oracle import our_cost
from tests.standins.service import Service, serving

MESSAGES = [{"role": "user", "content": "hi"}]
BUCKETS = {"input_tokens": 26, "output_tokens": 12}
SAID = [{"role": "assistant", "content": "Hello there"}]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(standin.script) as running:
        yield running


@pytest.fixture
def client(service: Service, captured_calls: CapturedCalls) -> ollama.Client:
    return llmtower.wrap_ollama(ollama.Client(host=service.url))


def check(event: dict[str, Any], *, stream: bool) -> None:
    """Compare an event with what the server said; without an entry in the prices file a local model has no price."""
    assert (event["provider"], event["instrumentation"]) == ("ollama", "llmtower.ollama")
    assert (event["usage"], event["usage_source"], event["usage_convention"]) == (BUCKETS, "provider", "ollama")
    assert (event["response_model"], event["finish_reasons"]) == ("llama3.2", ["stop"])
    assert ("ttft_us" in event, event.get("stream", False)) == (stream, stream)
    assert our_cost(event) is None


def test_a_plain_call(client: ollama.Client, captured_calls: CapturedCalls) -> None:
    answer = client.chat("llama3.2", MESSAGES, options={"temperature": 0.5})

    assert type(answer) is ollama.ChatResponse
    (event,) = captured_calls
    check(event, stream=False)
    assert (event["input"], event["output"], event["parameters"]) == (MESSAGES, SAID, {"options": {"temperature": 0.5}})


def test_a_stream(client: ollama.Client, captured_calls: CapturedCalls) -> None:
    stream = client.chat("llama3.2", MESSAGES, stream=True)
    assert isinstance(stream, types.GeneratorType)
    assert "".join(part.message.content or "" for part in stream) == "Hello there"

    (event,) = captured_calls
    check(event, stream=True)
    assert event["output"] == SAID
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_completions(client: ollama.Client, captured_calls: CapturedCalls) -> None:
    client.generate("llama3.2", "hi", system="Be brief.")
    list(client.generate(model="llama3.2", prompt="hi", stream=True))

    whole, streamed = captured_calls
    for event in (whole, streamed):
        check(event, stream=event is streamed)
        assert (event["operation"], event["output"]) == ("text_completion", "Hello there")
    assert (whole["input"][0], streamed["input"]) == ({"role": "system", "content": "Be brief."}, "hi")


def test_embeddings(client: ollama.Client, captured_calls: CapturedCalls) -> None:
    client.embed("nomic", ["hi"])

    assert (captured_calls[0]["operation"], captured_calls[0]["usage"]) == ("embeddings", {"input_tokens": 8})
    assert "output" not in captured_calls[0]


def test_asynchronous_calls_and_streams(service: Service, captured_calls: CapturedCalls) -> None:
    async def main() -> None:
        client = llmtower.wrap_ollama(ollama.AsyncClient(host=service.url))
        await client.chat("llama3.2", MESSAGES)
        stream = await client.chat("llama3.2", MESSAGES, stream=True)
        assert isinstance(stream, types.AsyncGeneratorType)
        assert len([part async for part in stream]) == 3

    asyncio.run(main())
    whole, streamed = captured_calls
    check(whole, stream=False)
    check(streamed, stream=True)


@pytest.mark.parametrize(
    ("status", "error_class"), [(400, "invalid_request"), (404, "invalid_request"), (429, "rate_limit"), (500, "server")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_raised_as_before_and_classified(
    client: ollama.Client, captured_calls: CapturedCalls, status: int, error_class: str, stream: bool
) -> None:
    with pytest.raises(ollama.ResponseError):
        list(client.chat(f"error-{status}", MESSAGES, stream=stream))

    assert (captured_calls[0]["error_class"], captured_calls[0]["http_status"]) == (error_class, status)


def test_a_stream_that_breaks_keeps_what_came(client: ollama.Client, captured_calls: CapturedCalls) -> None:
    with pytest.raises(ollama.ResponseError, match="runner"):
        list(client.chat("failing", MESSAGES, stream=True))
    with pytest.raises(Exception, match="peer closed"):
        list(client.chat("cut", MESSAGES, stream=True))

    failed, cut = captured_calls
    assert [failed["status"], cut["error_class"]] == ["error", "network"]
    assert failed["output"] == cut["output"] == [{"role": "assistant", "content": "Hello"}]
    assert failed["usage_source"] == cut["usage_source"] == "estimated"


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_part_of_the_output(client: ollama.Client, captured_calls: CapturedCalls, stream: bool) -> None:
    list(client.chat("tool", MESSAGES, stream=stream))

    (call,) = captured_calls[0]["output"][0]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}


@pytest.mark.parametrize("way", ["close", "forget", "never started"])
def test_an_abandoned_stream_is_recorded(client: ollama.Client, captured_calls: CapturedCalls, way: str) -> None:
    stream: Any = client.chat("trickle", MESSAGES, stream=True)
    if way != "never started":
        next(stream)
    if way == "close":
        stream.close()
    del stream

    (event,) = captured_calls
    assert (event["error_class"], event["error_type"]) == ("cancelled", "StreamAbandoned")
    assert event.get("output") == (None if way == "never started" else [{"role": "assistant", "content": "Hello"}])


def test_cancelled_and_timed_out(service: Service, captured_calls: CapturedCalls) -> None:
    async def main() -> None:
        client = llmtower.wrap_ollama(ollama.AsyncClient(host=service.url))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.chat("slow", MESSAGES), 0.2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(await client.chat("trickle", MESSAGES, stream=True)), 0.1)

    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    asyncio.run(main())
    with pytest.raises(Exception, match="timed out"):
        llmtower.wrap_ollama(ollama.Client(host=service.url, timeout=0.1)).chat("slow", MESSAGES)
    with pytest.raises(ConnectionError):
        llmtower.wrap_ollama(ollama.Client(host="http://127.0.0.1:9")).chat("x", MESSAGES)
    assert [event["error_class"] for event in captured_calls] == ["cancelled", "cancelled", "timeout", "network"]


def test_a_price_from_the_prices_file(client: ollama.Client, captured_calls: CapturedCalls, tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("prices:\n  - {provider: ollama, model: llama3.2, price: {input_mtok: 1.0, output_mtok: 2.0}}\n", "utf-8")
    client.chat("llama3.2", MESSAGES)

    event = ResponseEvent.model_validate(captured_calls[0])
    assert load_price_book(file).price(event).total == 26 * 1_000 + 12 * 2_000


def test_wrapped_twice_counts_once_and_the_outermost_instrumentation_wins(client: ollama.Client, captured_calls: CapturedCalls) -> None:
    llmtower.wrap_ollama(client).chat("llama3.2", MESSAGES)
    with llmtower.call(provider="mine", model="outer"):
        list(client.chat("llama3.2", MESSAGES, stream=True))

    assert [event["provider"] for event in captured_calls] == ["ollama", "mine"]


def test_what_is_no_client_is_left_as_it_is(captured_calls: CapturedCalls, caplog: pytest.LogCaptureFixture) -> None:
    odd = object()
    assert llmtower.wrap_ollama(odd) is odd
    assert "is no Ollama client" in caplog.text


def test_without_configuration_the_client_works_as_ever(service: Service) -> None:
    client = llmtower.wrap_ollama(ollama.Client(host=service.url))
    assert client.chat("llama3.2", MESSAGES).message.content == "Hello there"
    assert len(list(client.chat("llama3.2", MESSAGES, stream=True))) == 3
