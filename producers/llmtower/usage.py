"""Providers' token counts, each in its own habit, into exclusive buckets: a token is counted in one of them only.

Sources: the providers' API references; OpenTelemetry GenAI semantic conventions (`gen_ai.usage.*`). Whether an input count includes
cached tokens differs: OpenAI, Gemini and OpenTelemetry include them, Anthropic and Bedrock do not.
"""

from dataclasses import dataclass
from typing import Any

_MAX_TOKENS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Converted:
    """Exclusive buckets (those that are not zero), and the habit they were converted from; None: the counts contradict each other."""

    buckets: dict[str, int] | None
    convention: str


def convert(raw: dict[str, Any]) -> Converted:
    """Convert a provider's usage; an unknown or inconsistent one gives no buckets rather than wrong ones."""
    for convention, key, reader in _READERS:
        if key in raw:
            try:
                buckets = reader(raw)
            except (AttributeError, TypeError, ValueError):
                return Converted(None, convention)
            sound = all(0 <= count <= _MAX_TOKENS for count in buckets.values())
            return Converted({name: count for name, count in buckets.items() if count} if sound else None, convention)
    return Converted(None, "")


def _count(raw: Any, *path: str) -> int:
    """Follow keys to a count; what is absent or null counts 0."""
    for key in path:
        if not isinstance(raw, dict):  # (an abstract Mapping takes ten times as long to recognise)
            return 0
        raw = raw.get(key)
    if raw is None:
        return 0
    if isinstance(raw, bool) or int(raw) != raw:
        raise ValueError("a token count is no whole number")
    return int(raw)


def _openai_chat(raw: dict[str, Any]) -> dict[str, int]:
    """Chat and legacy completions: both totals include their details."""
    cached = _count(raw, "prompt_tokens_details", "cached_tokens") or _count(raw, "prompt_cache_hit_tokens")
    written = _count(raw, "prompt_tokens_details", "cache_write_tokens")
    audio_in = _count(raw, "prompt_tokens_details", "audio_tokens")
    image_in = _count(raw, "prompt_tokens_details", "image_tokens")
    reasoning = _count(raw, "completion_tokens_details", "reasoning_tokens")
    audio_out = _count(raw, "completion_tokens_details", "audio_tokens")
    return {
        "input_tokens": _count(raw, "prompt_tokens") - cached - written - audio_in - image_in,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": _count(raw, "completion_tokens") - reasoning - audio_out,
        "reasoning_tokens": reasoning,
        "audio_input_tokens": audio_in,
        "audio_output_tokens": audio_out,
        "image_input_tokens": image_in,
    }


def _openai_responses(raw: dict[str, Any]) -> dict[str, int]:
    """The Responses API: other names, the same habit."""
    cached = _count(raw, "input_tokens_details", "cached_tokens")
    written = _count(raw, "input_tokens_details", "cache_write_tokens")
    reasoning = _count(raw, "output_tokens_details", "reasoning_tokens")
    return {
        "input_tokens": _count(raw, "input_tokens") - cached - written,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": _count(raw, "output_tokens") - reasoning,
        "reasoning_tokens": reasoning,
    }


def _langchain(raw: dict[str, Any]) -> dict[str, int]:
    """LangChain's usage_metadata: both totals include their details, whoever the provider is."""
    cached, written = _count(raw, "input_token_details", "cache_read"), _count(raw, "input_token_details", "cache_creation")
    audio_in, audio_out = _count(raw, "input_token_details", "audio"), _count(raw, "output_token_details", "audio")
    reasoning = _count(raw, "output_token_details", "reasoning")
    return {
        "input_tokens": _count(raw, "input_tokens") - cached - written - audio_in,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": _count(raw, "output_tokens") - reasoning - audio_out,
        "reasoning_tokens": reasoning,
        "audio_input_tokens": audio_in,
        "audio_output_tokens": audio_out,
    }


def _anthropic(raw: dict[str, Any]) -> dict[str, int]:
    """Anthropic: input excludes what was read from and written to the cache; the one-hour share is part of what was written."""
    written = _count(raw, "cache_creation_input_tokens")
    hour = _count(raw, "cache_creation", "ephemeral_1h_input_tokens")
    reasoning = _count(raw, "output_tokens_details", "thinking_tokens")
    return {
        "input_tokens": _count(raw, "input_tokens"),
        "cache_read_tokens": _count(raw, "cache_read_input_tokens"),
        "cache_write_tokens": written - hour,
        "cache_write_1h_tokens": hour,
        "output_tokens": _count(raw, "output_tokens") - reasoning,
        "reasoning_tokens": reasoning,
    }


def _gemini(raw: dict[str, Any]) -> dict[str, int]:
    """Gemini: the prompt includes cached content; thoughts stand beside the candidates."""

    def either(snake: str, camel: str) -> int:
        return _count(raw, snake) or _count(raw, camel)

    def modality(title: str, snake: str, camel: str) -> int:
        found = [part for part in raw.get(snake) or raw.get(camel) or () if part.get("modality") == title]
        return sum(_count(part, "token_count") or _count(part, "tokenCount") for part in found)

    cached = either("cached_content_token_count", "cachedContentTokenCount")
    tools = either("tool_use_prompt_token_count", "toolUsePromptTokenCount")
    audio, image = (
        modality(title, "prompt_tokens_details", "promptTokensDetails") - modality(title, "cache_tokens_details", "cacheTokensDetails")
        for title in ("AUDIO", "IMAGE")
    )
    spoken = modality("AUDIO", "candidates_tokens_details", "candidatesTokensDetails")
    return {
        "input_tokens": either("prompt_token_count", "promptTokenCount") - cached + tools - audio - image,
        "cache_read_tokens": cached,
        "output_tokens": either("candidates_token_count", "candidatesTokenCount") - spoken,
        "reasoning_tokens": either("thoughts_token_count", "thoughtsTokenCount"),
        "audio_input_tokens": audio,
        "audio_output_tokens": spoken,
        "image_input_tokens": image,
    }


def _bedrock(raw: dict[str, Any]) -> dict[str, int]:
    """Bedrock's Converse: input excludes the cache; the one-hour share is part of what was written."""
    hour = sum(_count(part, "inputTokens") for part in raw.get("cacheDetails") or () if part.get("ttl") == "1h")
    return {
        "input_tokens": _count(raw, "inputTokens"),
        "cache_read_tokens": _count(raw, "cacheReadInputTokens"),
        "cache_write_tokens": _count(raw, "cacheWriteInputTokens") - hour,
        "cache_write_1h_tokens": hour,
        "output_tokens": _count(raw, "outputTokens"),
    }


def _ollama(raw: dict[str, Any]) -> dict[str, int]:
    """Ollama: counts of evaluated tokens."""
    return {"input_tokens": _count(raw, "prompt_eval_count"), "output_tokens": _count(raw, "eval_count")}


def _otel(raw: dict[str, Any]) -> dict[str, int]:
    """OpenTelemetry: input includes cached tokens, output includes reasoning."""
    read = _count(raw, "gen_ai.usage.cache_read.input_tokens")
    written = _count(raw, "gen_ai.usage.cache_creation.input_tokens")
    reasoning = _count(raw, "gen_ai.usage.reasoning.output_tokens")
    return {
        "input_tokens": _count(raw, "gen_ai.usage.input_tokens") - read - written,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "output_tokens": _count(raw, "gen_ai.usage.output_tokens") - reasoning,
        "reasoning_tokens": reasoning,
    }


_BUCKETS = (
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


def _exclusive(raw: dict[str, Any]) -> dict[str, int]:
    """Our own names: exclusive already. Buckets of a newer version go along; the reader knows them, or says that the cost is unknown."""
    return {name: _count(raw, name) for name in dict.fromkeys((*_BUCKETS, *(key for key in raw if key.endswith("_tokens"))))}


_READERS = (
    ("openai", "prompt_tokens", _openai_chat),
    ("anthropic", "cache_read_input_tokens", _anthropic),
    ("anthropic", "cache_creation_input_tokens", _anthropic),
    ("langchain", "input_token_details", _langchain),
    ("langchain", "output_token_details", _langchain),
    ("openai-responses", "input_tokens_details", _openai_responses),
    ("openai-responses", "output_tokens_details", _openai_responses),
    ("gemini", "prompt_token_count", _gemini),
    ("gemini", "promptTokenCount", _gemini),
    ("bedrock", "inputTokens", _bedrock),
    ("ollama", "prompt_eval_count", _ollama),
    ("ollama", "eval_count", _ollama),
    ("otel", "gen_ai.usage.input_tokens", _otel),
    ("otel", "gen_ai.usage.output_tokens", _otel),
    *(("llmtower", bucket, _exclusive) for bucket in _BUCKETS),
)
"""Convention, the key that betrays it, its reader; the first that fits decides."""
