"""LiteLLM's real proxy behind the real `openai` client: what its logger leaves for Kafka, compared with what the provider said.

The proxy is started once, as docs/integrations/litellm.md says, and asked everything; then it is told to end (SIGTERM), and the tests read
what it has recorded: nobody answers at the address of Kafka, so that is on the disk.
"""

from pathlib import Path
from typing import Any

import openai
import pytest

from llmtower_schemas.events import RequestEvent, ResponseEvent
from tests.proxy.running import KEY, on_disk, proxy, recorded, until
from tests.standins import responses
from tests.standins.openai import TOOL, USAGE, openai_server
from tests.standins.oracle import our_cost, their_cost
from tests.standins.service import serving

BUCKETS = {"input_tokens": 12, "cache_read_tokens": 8, "output_tokens": 7, "reasoning_tokens": 5}
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
CHATS = ("gpt-4o", "tools", "error-429", "slow", "trickle")
LAST = "gpt-4o-mini"
Events = dict[str, list[dict[str, Any]]]


def ask_everything(url: str, folder: Path) -> None:
    """Ask as an application would; each question under a user of its own."""
    client = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
    create = client.chat.completions.create
    metadata = {"tags": ["checkout"], "session_id": "s-1"}
    create(model="our-gpt-4o", messages=MESSAGES, user="plain", temperature=0.5, extra_body={"metadata": metadata})
    create(model="our-gpt-4o", messages=MESSAGES)
    create(model="our-tools", messages=MESSAGES, user="tools")
    chunks = list(create(model="our-gpt-4o", messages=MESSAGES, user="stream", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello world"
    with pytest.raises(openai.RateLimitError):
        create(model="our-error-429", messages=MESSAGES, user="error")
    with pytest.raises(openai.BadRequestError):
        create(model="nobody-s", messages=MESSAGES, user="unknown")
    assert client.embeddings.create(model="our-embedding", input=["hi"], user="embedding").usage.prompt_tokens == 8
    with pytest.raises(openai.APITimeoutError):
        create(model="our-slow", messages=MESSAGES, user="slow", timeout=0.3)
    with create(model="our-trickle", messages=MESSAGES, user="left", stream=True) as stream:
        next(iter(stream))
    late = b'"user_id":"slow"', b"ClientDisconnected"  # the proxy tells its loggers later
    until(lambda: all(told in on_disk(folder) for told in late), 60)
    create(model="our-last", messages=MESSAGES, user="last")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Give the recorded responses by their user, and the requests."""
    folder = tmp_path_factory.mktemp("proxy")
    with openai_server() as (_, url), serving(responses.script) as others:
        models = {f"our-{name}": {"model": f"openai/{name}", "api_base": url, "api_key": "k"} for name in CHATS}
        models["our-last"] = {"model": f"openai/{LAST}", "api_base": url, "api_key": "k"}
        models["our-embedding"] = {"model": "openai/text-embedding-3-small", "api_base": others.url, "api_key": "k"}
        with proxy(folder, models) as address:
            ask_everything(address, folder)
    found: Events = {}
    for event in recorded(folder):
        if event["type"] in ("request", "response"):
            found.setdefault(event.get("user_id", "requests"), []).append(event)
    return found


def only(events: Events, user: str) -> dict[str, Any]:
    (event,) = events[user]
    assert event["instrumentation"] == "llmtower.litellm"
    return event


def test_a_call_is_recorded_with_what_the_provider_said(events: Events) -> None:
    event = only(events, "plain")
    assert (event["app"], event["provider"], event["request_model"]) == ("gateway", "openai", "gpt-4o")
    assert (event["response_id"], event["finish_reasons"]) == ("chatcmpl-1", ["stop"])
    assert (event["usage"], event["usage_source"], event["usage_convention"]) == (BUCKETS, "provider", "openai")
    assert (event["input"], event["output"][0]["content"]) == (MESSAGES, "hello world")
    assert event["parameters"] == {"temperature": 0.5}
    assert event["duration_us"] > 0
    assert "response_model" not in event, "the proxy has written its own name over it"
    assert our_cost(event) == their_cost({"model": "gpt-4o", "usage": USAGE}, "openai", "chat")


def test_users_sessions_tags_and_keys_of_the_request(events: Events) -> None:
    event = only(events, "plain")
    assert event["session_id"] == "s-1"
    assert event["tags"] == {"checkout": "true", "litellm_key": "shop", "litellm_team": "sales"}
    assert only(events, "owner")["usage"] == BUCKETS, "who names no user is known by the key's owner"


def test_a_stream_has_a_first_token_and_its_usage(events: Events) -> None:
    event = only(events, "stream")
    assert (event["stream"], event["usage"], event["usage_source"]) == (True, BUCKETS, "provider")
    assert 0 < event["ttft_us"] <= event["duration_us"]
    assert event["output"][0]["content"] == "hello world"


def test_tool_calls_are_part_of_the_output(events: Events) -> None:
    event = only(events, "tools")
    assert event["output"][0]["tool_calls"][0]["function"] == TOOL["function"]
    assert event["finish_reasons"] == ["tool_calls"]


def test_errors_are_classified(events: Events) -> None:
    event = only(events, "error")
    assert (event["status"], event["error_class"], event["http_status"]) == ("error", "rate_limit", 429)
    assert (event["provider"], event["request_model"]) == ("openai", "error-429")


def test_what_the_proxy_refuses_itself_counts_once(events: Events) -> None:
    event = only(events, "unknown")
    assert (event["status"], event["error_class"], event["http_status"]) == ("error", "invalid_request", 400)


def test_embeddings(events: Events) -> None:
    event = only(events, "embedding")
    assert (event["operation"], event["request_model"]) == ("embeddings", "text-embedding-3-small")
    assert event["usage"] == {"input_tokens": 8}
    answer = {"model": "text-embedding-3-small", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    assert our_cost(event) == their_cost(answer, "openai", "embeddings")


def test_a_stream_that_its_client_left_is_cancelled(events: Events) -> None:
    event = only(events, "left")
    assert (event["status"], event["error_class"], event["usage_source"]) == ("error", "cancelled", "estimated")
    assert "finish_reasons" not in event


def test_a_call_whose_client_did_not_wait_is_paid_for(events: Events) -> None:
    event = only(events, "slow")
    assert (event["usage"], event["usage_source"]) == (BUCKETS, "provider")
    assert "status" not in event


def test_the_last_call_before_the_end_is_there(events: Events) -> None:
    """Its request is: of its answer LiteLLM tells in a task of its own, which its end may overtake."""
    assert [event["request_model"] for event in events["requests"] if event["type"] == "request"].count(LAST) == 1


def test_each_answer_follows_its_request(events: Events) -> None:
    answered = {event["call_id"] for user, found in events.items() if user != "requests" for event in found}
    requested = {event["call_id"] for event in events["requests"]}
    assert answered == requested
    assert len(requested) == len(events["requests"])


def test_all_of_it_is_what_the_contract_says(events: Events) -> None:
    for user, found in events.items():
        for event in found:
            (RequestEvent if user == "requests" else ResponseEvent).model_validate(event)
