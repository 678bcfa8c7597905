"""The ASGI middleware under real FastAPI, and under the bare protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider

import llmtower
from llmtower.integrations.asgi import LLMTowerMiddleware
from llmtower.testing import CapturedCalls
from tests.clients.test_pages import blocks

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def application(**options: Any) -> TestClient:
    app = FastAPI()

    @app.get("/items/{item}")
    def sync(item: str) -> dict[str, str]:
        with llmtower.call(model=item):
            return {"traceparent": llmtower.traceparent()}

    @app.get("/streams/{item}")
    async def streamed(item: str) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            with llmtower.call(model=item):
                yield b"second"

        return StreamingResponse(body())

    app.add_middleware(LLMTowerMiddleware, **options)
    return TestClient(app)


def test_the_code_of_the_page_runs_and_is_recorded(captured_calls: CapturedCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llmtower, "configure", lambda **given: None)
    first, second = blocks("asgi.md")
    names: dict[str, Any] = {}
    exec(compile(first, "asgi.md", "exec"), names)
    TestClient(names["app"]).get("/answers/7", headers={"x-user-id": "u"})

    assert (captured_calls[0]["route"], captured_calls[0]["user_id"]) == ("/answers/{question}", "u")
    exec(compile(second, "asgi.md", "exec"), names)
    assert TestClient(names["app"]).get("/nothing").status_code == 404


def test_a_request_surrounds_its_calls(captured_calls: CapturedCalls) -> None:
    headers = {"X-User-Id": "u", "x-session-id": "s", "x-request-id": "r", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    answer = application().get("/items/7", headers=headers)

    (event,) = captured_calls
    assert {name: event[name] for name in ("user_id", "session_id", "request_id", "route", "trace_id", "span_id")} == {
        "user_id": "u",
        "session_id": "s",
        "request_id": "r",
        "route": "/items/{item}",
        "trace_id": TRACE,
        "span_id": SPAN,
    }
    assert answer.json()["traceparent"].split("-")[1] == TRACE


def test_without_headers_each_request_is_a_trace_of_its_own(captured_calls: CapturedCalls) -> None:
    client = application()
    client.get("/items/7")
    client.get("/items/8")

    first, second = captured_calls
    assert first["trace_id"] != second["trace_id"]
    assert "user_id" not in first


def test_a_callable_and_other_headers(captured_calls: CapturedCalls) -> None:
    def identify(scope: Any) -> Mapping[str, Any]:
        return {"user_id": "from the session", "tags": {"tier": "gold"}, "route": "mine", "unknown": 1}

    client = application(headers={"user_id": "X-Account", "session_id": "X-Account"}, identify=identify)
    client.get("/items/7", headers={"x-account": "a", "x-user-id": "u"})

    (event,) = captured_calls
    assert (event["user_id"], event["session_id"], event["tags"], event["route"]) == ("from the session", "a", {"tier": "gold"}, "mine")


def test_the_body_of_a_streamed_response_is_within_the_request(captured_calls: CapturedCalls) -> None:
    assert application().get("/streams/7", headers={"x-user-id": "u"}).content == b"firstsecond"

    assert (captured_calls[0]["user_id"], captured_calls[0]["route"]) == ("u", "/streams/{item}")


def test_answers_of_a_request_carry_what_was_retrieved_in_it(captured_calls: CapturedCalls) -> None:
    app = FastAPI()
    app.add_middleware(LLMTowerMiddleware)

    @app.get("/{found}")
    def answer(found: str) -> None:
        if found != "nothing":
            with llmtower.step("search", kind="retrieval") as search:
                search.finish(retrieved=[{"id": found}])
        with llmtower.call(model=found):
            pass

    client = TestClient(app)
    for found in ("a", "nothing", "b"):
        client.get(f"/{found}")
    assert [event.get("retrieved") for event in captured_calls] == [[{"id": "a"}], None, [{"id": "b"}]]


def test_a_span_of_opentelemetry_around_is_the_trace(captured_calls: CapturedCalls) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with llmtower.call(model="m"):
            await send({"type": "http.response.start", "status": 200})

    async def main() -> None:
        with TracerProvider().get_tracer("t").start_as_current_span("request") as span:
            await LLMTowerMiddleware(app)({"type": "http", "headers": [(b"traceparent", b"x")]}, _receive, _drop)
        assert captured_calls[0]["trace_id"] == f"{span.get_span_context().trace_id:032x}"
        assert captured_calls[0]["span_id"] == f"{span.get_span_context().span_id:016x}"

    asyncio.run(main())


async def _receive() -> dict[str, Any]:
    return {"type": "http.request"}


async def _drop(message: Any) -> None:
    pass


def test_messages_pass_at_once_and_untouched(captured_calls: CapturedCalls) -> None:
    sent: list[Any] = []
    may_go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await may_go_on.wait()
        await send({"type": "http.response.body", "body": b"last"})

    async def send(message: Any) -> None:
        sent.append(message)
        may_go_on.set()

    asyncio.run(LLMTowerMiddleware(app)({"type": "http", "headers": []}, _receive, send))
    assert [message["body"] for message in sent] == [b"first", b"last"]


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_kinds_are_handed_on(captured_calls: CapturedCalls, kind: str) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(LLMTowerMiddleware(app)({"type": kind, "headers": [(b"x-user-id", b"u")]}, _receive, _drop))
    assert seen == [kind]


def test_errors_of_the_application_go_through(captured_calls: CapturedCalls) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        asyncio.run(LLMTowerMiddleware(app)({"type": "http", "headers": []}, _receive, _drop))


def test_a_callable_that_fails_costs_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def identify(scope: Any) -> Mapping[str, Any]:
        raise LookupError("mine")

    monkeypatch.delenv("PYTEST_VERSION")
    with llmtower.testing.capture() as captured:
        assert application(identify=identify).get("/items/7", headers={"x-user-id": "u"}).status_code == 200
        assert captured[0]["user_id"] == "u"
