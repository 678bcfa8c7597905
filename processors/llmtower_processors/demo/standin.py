"""A local stand-in for an OpenAI-compatible provider: `python -m llmtower_processors.demo.standin --port 0`.

Its behaviour is a function of a seed, the number of the request and the phase of the script, which `PUT /control/phase` sets. It keeps its
own books (`GET /control/counts`): how many calls of each key reached it. Nothing of Llmtower runs in it.
"""

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .behaviour import Failure, Reply, embedding, pieces, respond
from .child import announce, listen, on_end_of_input
from .scenario import BY_NAME, EMBEDDING_MODEL, MODELS, NORMAL, Phase
from .texts import tokens

HANG_S = 30.0
"""A request that hangs is held this long, beyond any client's patience."""
KEEP_ALIVE_S = 75
"""Longer than clients keep an idle connection, or now and then one would write to a connection that is being closed."""
CHUNKS = 8
REQUESTS_PER_MINUTE = 5_000
TOKENS_PER_MINUTE = 2_000_000
FINGERPRINT = "fp_demo_51f0c2"


class StandIn:
    """The provider's state: phase, numbering and books."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._number = 0
        self._minute = -1
        self._used = (0, 0)
        self.phase: Phase = NORMAL
        self.calls: dict[str, set[str | int]] = {}
        self.requests: Counter[str] = Counter()

    def admit(self, request: Request, operation: str) -> tuple[int, random.Random, str]:
        """Number a request and count it for its key; the same numbers give the same answers again."""
        self._number += 1
        key = request.headers.get("authorization", "").removeprefix("Bearer ").removeprefix("demo-")
        self.requests[f"{key}/{operation}"] += 1
        self.calls.setdefault(f"{key}/{operation}", set()).add(request.headers.get("x-client-request-id") or self._number)
        return self._number, random.Random(f"{self._seed}/{self._number}"), key  # noqa: S311  (a script, no secret)

    def headers(self, number: int, used_tokens: int) -> dict[str, str]:
        """Give the headers of an answer: ids and what is left of this minute's limits."""
        minute = int(time.time() // 60)
        requests, spent = self._used if minute == self._minute else (0, 0)
        self._minute, self._used = minute, (requests + 1, spent + used_tokens)
        return {
            "x-request-id": f"req_demo_{number:08d}",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(REQUESTS_PER_MINUTE),
            "x-ratelimit-limit-tokens": str(TOKENS_PER_MINUTE),
            "x-ratelimit-remaining-requests": str(max(0, REQUESTS_PER_MINUTE - self._used[0])),
            "x-ratelimit-remaining-tokens": str(max(0, TOKENS_PER_MINUTE - self._used[1])),
            "x-ratelimit-reset-requests": "60s",
        }

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        number, chance, key = self.admit(request, "chat")
        body = await _body(request)
        refusal = _refuse(body)
        if refusal is not None:
            return self._error(refusal, number)
        outcome = respond(
            body["messages"],
            model=body["model"],
            app=key,
            phase=self.phase,
            chance=chance,
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        )
        if isinstance(outcome, Failure):
            return await self._fail(outcome, number, request)
        headers = self.headers(number, outcome.prompt_tokens + outcome.output_tokens)
        completion = _Completion(number, body, outcome)
        if body.get("stream"):
            return StreamingResponse(completion.stream(), media_type="text/event-stream", headers=headers)
        await asyncio.sleep(outcome.duration_s)
        return Response(orjson.dumps(completion.whole()), media_type="application/json", headers=headers)

    async def embeddings(self, request: Request) -> Response:
        """POST /v1/embeddings."""
        number, chance, _ = self.admit(request, "embeddings")
        body = await _body(request)
        if body is None or "input" not in body:
            return self._error(_invalid("you must provide an input"), number)
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        await asyncio.sleep(0.03 * chance.lognormvariate(0, 0.3))
        used = sum(tokens(str(text)) for text in inputs)
        data = [{"object": "embedding", "index": index, "embedding": embedding(str(text))} for index, text in enumerate(inputs)]
        answer = {"object": "list", "data": data, "model": body.get("model"), "usage": {"prompt_tokens": used, "total_tokens": used}}
        return Response(orjson.dumps(answer), media_type="application/json", headers=self.headers(number, used))

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        names = [*MODELS, EMBEDDING_MODEL]
        return JSONResponse(
            {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "demo"} for name in names]}
        )

    async def set_phase(self, request: Request) -> Response:
        """PUT /control/phase {"name": …}."""
        body = await _body(request)
        phase = BY_NAME.get(str((body or {}).get("name")))
        if phase is None:
            return JSONResponse({"error": f"no such phase; known are {', '.join(BY_NAME)}"}, status_code=404)
        self.phase = phase
        return JSONResponse({"phase": phase.name})

    async def counts(self, request: Request) -> Response:
        """GET /control/counts: calls (different `x-client-request-id`) and requests (retries too) by `key/operation`."""
        return JSONResponse({"calls": {key: len(ids) for key, ids in self.calls.items()}, "requests": dict(self.requests)})

    def _error(self, failure: Failure, number: int) -> Response:
        kind = {400: "invalid_request_error", 429: "requests", 404: "invalid_request_error"}.get(failure.status, "server_error")
        headers = self.headers(number, 0)
        if failure.status == 429:
            headers |= {"retry-after-ms": "200", "retry-after": "1", "x-ratelimit-remaining-requests": "0"}
        body = {"error": {"message": failure.message, "type": kind, "param": None, "code": failure.code}}
        return JSONResponse(body, status_code=failure.status, headers=headers)

    async def _fail(self, failure: Failure, number: int, request: Request) -> Response:
        if failure.kind == "hang":
            await _until_gone(request, HANG_S)
        else:
            await asyncio.sleep(0.02)
        return self._error(failure, number)


class _Completion:
    """One answer in OpenAI's words, whole or as a stream."""

    def __init__(self, number: int, body: dict[str, Any], reply: Reply) -> None:
        self._reply = reply
        self._with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._common = {
            "id": f"chatcmpl-demo{number:012d}",
            "created": int(time.time()),
            "model": MODELS[body["model"]].snapshot,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }

    def whole(self) -> dict[str, Any]:
        """Give the object `chat.completion`."""
        message: dict[str, Any] = {"role": "assistant", "content": self._reply.text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reply.finish_reason}
        return {**self._common, "object": "chat.completion", "choices": [choice], "usage": self._reply.usage()}

    async def stream(self) -> AsyncIterator[bytes]:
        """Give the events of a stream, at the pace of the reply."""
        parts = pieces(self._reply.text, CHUNKS)
        pause = (self._reply.duration_s - self._reply.first_token_s) / len(parts)
        await asyncio.sleep(self._reply.first_token_s)
        yield self._chunk({"role": "assistant", "content": parts[0], "refusal": None})
        for part in parts[1:]:
            await asyncio.sleep(pause)
            yield self._chunk({"content": part})
        await asyncio.sleep(pause)
        yield self._chunk({}, finish_reason=self._reply.finish_reason)
        if self._with_usage:
            yield _event({**self._common, "object": "chat.completion.chunk", "choices": [], "usage": self._reply.usage()})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._common, "object": "chat.completion.chunk", "choices": [choice]}
        return _event(chunk | {"usage": None} if self._with_usage else chunk)


def application(seed: int) -> Starlette:
    """Give the stand-in as an ASGI application."""
    state = StandIn(seed)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", state.chat, methods=["POST"]),
            Route("/v1/embeddings", state.embeddings, methods=["POST"]),
            Route("/v1/models", state.models, methods=["GET"]),
            Route("/control/phase", state.set_phase, methods=["PUT"]),
            Route("/control/counts", state.counts, methods=["GET"]),
        ]
    )


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


async def _body(request: Request) -> Any:
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return None


def _refuse(body: Any) -> Failure | None:
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        return _invalid("the body must be a JSON object with messages")
    if body.get("model") not in MODELS:
        return Failure("invalid", 404, "model_not_found", "The model does not exist or you do not have access to it.")
    return None


def _invalid(message: str) -> Failure:
    return Failure("invalid", 400, "invalid_request", message)


async def _until_gone(request: Request, seconds: float) -> None:
    """Wait until the client hangs up, at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await request.receive()


def main() -> None:
    """Serve until the parent ends or SIGTERM comes."""
    parser = argparse.ArgumentParser(description="OpenAI-compatible stand-in of `llmtower demo`")
    parser.add_argument("--port", type=int, default=0, help="port on the loopback interface; 0 = any free one")
    parser.add_argument("--bound", action="store_true", help="end when standard input closes")
    parser.add_argument("--seed", type=int, default=1, help="seed of every answer")
    arguments = parser.parse_args()
    server_socket = listen(arguments.port)
    server = uvicorn.Server(
        uvicorn.Config(
            application(arguments.seed), log_level="warning", access_log=False, timeout_graceful_shutdown=1, timeout_keep_alive=KEEP_ALIVE_S
        )
    )
    if arguments.bound:
        on_end_of_input(lambda: setattr(server, "should_exit", True))
    announce({"url": f"http://127.0.0.1:{server_socket.getsockname()[1]}"})
    server.run([server_socket])


if __name__ == "__main__":
    main()
