"""The load every benchmark uses: envelopes as a producer sends them, deterministic, prose without repeated documents.

One *call* is what the README's numbers count: a `response` event of about 1.6 kB with its contents, and its small `request` event.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from llmtower_schemas.codec import EnvelopeHeaders, encode
from tests.benchmarks.prose import documents

MODELS = (
    ("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"),
    ("openai", "o4-mini", "o4-mini-2025-04-16"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ("google", "gemini-2.5-flash", "gemini-2.5-flash"),
    ("mistral", "mistral-small-latest", "mistral-small-latest"),
)
APPS = ("support-chat", "search-answers", "code-review", "summarizer", "sales-mail", "translator", "onboarding", "agents")
SYSTEM = 160
QUESTION = 300
ANSWER = 260
"""Characters of the three texts of a call, on average: with its fields a response comes to about 1.6 kB of JSON."""

Envelope = tuple[list[tuple[str, bytes]], bytes]
"""Record headers and value."""


@dataclass(frozen=True, slots=True)
class Call:
    """The two lines that one call puts on the wire."""

    app: str
    request: bytes
    response: bytes


def calls(count: int, *, seed: int, start_ns: int, spacing_ns: int = 1_000_000) -> Iterator[Call]:
    """Give `count` calls that start `spacing_ns` apart from `start_ns`."""
    rng = np.random.default_rng(seed)
    questions = documents(count, size=QUESTION, seed=seed)
    answers = documents(count, size=ANSWER, seed=seed + 1)
    systems = documents(64, size=SYSTEM, seed=7)
    numbers = rng.integers(0, 1 << 62, (count, 6)).tolist()
    sizes = rng.gamma(2.0, 300.0, (count, 4)).astype(np.int64).tolist()
    for index in range(count):
        yield _call(
            index,
            start_ns + index * spacing_ns,
            numbers[index],
            sizes[index],
            (systems[numbers[index][0] % 64], questions[index], answers[index]),
        )


def envelopes(count: int, *, seed: int, start_ns: int, lines: int = 100, producer: str | None = None) -> Iterator[Envelope]:
    """Give the same calls as records of `lines` events each (1 = every event in a record of its own)."""
    run = producer or f"load-{seed}"
    pending: list[bytes] = []
    seq, app = 0, APPS[0]
    for call in calls(count, seed=seed, start_ns=start_ns):
        app = call.app
        for line in (call.request, call.response):
            pending.append(line)
            if len(pending) == lines:
                yield EnvelopeHeaders(run, seq, lines, "bench", app).encode(), encode(pending)
                seq += lines
                pending = []
    if pending:
        yield EnvelopeHeaders(run, seq, len(pending), "bench", app).encode(), encode(pending)


def _call(index: int, started_ns: int, number: list[int], size: list[int], texts: tuple[str, str, str]) -> Call:
    app = APPS[number[0] % len(APPS)]
    provider, model, snapshot = MODELS[(number[0] % len(APPS) + number[1] % 3) % len(MODELS)]
    streamed = number[2] % 5 < 3
    failed = number[2] % 25 == 0
    prompt, cached, visible, reasoning = size[0] + 50, size[1] // 2, size[2], size[3] if model == "o4-mini" else 0
    common = {
        "project": "bench",
        "app": app,
        "environment": "production",
        "release": "2026.11.3",
        "user_id": f"user-{number[3] % 5_000}",
        "session_id": f"session-{number[3] % 20_000:08x}",
        "request_id": f"req_{number[4]:016x}",
        "route": f"/v1/{app}/answer",
        "trace_id": f"{number[4]:016x}{number[5]:016x}",
        "span_id": f"{number[5]:016x}",
        "prompt_name": f"{app}-system",
        "prompt_version": str(number[0] % 2 + 3),
        "instrumentation": "llmtower.openai/0.1.0",
        "call_id": _uuid7(started_ns // 1_000_000, number[5] ^ index),
        "operation": "chat",
        "provider": provider,
        "request_model": model,
        "started_at_ns": started_ns,
        "stream": streamed,
    }
    response = common | {
        "response_model": snapshot,
        "response_id": f"chatcmpl-{number[1]:016x}",
        "duration_us": 400_000 + visible * 9_000,
        "finish_reasons": ["stop"],
        "usage": {"input_tokens": prompt, "cache_read_tokens": cached, "output_tokens": visible, "reasoning_tokens": reasoning},
        "usage_source": "provider",
        "usage_convention": "openai",
        "usage_raw": {
            "prompt_tokens": prompt + cached,
            "completion_tokens": visible + reasoning,
            "prompt_tokens_details": {"cached_tokens": cached},
        },
        "parameters": {"temperature": 0.2, "max_tokens": 1_024},
        "tags": {"tenant": f"t{number[3] % 40}"},
        "input": [{"role": "system", "content": texts[0]}, {"role": "user", "content": texts[1]}],
        "output": [{"role": "assistant", "content": texts[2]}],
    }
    if streamed:
        response["ttft_us"] = 180_000 + prompt * 90
    if failed:
        response |= {
            "status": "error",
            "error_class": "rate_limit",
            "error_type": "RateLimitError",
            "http_status": 429,
            "usage_source": "missing",
        }
        for name in ("usage", "usage_raw", "output", "finish_reasons", "response_id", "response_model"):
            del response[name]
    return Call(app, orjson.dumps({"type": "request", **common, "timeout_ms": 60_000}), orjson.dumps({"type": "response", **response}))


def _uuid7(ms: int, random: int) -> str:
    value = (ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (random >> 50 & 0xFFF) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
