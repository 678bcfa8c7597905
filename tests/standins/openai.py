"""A small server that speaks the chat completions API: what it answers is scripted by the request's own `model`."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE: dict[str, Any] = {
    "prompt_tokens": 20,
    "completion_tokens": 12,
    "total_tokens": 32,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0},
}
TOOL: dict[str, Any] = {"id": "t1", "type": "function", "function": {"name": "search", "arguments": '{"q": "x"}'}}


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    daemon_threads = True
    requests: list[dict[str, Any]]
    failures: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        model = body["model"]
        if model.startswith("error-"):
            return self._json(int(model[6:]), {"error": {"message": "no: secret prompt", "type": "x", "code": None}})
        if model == "filtered":
            return self._json(400, {"error": {"message": "no", "type": "x", "code": "content_filter"}})
        if model == "flaky" and self.server.failures < 2:
            self.server.failures += 1
            return self._json(500, {"error": {"message": "again"}})
        if model == "slow":
            time.sleep(1.0)
        if body.get("stream"):
            return self._stream(body)
        message: dict[str, Any] = {"role": "assistant", "content": "hello world"}
        reason = "stop"
        if model == "json":
            message = {"role": "assistant", "content": '{"word": "Hello"}'}
        if model == "tools":
            message, reason = {"role": "assistant", "content": None, "tool_calls": [TOOL]}, "tool_calls"
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model if model == "gpt-4o" else f"{model}-2024",
            "service_tier": "default",
            "choices": [{"index": i, "message": message, "finish_reason": reason} for i in range(body.get("n") or 1)],
            "usage": USAGE,
        }
        return self._json(200, answer)

    def _json(self, status: int, answer: dict[str, Any]) -> None:
        raw = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.send_header("x-ratelimit-remaining-requests", "99")
        self.send_header("x-ratelimit-remaining-tokens", "1234")
        self.send_header("retry-after-ms", "1")
        with suppress(OSError):  # the client did not wait
            self.end_headers()
            self.wfile.write(raw)

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-ratelimit-remaining-requests", "98")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for chunk in _chunks(body):
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.wfile.flush()
                time.sleep(0.5 if body["model"] == "trickle" else 0)
                if body["model"] == "cut":
                    raise ConnectionError
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            return


def _chunks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    base = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": f"{body['model']}-2024"}

    def choice(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield choice({"role": "assistant", "content": ""})
    if body["model"] == "tools":
        yield choice({"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "search", "arguments": ""}}]})
        for part in ('{"q": ', '"x"}'):
            yield choice({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        yield choice({}, "tool_calls")
    else:
        for text in ("hello", " ", "world"):
            yield choice({"content": text})
        if body["model"] == "failing":
            yield {"error": {"message": "overloaded", "code": "server_error"}}
        yield choice({}, "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**base, "choices": [], "usage": USAGE}


@contextmanager
def openai_server() -> Iterator[tuple[Server, str]]:
    """Run the server; gives it and its base URL."""
    server = Server(("127.0.0.1", 0), _Handler)
    server.requests, server.failures = [], 0
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
