"""The real `boto3` client, wrapped, against a local stand-in."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError

import llmtower
from llmtower.testing import CapturedCalls
from tests.standins import bedrock
from tests.standins.oracle import our_cost, their_cost
from tests.standins.service import Service, serving

MESSAGES = [{"role": "user", "content": [{"text": "hi"}]}]
BUCKETS = {"input_tokens": 30, "cache_read_tokens": 3_000, "cache_write_tokens": 2_000, "output_tokens": 628}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(bedrock.script) as running:
        yield running


Make = Callable[..., Any]


@pytest.fixture
def make(service: Service) -> Iterator[Make]:
    """Make wrapped clients."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        made.append(
            boto3.client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=service.url,
                aws_access_key_id="a",
                aws_secret_access_key="s",
                config=Config(**{"retries": {"max_attempts": 0}, **options}),
            )
        )
        return llmtower.wrap_bedrock(made[-1])

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make: Make, captured_calls: CapturedCalls) -> Any:
    return make()


def check(event: dict[str, Any], *, stream: bool, model: str = bedrock.MODEL) -> None:
    """Compare an event with what the provider said."""
    assert (event["provider"], event["instrumentation"]) == ("aws.bedrock", "llmtower.bedrock")
    assert (event["usage"], event["usage_source"], event["usage_convention"]) == (BUCKETS, "provider", "bedrock")
    assert (event["request_model"], event["response_id"], event["finish_reasons"]) == (model, "req-1", ["end_turn"])
    assert event["output"] == [{"role": "assistant", "content": bedrock.content(model)}]
    assert ("ttft_us" in event, event.get("stream", False)) == (stream, stream)
    assert (event["retries"], event["http_status"]) == (0, 200)
    if model == bedrock.MODEL:
        assert our_cost(event) == their_cost({**bedrock.answer(model), "model": model}, "aws")


def test_a_plain_call(client: Any, captured_calls: CapturedCalls) -> None:
    answer = client.converse(modelId=bedrock.MODEL, messages=MESSAGES, system=[{"text": "Be brief."}], inferenceConfig={"maxTokens": 9})

    assert answer["output"]["message"]["content"] == [{"text": "Hello there"}]
    (event,) = captured_calls
    check(event, stream=False)
    assert event["input"] == [{"role": "system", "content": [{"text": "Be brief."}]}, *MESSAGES]
    assert event["parameters"] == {"inferenceConfig": {"maxTokens": 9}}


def test_a_stream(client: Any, captured_calls: CapturedCalls) -> None:
    answer = client.converse_stream(modelId=bedrock.MODEL, messages=MESSAGES)
    assert type(answer["stream"]) is EventStream
    events = list(answer["stream"])

    assert [next(iter(event)) for event in events][-1] == "metadata"
    (event,) = captured_calls
    check(event, stream=True)
    assert 0 < event["ttft_us"] <= event["duration_us"]


def test_thinking_is_part_of_the_output(client: Any, captured_calls: CapturedCalls) -> None:
    client.converse(modelId="thinking", messages=MESSAGES)
    list(client.converse_stream(modelId="thinking", messages=MESSAGES)["stream"])

    whole, streamed = captured_calls
    check(whole, stream=False, model="thinking")
    check(streamed, stream=True, model="thinking")


@pytest.mark.parametrize(("status", "error_class"), [(400, "invalid_request"), (403, "auth"), (429, "rate_limit"), (500, "server")])
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_errors_are_raised_as_before_and_classified(
    client: Any, captured_calls: CapturedCalls, status: int, error_class: str, method: str
) -> None:
    with pytest.raises(ClientError):
        getattr(client, method)(modelId=f"error-{status}", messages=MESSAGES)

    (event,) = captured_calls
    assert (event["error_class"], event["http_status"], event["error_type"]) == (error_class, status, bedrock.ERRORS[status])
    assert event["retries"] == 0


def test_retries_are_counted(make: Make, captured_calls: CapturedCalls) -> None:
    with pytest.raises(ClientError):
        make(retries={"total_max_attempts": 2}).converse(modelId="error-500", messages=MESSAGES)

    assert captured_calls[0]["retries"] == 1


def test_a_stream_that_breaks_keeps_what_came(client: Any, captured_calls: CapturedCalls) -> None:
    with pytest.raises(EventStreamError):
        list(client.converse_stream(modelId="failing", messages=MESSAGES)["stream"])
    with pytest.raises(Exception, match=r"Connection broken|ended prematurely"):
        list(client.converse_stream(modelId="cut", messages=MESSAGES)["stream"])

    failed, cut = captured_calls
    assert [failed["error_class"], cut["error_class"]] == ["rate_limit", "network"]
    assert failed["output"] == cut["output"] == [{"role": "assistant", "content": [{"text": "Hello"}]}]
    assert failed["usage_source"] == cut["usage_source"] == "estimated"


def test_tool_calls_are_part_of_the_output(client: Any, captured_calls: CapturedCalls) -> None:
    client.converse(modelId="tool", messages=MESSAGES)
    list(client.converse_stream(modelId="tool", messages=MESSAGES)["stream"])

    whole, streamed = captured_calls
    assert whole["output"][0]["content"] == [{"text": "I look."}, bedrock.TOOL]
    assert streamed["output"][0]["content"][1]["toolUse"] == {**bedrock.TOOL["toolUse"], "input": '{"city": "Oslo"}'}
    assert whole["finish_reasons"] == streamed["finish_reasons"] == ["tool_use"]


@pytest.mark.parametrize("way", ["close", "forget", "never started"])
def test_an_abandoned_stream_is_recorded(client: Any, captured_calls: CapturedCalls, way: str) -> None:
    answer = client.converse_stream(modelId="trickle", messages=MESSAGES)
    if way != "never started":
        events = iter(answer["stream"])
        next(events)
        next(events)
        del events
    if way != "forget":
        answer["stream"].close()
    del answer
    gc.collect()  # the client's own stream holds itself

    (event,) = captured_calls
    assert (event["error_class"], event["error_type"]) == ("cancelled", "StreamAbandoned")
    assert event.get("output") == (None if way == "never started" else [{"role": "assistant", "content": [{"text": "Hello"}]}])


def test_a_timeout(make: Make, captured_calls: CapturedCalls) -> None:
    with pytest.raises(ReadTimeoutError):
        make(read_timeout=0.1).converse(modelId="slow", messages=MESSAGES)

    assert captured_calls[0]["error_class"] == "timeout"


def test_wrapped_twice_counts_once_and_the_outermost_instrumentation_wins(client: Any, captured_calls: CapturedCalls) -> None:
    llmtower.wrap_bedrock(client).converse(modelId=bedrock.MODEL, messages=MESSAGES)
    with llmtower.call(provider="mine", model="outer"):
        list(client.converse_stream(modelId=bedrock.MODEL, messages=MESSAGES)["stream"])

    assert [event["provider"] for event in captured_calls] == ["aws.bedrock", "mine"]


def test_what_is_no_client_is_left_as_it_is(captured_calls: CapturedCalls, caplog: pytest.LogCaptureFixture) -> None:
    odd = object()
    assert llmtower.wrap_bedrock(odd) is odd
    assert "is no bedrock-runtime client" in caplog.text


def test_without_configuration_the_client_works_as_ever(make: Make) -> None:
    client = make()
    assert client.converse(modelId=bedrock.MODEL, messages=MESSAGES)["stopReason"] == "end_turn"
    assert len(list(client.converse_stream(modelId=bedrock.MODEL, messages=MESSAGES)["stream"])) == 7
