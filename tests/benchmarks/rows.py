"""Rows as the worker inserts them for 1.6 kB response events and their small requests: columns for `calls`, `contents` and `requests`.

The traffic: eight apps of which each uses one to three of seven models and up to three prompts in two versions, 4 % errors, 60 %
streamed, users who belong to one app each and whose activity is heavy-tailed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from tests.benchmarks.prose import documents

Columns = dict[str, list[Any]]

_MODELS = (
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4o"),
    ("openai", "o4-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("google", "gemini-2.5-flash"),
    ("mistral", "mistral-small-latest"),
)
_APPS = ("support-chat", "search-answers", "code-review", "summarizer", "sales-mail", "translator", "onboarding", "agents")
_ERRORS = ("rate_limit", "timeout", "server", "content_filter")
_INCARNATION = "5L6g3nShT-eMCtK--X86sw.k2v8vQ0dQ4iSx8Wc1x0q2A"


@dataclass(frozen=True, slots=True)
class Range:
    """What one insert cycle stores, and how many bytes of JSON it came from."""

    calls: Columns
    contents: Columns
    requests: Columns
    json_bytes: int

    def tables(self) -> dict[str, Columns]:
        """Give the columns by table, in the order of insertion."""
        return {"calls": self.calls, "contents": self.contents, "requests": self.requests}


def make_range(count: int, *, seed: int, start_us: int, seconds: float, first_offset: int = 0) -> Range:
    """Make `count` calls spread over `seconds` from `start_us`, with their contents and requests; deterministic."""
    rng = np.random.default_rng(seed)
    started = np.sort(start_us + rng.integers(0, int(seconds * 1e6) + 1, count))
    common = _common(rng, count, started, first_offset)
    usage = _usage(rng, count)
    calls = common | _outcome(rng, count) | usage | _costs(usage)
    contents = _contents(common, documents(count, size=340, seed=seed), documents(count, size=330, seed=seed + 1))
    requests = {name: values for name, values in common.items() if name not in _RESPONSE_ONLY} | {"timeout_ms": [60_000] * count}
    return Range(calls, contents, requests, _json_bytes(calls, contents, requests))


_RESPONSE_ONLY = ("response_model", "response_id", "capture")


def _common(rng: np.random.Generator, count: int, started: Any, first_offset: int) -> Columns:
    user = (rng.pareto(1.2, count) * 400).astype(np.int64) % 20_000
    app = user % len(_APPS)
    model = (app + rng.integers(0, 3, count) % (app % 3 + 1)) % len(_MODELS)
    prompt = rng.integers(0, 3, count) % (app % 3 + 1)
    envelope = np.arange(count) // 100
    return {
        "call_id": _uuids(rng, started),
        "project": ["default"] * count,
        "app": [_APPS[index] for index in app],
        "environment": ["production"] * count,
        "release": [""] * count,
        "user_id": [f"user-{index:05}" for index in user],
        "session_id": [f"s-{a:05}-{b}" for a, b in zip(user, started // 3_600_000_000, strict=True)],
        "request_id": _hexes(rng, count, 8),
        "route": [""] * count,
        "trace_id": [""] * count,
        "span_id": [""] * count,
        "parent_id": [None] * count,
        "operation": ["chat"] * count,
        "provider": [_MODELS[index][0] for index in model],
        "request_model": [_MODELS[index][1] for index in model],
        "response_model": [_MODELS[index][1] + "-2026-07-18" for index in model],
        "response_id": [f"chatcmpl-{text}" for text in _hexes(rng, count, 12)],
        "started_at": started.tolist(),
        "stream": (rng.random(count) < 0.6).tolist(),
        "prompt_name": [f"prompt-{index}" for index in prompt],
        "prompt_version": [str(index) for index in rng.integers(3, 5, count)],
        "tags": [{}] * count,
        "instrumentation": ["llmtower.openai"] * count,
        "capture": ["full"] * count,
        "producer": [f"0199c0de-7a00-7000-8000-00000000000{index}" for index in app],
        "producer_seq": (first_offset * 200 + np.arange(count) * 2 + 1).tolist(),
        "incarnation": [_INCARNATION] * count,
        "kafka_topic": ["llmtower.calls"] * count,
        "kafka_partition": (envelope % 4).tolist(),
        "kafka_offset": (first_offset + envelope // 4).tolist(),
        "event_index": (np.arange(count) % 100 * 2 + 1).tolist(),
    }


def _outcome(rng: np.random.Generator, count: int) -> Columns:
    failed = rng.random(count) < 0.04
    duration = rng.lognormal(14.0, 0.8, count).astype(np.int64)
    first = (duration * rng.uniform(0.1, 0.5, count)).astype(np.int64)
    streamed = rng.random(count) < 0.6
    kind = rng.integers(0, len(_ERRORS), count)
    return {
        "duration_us": duration.tolist(),
        "ttft_us": [value if yes else None for value, yes in zip(first.tolist(), streamed & ~failed, strict=True)],
        "stream": streamed.tolist(),
        "status": ["error" if bad else "ok" for bad in failed],
        "error_class": [_ERRORS[index] if bad else "" for index, bad in zip(kind, failed, strict=True)],
        "error_type": ["APIStatusError" if bad else "" for bad in failed],
        "http_status": [500 if bad else 200 for bad in failed],
        "retries": rng.poisson(0.05, count).tolist(),
        "finish_reasons": [[] if bad else ["stop"] for bad in failed],
        "service_tier": ["default"] * count,
        "usage_source": ["missing" if bad else "provider" for bad in failed],
        "usage_convention": ["openai"] * count,
        "rate_limit_remaining_requests": [None] * count,
        "rate_limit_remaining_tokens": [None] * count,
        "parameters": [b'{"temperature":0.2}'] * count,
    }


def _usage(rng: np.random.Generator, count: int) -> Columns:
    total = rng.integers(80, 4_000, count)
    cached = np.where(rng.random(count) < 0.3, total // 2, 0)
    output, reasoning = rng.integers(5, 900, count), np.where(rng.random(count) < 0.15, rng.integers(50, 2_000, count), 0)
    raw = [
        b'{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}'
        % row
        for row in zip(total.tolist(), (output + reasoning).tolist(), cached.tolist(), reasoning.tolist(), strict=True)
    ]
    return {
        "usage_raw": raw,
        "input_tokens": (total - cached).tolist(),
        "cache_read_tokens": cached.tolist(),
        "output_tokens": output.tolist(),
        "reasoning_tokens": reasoning.tolist(),
        **{
            name: [0] * count
            for name in ("cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens")
        },
    }


def _costs(usage: Columns) -> Columns:
    count = len(usage["input_tokens"])
    fresh, cached = np.array(usage["input_tokens"]) * 150, np.array(usage["cache_read_tokens"]) * 75
    output = (np.array(usage["output_tokens"]) + np.array(usage["reasoning_tokens"])) * 600
    known = (np.arange(count) % 50 != 0).tolist()

    def money(values: Any) -> list[int | None]:
        return [value if yes else None for value, yes in zip(values.tolist(), known, strict=True)]

    return {
        "tool_fees": [0] * count,
        "cost_nano_usd": money(fresh + cached + output),
        "cost_input_nano_usd": money(fresh),
        "cost_cache_nano_usd": money(cached),
        "cost_output_nano_usd": money(output),
        "cost_fees_nano_usd": money(output * 0),
        "cost_status": ["ok" if yes else "unknown_model" for yes in known],
        "cost_source": ["price_book" if yes else "" for yes in known],
        "price_version": ["genai-prices 0.2.3"] * count,
    }


_CONTENT_KEYS = ("call_id", "project", "app", "started_at", "incarnation", "kafka_topic", "kafka_partition", "kafka_offset", "event_index")


def _contents(common: Columns, inputs: list[str], outputs: list[str]) -> Columns:
    count = len(inputs)
    messages = [
        orjson.dumps([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text}]) for text in inputs
    ]
    answers = [orjson.dumps([{"role": "assistant", "content": text}]) for text in outputs]
    empty = {name: [""] * count for name in ("retrieved", "parameters", "error_message", "comment", "correction", "embedder", "extra")}
    kept = {name: common[name] for name in _CONTENT_KEYS}
    return kept | {"kind": ["call"] * count, "input": messages, "output": answers, "embedding": [[]] * count} | empty


_DEFAULTS = ("default", "production", "chat", "ok", "full")
_NOT_ON_THE_WIRE = frozenset(
    {"incarnation", "kafka_topic", "kafka_partition", "kafka_offset", "event_index", "producer", "producer_seq", "kind"}
)


def _json_bytes(calls: Columns, contents: Columns, requests: Columns) -> int:
    """Count the bytes of the two events of each call as an SDK sends them: fields at their default are left out."""
    response = {name: values for name, values in calls.items() if not name.startswith(("cost_", "price_"))} | {
        "input": contents["input"],
        "output": contents["output"],
    }
    return sum(_event_bytes(columns) for columns in (response, requests))


def _event_bytes(columns: Columns) -> int:
    total = 0
    names = [name for name in columns if name not in _NOT_ON_THE_WIRE]
    for row in zip(*(columns[name] for name in names), strict=True):
        fields = {name: value for name, value in zip(names, row, strict=True) if value and value not in _DEFAULTS}
        total += sum(len(name) + 4 + _value_bytes(value) for name, value in fields.items()) + len('{"type":"response"}\n')
    return total


def _value_bytes(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else len(orjson.dumps(value, default=str))


def _uuids(rng: np.random.Generator, started_us: Any) -> list[str]:
    tails = rng.bytes(10 * len(started_us)).hex()
    return [
        f"{(ms := at // 1000):012x}"[:8]
        + f"-{ms & 0xFFFF:04x}-7{tails[i * 20 : i * 20 + 3]}-a{tails[i * 20 + 3 : i * 20 + 6]}-{tails[i * 20 + 6 : i * 20 + 18]}"
        for i, at in enumerate(started_us.tolist())
    ]


def _hexes(rng: np.random.Generator, count: int, size: int) -> list[str]:
    text = rng.bytes(size * count).hex()
    return [text[index * size * 2 : (index + 1) * size * 2] for index in range(count)]
