"""The endpoint through the real `openai` client, wrapped by our own SDK, against a stand-in on the wire."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

import llmtower
from llmtower.testing import capture
from llmtower_processors.judge.answer import read_score
from llmtower_processors.judge.endpoint import OpenAIEndpoint
from llmtower_processors.judge.model import APP, Reply
from llmtower_processors.judge.question import Said, messages, response_format
from llmtower_processors.pricing import PriceBook
from tests.judge.world import HELPFULNESS
from tests.standins.service import Asked, Cut, json_reply, serving
from tests.standins.service import Reply as Served

ASKED = messages(HELPFULNESS, Said("Where is my lamp?", "It left today."), 12_000)
FORM = response_format(HELPFULNESS)
USAGE = {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420}
MOST = 150 * sum(len(message["content"].encode()) for message in ASKED) + 300 * 600
"""gpt-4o-mini: $0.15 and $0.60 per million tokens are 150 and 600 nano-USD a token."""
PAID = 400 * 150 + 20 * 600


def completion(content: str | None, *, reason: str = "stop", **more: Any) -> Served:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": [choice], "usage": USAGE}
    return json_reply({name: value for name, value in (body | more).items() if value != "left out"})


@contextmanager
def endpoint(script: Callable[[Asked], Served], *, timeout_s: float = 10.0) -> Iterator[tuple[OpenAIEndpoint, list[Asked]]]:
    with serving(script) as service:
        client = openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", timeout=timeout_s, max_retries=0)
        wrapped = llmtower.wrap_openai(client)
        yield OpenAIEndpoint(wrapped, model="gpt-4o-mini", provider="openai", prices=PriceBook(), most_output_tokens=300), service.asked


def ask(found: OpenAIEndpoint) -> Reply:
    async def once() -> Reply:
        try:
            return await found.ask(ASKED, FORM)
        finally:
            await found._client.close()

    return asyncio.run(once())


def test_an_answer_is_read_priced_and_recorded_as_a_call_of_the_judge_without_its_texts() -> None:
    with capture(app=APP, capture="off") as captured, endpoint(lambda _: completion('{"reason": "r", "score": 1}')) as (found, asked):
        reply = ask(found)
    assert (read_score(reply.text, HELPFULNESS), reply.reason, reply.cost) == (1.0, "", PAID)
    (request,) = asked
    assert request.body["response_format"] == FORM
    assert request.body["max_completion_tokens"] == 300
    (call,) = [event for event in captured.events() if event["type"] == "response"]
    assert (call["app"], call["usage"]) == (APP, {"input_tokens": 400, "output_tokens": 20})
    assert "lamp" not in json.dumps(captured.events())


def test_an_endpoint_that_refuses_schemas_is_asked_more_simply_from_then_on() -> None:
    def script(asked: Asked) -> Served:
        if "response_format" in asked.body:
            return json_reply({"error": {"message": "response_format is not supported", "code": None}}, 400)
        return completion('{"score": 0.5}')

    with endpoint(script) as (found, asked):
        assert ask(found).text == '{"score": 0.5}'
        forms = [one.body.get("response_format", {}).get("type") for one in asked]
        assert forms == ["json_schema", "json_object", None]
        assert "max_tokens" in asked[-1].body
        assert found._form == 2


FAULTS: dict[str, tuple[Callable[[Asked], Served], Reply]] = {
    "429": (lambda _: json_reply({"error": {"message": "slow down"}}, 429), Reply(reason="rate_limit")),
    "401": (lambda _: json_reply({"error": {"message": "who?"}}, 401), Reply(reason="auth")),
    "403": (lambda _: json_reply({"error": {"message": "no"}}, 403), Reply(reason="auth")),
    "404": (lambda _: json_reply({"error": {"message": "no such model"}}, 404), Reply(reason="invalid_request")),
    "500": (lambda _: json_reply({"error": {"message": "oops"}}, 500), Reply(reason="server")),
    "filtered": (
        lambda _: json_reply({"error": {"message": "no", "code": "content_filter"}}, 400),
        Reply(reason="content_filter"),
    ),
    "filtered answer": (lambda _: completion(None, reason="content_filter"), Reply("", "content_filter", PAID)),
    "no text": (lambda _: completion(None), Reply("", "", PAID)),
    "no choices": (lambda _: completion(None, choices=[]), Reply("", "", PAID)),
    "choices null": (lambda _: completion(None, choices=None), Reply("", "", PAID)),
    "no usage": (lambda _: completion("1", usage="left out"), Reply("1", "", MOST)),
    "usage nonsense": (
        lambda _: completion("1", usage={"prompt_tokens": -5, "completion_tokens": 1, "total_tokens": 1}),
        Reply("1", "", MOST),
    ),
    "no JSON": (lambda _: Served(b"<html>busy</html>"), Reply(reason="server")),
    "a page": (lambda _: Served(b"<html>busy</html>", content_type="text/html"), Reply("", "", MOST)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_goes_wrong_is_a_value_and_what_may_be_billed_is_counted(name: str) -> None:
    script, expected = FAULTS[name]
    with endpoint(script) as (found, _):
        assert ask(found) == expected


def test_an_endpoint_that_is_late_or_gone_counts_in_full() -> None:
    def late(_: Asked) -> Served:
        time.sleep(0.5)
        return completion("1")

    def gone(_: Asked) -> Served:
        def cut() -> Iterator[bytes]:
            yield b"{"
            raise Cut

        return Served(cut())

    with endpoint(late, timeout_s=0.1) as (found, _):
        assert ask(found) == Reply(reason="timeout", cost=MOST)
    with endpoint(gone) as (found, _):
        assert ask(found) == Reply(reason="network", cost=MOST)


def test_a_model_without_a_price_has_no_most() -> None:
    client = openai.AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="none")
    found = OpenAIEndpoint(client, model="my-own-model", provider="openai", prices=PriceBook(), most_output_tokens=300)
    assert found.most(1_000) is None
