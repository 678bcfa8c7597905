"""Each provider's habit of counting, into exclusive buckets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower.usage import convert

CASES: dict[str, tuple[dict[str, Any], str, dict[str, int]]] = {
    "openai chat": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 4},
        },
        "openai",
        {
            "input_tokens": 65,
            "cache_read_tokens": 30,
            "audio_input_tokens": 5,
            "output_tokens": 26,
            "reasoning_tokens": 20,
            "audio_output_tokens": 4,
        },
    ),
    "openai without details": ({"prompt_tokens": 7, "completion_tokens": 0, "prompt_tokens_details": None}, "openai", {"input_tokens": 7}),
    "deepseek": (
        {"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
        "openai",
        {"input_tokens": 6, "cache_read_tokens": 4, "output_tokens": 2},
    ),
    "openai responses": (
        {
            "input_tokens": 9,
            "output_tokens": 8,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens_details": {"reasoning_tokens": 3},
        },
        "openai-responses",
        {"input_tokens": 5, "cache_read_tokens": 4, "output_tokens": 5, "reasoning_tokens": 3},
    ),
    "anthropic": (
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        },
        "anthropic",
        {"input_tokens": 10, "cache_read_tokens": 100, "cache_write_tokens": 20, "cache_write_1h_tokens": 10, "output_tokens": 5},
    ),
    "gemini": (
        {"prompt_token_count": 20, "cached_content_token_count": 5, "candidates_token_count": 3, "thoughts_token_count": 7},
        "gemini",
        {"input_tokens": 15, "cache_read_tokens": 5, "output_tokens": 3, "reasoning_tokens": 7},
    ),
    "bedrock": (
        {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokens": 1},
        "bedrock",
        {"input_tokens": 3, "cache_read_tokens": 1, "output_tokens": 2},
    ),
    "ollama": ({"prompt_eval_count": 3, "eval_count": 2}, "ollama", {"input_tokens": 3, "output_tokens": 2}),
    "otel": (
        {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 4},
        "otel",
        {"input_tokens": 6, "cache_read_tokens": 4, "output_tokens": 2},
    ),
    "ours": ({"input_tokens": 1, "output_tokens": 2}, "llmtower", {"input_tokens": 1, "output_tokens": 2}),
}


@pytest.mark.parametrize("case", CASES)
def test_buckets_are_exclusive(case: str) -> None:
    raw, convention, buckets = CASES[case]

    converted = convert(raw)

    assert (converted.convention, converted.buckets) == (convention, buckets)


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": "many", "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 10**12, "completion_tokens": 1},
        {"total_tokens": 5},
        {},
    ],
)
def test_counts_that_contradict_themselves_give_none(raw: dict[str, Any]) -> None:
    assert convert(raw).buckets is None


@given(*[st.integers(min_value=0, max_value=10_000)] * 4)
def test_openai_totals_are_kept(prompt: int, cached: int, completion: int, reasoning: int) -> None:
    converted = convert(
        {
            "prompt_tokens": prompt + cached,
            "completion_tokens": completion + reasoning,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    )

    assert converted.buckets is not None
    assert sum(converted.buckets.values()) == prompt + cached + completion + reasoning


def test_a_bucket_of_our_own_that_is_newer_than_this_version_goes_along() -> None:
    converted = convert({"input_tokens": 1, "video_tokens": 3, "video_tokens_details": {"x": 1}})

    assert (converted.convention, converted.buckets) == ("llmtower", {"input_tokens": 1, "video_tokens": 3})
