"""Silences over HTTP: what a script sends, what is written, and who is refused."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from llmtower_dashboards.web.guard import Guard
from llmtower_dashboards.web.keys import Keys
from llmtower_dashboards.web.silences_api import MAX_BODY, serve_silences
from llmtower_dashboards.web.silencing import MemorySilencer, NotSilencedError
from llmtower_schemas.silences import Silence

KEY = "key-to-read"
GROUP = {"project": "default", "app": "chat"}


class AwaySilencer(MemorySilencer):
    async def publish(self, silence: Silence) -> None:
        raise NotSilencedError("Nothing was silenced: Kafka at kafka:9092 did not take it (KafkaError). Is it running?")

    async def find(self, silence_id: str) -> Silence | None:
        raise NotSilencedError("Nothing was ended. Kafka at kafka:9092 does not give the topic (KafkaError). Is it running?")


def ask(silencer: MemorySilencer, method: str, path: str = "/api/silences", **more: Any) -> httpx.Response:
    app = FastAPI()
    serve_silences(app, silencer)
    headers = {"authorization": f"Bearer {KEY}", **more.pop("headers", {})}

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app=Guard(app, Keys(read=KEY)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8600", headers=headers) as client:
            return await client.request(method, path, **more)

    return asyncio.run(request())


def test_a_silence_is_made_and_ended() -> None:
    silencer = MemorySilencer()
    made = ask(silencer, "POST", json={"rule": "latency_*", "group": {"app": "chat"}, "seconds": 7_200, "comment": "load test"})
    assert made.status_code == 201, made.text
    (silence,) = silencer.written
    assert silence.model_dump(mode="json") == made.json()
    assert silence.covers("latency_p95", GROUP, time.time_ns() // 1_000)
    assert not silence.covers("latency_p95", GROUP | {"app": "search"}, time.time_ns() // 1_000)
    assert (silence.ends_at_us - silence.starts_at_us, silence.by, silence.comment) == (7_200_000_000, "api", "load test")
    ended = ask(silencer, "DELETE", f"/api/silences/{silence.silence_id}")
    assert ended.status_code == 200
    assert silencer.written[1:] == [silence.model_copy(update={"deleted": True})]


def test_ending_what_is_ended_is_answered_alike_and_written_once() -> None:
    silencer = MemorySilencer()
    path = f"/api/silences/{ask(silencer, 'POST', json={'rule': 'error_rate'}).json()['silence_id']}"
    first, again = ask(silencer, "DELETE", path), ask(silencer, "DELETE", path)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert len(silencer.written) == 2


@pytest.mark.parametrize("silence_id", ["api-5d0c2b", "a%20b", "x" * 200])
def test_an_id_that_no_silence_has_ends_nothing_and_says_so(silence_id: str) -> None:
    silencer = MemorySilencer()
    made = ask(silencer, "POST", json={"rule": "error_rate"}).json()
    answer = ask(silencer, "DELETE", f"/api/silences/{silence_id}")
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("No silence has that id, so nothing was ended")
    assert [one.silence_id for one in silencer.written] == [made["silence_id"]]


def test_an_acknowledgement_lasts_half_a_day() -> None:
    silencer = MemorySilencer()
    assert ask(silencer, "POST", json={"rule": "error_rate", "kind": "acknowledge", "by": "me"}).status_code == 201
    (silence,) = silencer.written
    assert (silence.kind, silence.by, silence.ends_at_us - silence.starts_at_us) == ("acknowledge", "me", 43_200_000_000)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "The body is no silence: Invalid JSON"),
        (b"{}", "rule: Field required"),
        (b'{"rule": "a", "seconds": 0}', "seconds: Input should be greater than 0"),
        (b'{"rule": "a", "kind": "mute"}', "kind: Input should be 'silence' or 'acknowledge'"),
        (b'{"rule": "a", "until": 1}', "until: Extra inputs are not permitted"),
        (b'{"rule": "a", "comment": "' + b"x" * MAX_BODY + b'"}', "The body is no silence: Invalid JSON"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_nothing_is_written(body: bytes, sentence: str) -> None:
    silencer = MemorySilencer()
    answer = ask(silencer, "POST", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)
    assert silencer.written == []


def test_no_form_of_another_site_and_nobody_without_a_key_silences_anything() -> None:
    silencer = MemorySilencer()
    body = {"rule": "*"}
    assert ask(silencer, "POST", data=body).status_code == 415
    assert ask(silencer, "POST", json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert ask(silencer, "POST", json=body, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert ask(silencer, "DELETE", "/api/silences/a", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert silencer.written == []


def test_a_kafka_that_is_away_is_said() -> None:
    made = ask(AwaySilencer(), "POST", json={"rule": "error_rate"})
    for answer in (made, ask(AwaySilencer(), "DELETE", "/api/silences/a")):
        assert answer.status_code == 503
        assert "Is it running?" in answer.json()["error"]
