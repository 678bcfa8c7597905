"""One wrapper of `openai` around a mocked call, as a program: `python -m tests.benchmarks.wrapped llmtower` (or bare, langfuse, …).

Runs in `.venv-wrappers`, where the others are. No network: the answers come from `httpx.MockTransport`, what is recorded goes nowhere.
Orders on standard input, one a line: `call COUNT` gives the nanoseconds of each call, `stream CHUNKS` those of each chunk, `held CHUNKS`
the bytes that are still held for each chunk while a stream runs.
"""

import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from importlib import import_module
from pydoc_data.topics import topics
from time import perf_counter_ns
from typing import Any

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

QUESTION, ANSWER = topics["assignment"][:600], topics["calls"][:600]
USAGE = {"prompt_tokens": 250, "completion_tokens": 80, "total_tokens": 330}
BASE = {"id": "chatcmpl-123", "created": 1_764_000_000, "model": "gpt-4o-2024-08-06"}
WHOLE = {
    **BASE,
    "object": "chat.completion",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
    "usage": USAGE,
}
ASKED = {
    "model": "gpt-4o",
    "messages": [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": QUESTION}],
    "temperature": 0.2,
    "max_tokens": 500,
}
TOKEN = " word"


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Throw spans away: only the caller's side is compared."""
        return SpanExportResult.SUCCESS


def _answer(request: httpx.Request) -> httpx.Response:
    asked = json.loads(request.content)
    if not asked.get("stream"):
        return httpx.Response(200, json=WHOLE)
    return httpx.Response(200, content=_events(asked["max_tokens"]), headers={"content-type": "text/event-stream"})


def _events(chunks: int) -> bytes:
    """Give a stream of as many chunks; the first says the role, the last the usage."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}] + [{"content": TOKEN}] * (chunks - 1)
    choices: list[Any] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    ends: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ]
    parts = [{"choices": choice} for choice in choices] + ends
    return b"".join(b"data: %b\n\n" % json.dumps({**BASE, "object": "chat.completion.chunk", **part}).encode() for part in parts) + (
        b"data: [DONE]\n\n"
    )


def _plain(module: str = "openai") -> Any:
    transport = httpx.MockTransport(_answer)
    return import_module(module).OpenAI(api_key="none", max_retries=0, http_client=httpx.Client(transport=transport))


def _llmtower() -> Any:
    import llmtower
    from llmtower.transport import MemoryTransport

    class Mute(MemoryTransport):
        async def send(self, envelope: Any) -> None:
            """Acknowledge and forget."""

    llmtower.configure(app="bench", transport=Mute())
    return llmtower.wrap_openai(_plain())


def _langfuse() -> Any:
    import_module("langfuse").Langfuse(public_key="pk-none", secret_key="none", host="http://127.0.0.1:9", span_exporter=_Nowhere())
    return _plain("langfuse.openai")


def _openllmetry() -> Any:
    _provide()
    import_module("opentelemetry.instrumentation.openai").OpenAIInstrumentor().instrument()
    return _plain()


def _openlit() -> Any:
    _provide()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as prices:  # else it fetches them from the network
        prices.write("{}")
        prices.flush()
        import_module("openlit").init(pricing_json=prices.name, disable_metrics=True, disable_events=True)
    return _plain()


def _provide() -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    trace.set_tracer_provider(provider)


SUBJECTS: dict[str, Callable[[], Any]] = {
    "bare": _plain,
    "llmtower": _llmtower,
    "langfuse": _langfuse,
    "openllmetry": _openllmetry,
    "openlit": _openlit,
}


def call(client: Any) -> int:
    """Time a call."""
    start = perf_counter_ns()
    client.chat.completions.create(**ASKED)
    return perf_counter_ns() - start


def stream(client: Any, chunks: int) -> list[int]:
    """Time each chunk of a stream but its first and its last ones."""
    answer = iter(client.chat.completions.create(**{**ASKED, "max_tokens": chunks}, stream=True, stream_options={"include_usage": True}))
    taken = []
    next(answer)
    for _ in range(chunks - 1):
        start = perf_counter_ns()
        next(answer)
        taken.append(perf_counter_ns() - start)
    for _ in answer:
        pass
    return taken


def held(client: Any, chunks: int) -> float:
    """Give the bytes still held for each chunk, near the end of a stream."""
    answer = iter(client.chat.completions.create(**{**ASKED, "max_tokens": chunks}, stream=True, stream_options={"include_usage": True}))
    for _ in range(100):
        next(answer)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(chunks - 200):
        next(answer)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / (chunks - 200)


def main() -> None:
    """Carry out the orders."""
    client = SUBJECTS[sys.argv[1]]()
    sink, sys.stdout = sys.stdout, sys.stderr  # whatever a peer prints
    for order in sys.stdin:
        kind, *numbers = order.split()
        sizes = [int(number) for number in numbers]
        if kind == "call":
            found: list[Any] = [call(client) for _ in range(sizes[0])]
        elif kind == "stream":
            found = stream(client, sizes[0])
        else:
            found = [held(client, sizes[0])]
        print(*found, file=sink, flush=True)


if __name__ == "__main__":
    main()
