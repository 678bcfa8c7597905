"""Rows of `calls`: every column the rollups are made of, drawn from a seed."""

from typing import Any

import numpy as np

Columns = dict[str, list[Any]]

APPS = ("chat", "search")
MODELS = (("openai", "gpt-4o"), ("openai", "o4-mini"), ("anthropic", "claude-haiku-4-5"))
TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
)
COSTS = ("cost_nano_usd", "cost_input_nano_usd", "cost_cache_nano_usd", "cost_output_nano_usd", "cost_fees_nano_usd")


def calls(count: int, *, seed: int, start_us: int, span_s: float) -> Columns:
    """Make `count` calls spread over `span_s` seconds; a tenth is not priced, some fail, half are streamed."""
    rng = np.random.default_rng(seed)
    model = rng.integers(0, len(MODELS), count)
    failed, streamed, priced = rng.random(count) < 0.1, rng.random(count) < 0.5, rng.random(count) < 0.9
    duration = rng.lognormal(13, 1, count).astype(np.int64)
    columns: Columns = {
        "started_at": (start_us + rng.integers(0, int(span_s * 1e6), count)).tolist(),
        "project": ["default"] * count,
        "app": [APPS[index] for index in rng.integers(0, 2, count)],
        "environment": ["production" if yes else "staging" for yes in rng.random(count) < 0.8],
        "provider": [MODELS[index][0] for index in model],
        "request_model": [MODELS[index][1] for index in model],
        "operation": ["chat"] * count,
        "user_id": [f"user{index}" for index in rng.integers(0, 50, count)],
        "prompt_name": [f"p{index}" for index in rng.integers(0, 2, count)],
        "prompt_version": ["3"] * count,
        "status": ["error" if bad else "ok" for bad in failed],
        "cost_status": ["priced" if known else "failed" if bad else "unknown_model" for known, bad in zip(priced, failed, strict=True)],
        "error_class": ["server" if bad else "" for bad in failed],
        "stream": streamed.tolist(),
        "retries": [int(value) if value < 3 else None for value in rng.integers(0, 4, count)],
        "duration_us": duration.tolist(),
        "ttft_us": [int(value) if yes else None for value, yes in zip(duration * 0.3, streamed, strict=True)],
    }
    columns |= {name: rng.integers(0, 1_000, count).tolist() for name in TOKENS}
    for name in COSTS:
        values = rng.integers(0, 1 << 50, count).tolist()
        columns[name] = [value if yes else None for value, yes in zip(values, priced, strict=True)]
    return columns
