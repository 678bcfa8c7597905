"""The stand-in speaks OpenAI's wire format: read here by the real `openai` client over a socket."""

from collections.abc import Iterator

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

from llmtower_processors.demo.scenario import BY_NAME


@pytest.fixture
def url(provider: str) -> str:
    """Where the stand-in listens."""
    return provider


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    """A client without retries, whose key names an app."""
    with OpenAI(base_url=f"{url}/v1", api_key="demo-support-bot", max_retries=0, timeout=10) as client:
        yield client


def _set_phase(url: str, name: str) -> None:
    assert httpx.put(f"{url}/control/phase", json={"name": name}).status_code == 200


def _complete(client: OpenAI, model: str = "gpt-4o-mini", question: str = "Where is my desk lamp? Order 12345 is late.") -> ChatCompletion:
    """Ask until the ordinary share of failures lets an answer through."""
    for _ in range(10):
        try:
            return client.chat.completions.create(
                model=model, messages=[{"role": "system", "content": "Be brief. " * 40}, {"role": "user", "content": question}]
            )
        except openai.APIStatusError:
            continue
    raise AssertionError("ten failures in a row on an ordinary day")


def test_a_completion_carries_snapshot_usage_and_limits(client: OpenAI) -> None:
    answer = _complete(client, "gpt-4o")
    assert answer.model == "gpt-4o-2024-08-06"
    assert answer.system_fingerprint
    assert answer.choices[0].finish_reason == "stop"
    assert "lamp" in (answer.choices[0].message.content or "") or "delivery" in (answer.choices[0].message.content or "").lower()
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 <= (usage.prompt_tokens_details.cached_tokens or 0) <= usage.prompt_tokens


def test_a_reasoning_model_reports_hidden_tokens_inside_its_output(client: OpenAI) -> None:
    usage = _complete(client, "o4-mini").usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert 0 < (usage.completion_tokens_details.reasoning_tokens or 0) < usage.completion_tokens


def test_a_stream_ends_with_usage_when_it_is_asked_for(client: OpenAI) -> None:
    for _ in range(10):
        try:
            stream = client.chat.completions.create(
                model="gpt-4.1-mini",
                messages=[{"role": "user", "content": "What should I see in Ghent in 3 days?"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = list(stream)
            break
        except openai.APIStatusError:
            continue
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Ghent" in text
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_headers_tell_what_is_left_of_the_limits(client: OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=["one", "two"], encoding_format="float")
    assert int(raw.headers["x-ratelimit-remaining-requests"]) < int(raw.headers["x-ratelimit-limit-requests"])
    assert raw.headers["x-request-id"].startswith("req_")
    vectors = [item.embedding for item in raw.parse().data]
    assert len(vectors) == 2
    assert vectors[0] != vectors[1]
    assert sum(value * value for value in vectors[0]) == pytest.approx(1, abs=1e-4)


def test_an_error_burst_raises_the_clients_own_errors(client: OpenAI, url: str) -> None:
    _set_phase(url, "error burst")
    seen: set[type[Exception]] = set()
    try:
        for _ in range(60):
            try:
                client.with_options(timeout=0.25).chat.completions.create(
                    model="house-llama-8b", messages=[{"role": "user", "content": "Notes"}], max_tokens=1
                )
            except openai.OpenAIError as error:
                seen.add(type(error))
    finally:
        _set_phase(url, "normal")
    assert {openai.RateLimitError, openai.InternalServerError, openai.APITimeoutError} <= seen


def test_unknown_models_and_broken_bodies_are_refused(client: OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-nine", messages=[{"role": "user", "content": "Hello"}])
    for body in (b"{", b"[]", b"{}", b'{"messages": []}'):
        assert httpx.post(f"{url}/v1/chat/completions", content=body).status_code == 400
    assert httpx.put(f"{url}/control/phase", json={"name": "no such"}).status_code == 404


def test_an_answer_is_cut_at_the_callers_limit(client: OpenAI) -> None:
    for _ in range(10):
        try:
            answer = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Where is my oak shelf?"}], max_completion_tokens=5
            )
            break
        except openai.APIStatusError:
            continue
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 5


def test_its_books_count_a_call_once_however_often_it_is_retried(url: str) -> None:
    headers = {"authorization": "Bearer demo-book-test", "x-client-request-id": "one"}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=40)
    httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=40)
    httpx.post(f"{url}/v1/chat/completions", json=body, headers={**headers, "x-client-request-id": "two"}, timeout=40)
    counts = httpx.get(f"{url}/control/counts").json()
    assert counts["calls"]["book-test/chat"] == 2
    assert counts["requests"]["book-test/chat"] == 3


def test_every_phase_can_be_set(url: str) -> None:
    for name in BY_NAME:
        _set_phase(url, name)
    _set_phase(url, "normal")
    assert len(OpenAI(base_url=f"{url}/v1", api_key="x").models.list().data) == 7
