"""An app of the demo, against the real stand-in: what its users get, and what the SDK records of it (captured in memory)."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from llmtower.testing import CapturedCalls, capture
from llmtower_processors.demo.app import Desk, create_app
from llmtower_processors.demo.scenario import APPS, UPGRADE_TO


def _question(number: int, *, stream: bool) -> dict[str, Any]:
    text = "Where is my desk lamp? Order 12345 was due 3 days ago."
    return {"text": text, "user_id": "u", "session_id": "s", "request_id": f"r{number}", "stream": stream}


async def _ask(desk: Desk, questions: list[dict[str, Any]], *, upgraded: bool = False) -> list[httpx.Response]:
    transport = httpx.ASGITransport(create_app(desk))
    async with httpx.AsyncClient(transport=transport, base_url="http://app", timeout=40) as client:
        if upgraded:
            assert (await client.put("/deployment", json={"upgraded": True})).status_code == 200
        answers = await asyncio.gather(*[client.post(desk.profile.route, json=question) for question in questions])
        for answer in answers:
            if answer.status_code == 200:
                opinion = {"response_id": answer.json()["response_id"], "user_id": "u", "score": 1}
                assert (await client.post("/feedback", json=opinion)).status_code == 200
    return list(answers)


def _run(name: str, provider: str, *, upgraded: bool = False) -> tuple[Desk, list[httpx.Response], list[dict[str, Any]]]:
    with capture(app=name) as captured:
        desk = Desk(APPS[name], base_url=provider, seed=1)
        questions = [_question(number, stream=number % 2 == 0) for number in range(6)]
        answers = asyncio.run(_ask(desk, questions, upgraded=upgraded))
        return desk, answers, _events(captured)


def _events(captured: CapturedCalls) -> list[dict[str, Any]]:
    return captured.events()


@pytest.mark.parametrize("name", list(APPS))
def test_the_sdk_records_exactly_what_the_app_counts(name: str, provider: str) -> None:
    desk, answers, events = _run(name, provider)
    assert len(events) == 2 * desk.calls + desk.others
    assert sum(answer.status_code == 200 for answer in answers) >= 4
    calls = [event for event in events if event["type"] == "response"]
    assert {event["app"] for event in calls} == {name}
    assert {event["route"] for event in calls} == {APPS[name].route}
    assert {event["prompt_version"] for event in calls} == {APPS[name].prompt_version}
    chats = [event for event in calls if event.get("operation", "chat") == "chat" and event.get("status", "ok") == "ok"]
    assert {bool(event.get("ttft_us")) for event in chats} == {True, False}
    assert all(event["usage_source"] == "provider" and event["usage"]["output_tokens"] > 0 for event in chats)


def test_an_app_that_retrieves_records_steps_and_embeddings(provider: str) -> None:
    desk, _, events = _run("search-assistant", provider)
    steps = [event for event in events if event["type"] == "step"]
    assert Counter(event["kind"] for event in steps) == {"retrieval": 6, "workflow": 6}
    chats = [event for event in events if event["type"] == "response" and event.get("operation", "chat") == "chat"]
    assert {len(event["retrieved"]) for event in chats} == {3}
    operations = Counter(event.get("operation", "chat") for event in events if event["type"] == "response")
    assert operations == {"chat": 6, "embeddings": 6}
    assert desk.calls == 12


def test_a_deployment_changes_prompt_and_model_and_is_recorded(provider: str) -> None:
    _, _, events = _run("support-bot", provider, upgraded=True)
    assert [event["version"] for event in events if event["type"] == "deploy"] == ["2.4.0"]
    calls = [event for event in events if event["type"] == "response"]
    assert {event["request_model"] for event in calls} == {UPGRADE_TO}
    assert {event["prompt_version"] for event in calls} == {"8"}


def test_a_provider_that_is_away_is_an_answer_502_and_an_unanswered_call() -> None:
    desk, answers, events = _run("code-helper", "http://127.0.0.1:9")
    assert {answer.status_code for answer in answers} == {502}
    assert desk.unanswered == desk.calls == 6
    assert {event["error_class"] for event in events if event["type"] == "response"} == {"network"}
