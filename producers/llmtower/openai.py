"""`wrap_openai`: the same client back, whose chat completions, responses, completions and embeddings are recorded."""

from collections.abc import Mapping
from typing import Any, TypeVar

from llmtower import chat, responses
from llmtower.errors import internal_error
from llmtower.stainless import Endpoint, Origin, record_posts, wrap

ClientT = TypeVar("ClientT")

PROVIDERS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "api.groq.com": "groq",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "openrouter.ai": "openrouter",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras",
    "api.x.ai": "x-ai",
    "generativelanguage.googleapis.com": "google",
}
"""Provider by the end of the host's name; any other OpenAI-compatible endpoint counts as `openai` unless its name or the caller says."""

STREAM_USAGE = frozenset({"api.openai.com", "api.deepseek.com", "openrouter.ai"})
"""Endpoints documented to take `stream_options`: only these are asked for the usage of a stream on the caller's behalf."""


def wrap_openai(client: ClientT, *, provider: str | None = None, stream_usage: bool | None = None) -> ClientT:
    """Record every model call of an `openai.OpenAI` or `AsyncOpenAI` client (Azure and compatible endpoints too).

    `provider` overrides the name taken from the client's base URL. `stream_usage=True` asks any endpoint for the usage of streams (the
    additional chunk is hidden); by default only endpoints known to take the option are asked.
    """
    try:
        wrap(
            client,
            package="openai",
            resource=_completions,
            record=lambda found: _record(found, provider, stream_usage),
            rewrap=lambda copy: wrap_openai(copy, provider=provider, stream_usage=stream_usage),
        )
    except Exception:
        internal_error("wrap_openai")
    return client


def _completions(client: Any) -> Any:
    return getattr(getattr(client, "chat", None), "completions", None)


def _record(client: Any, provider: str | None, stream_usage: bool | None) -> None:
    host = host_of(client)
    asks = host in STREAM_USAGE if stream_usage is None else stream_usage
    origin = Origin(provider or _azure(client) or provider_of(host), "llmtower.openai", raw="true", stream_usage=asks)
    beta = getattr(client, "beta", None)
    for resource in (_completions(client), _completions(beta), *(getattr(client, name, None) for name in _RESOURCES)):
        record_posts(resource, ENDPOINTS, origin)


_RESOURCES = ("responses", "completions", "embeddings")


def host_of(client: Any) -> str:
    """Give the host that a client talks to."""
    return str(getattr(getattr(client, "base_url", None), "host", "") or "")


def _azure(client: Any) -> str:
    """Azure's own client may talk to a gateway whose name says nothing."""
    return "azure" if any("Azure" in cls.__name__ for cls in type(client).__mro__) else ""


def provider_of(host: str) -> str:
    """Name a provider by its host: one of a provider's own, else a server of the user's own that is called after what runs there."""
    known = next((name for end, name in PROVIDERS.items() if host == end or host.endswith("." + end)), "")
    return known or ("vllm" if any(label.startswith("vllm") for label in host.lower().split(".")) else "openai")


def _asking(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Ask for a stream's usage, unless the caller has said whether they want it."""
    wanted = body.get("stream_options")
    if isinstance(wanted, Mapping) and "include_usage" in wanted:
        return None
    return {**body, "stream_options": {**(wanted if isinstance(wanted, Mapping) else {}), "include_usage": True}}


def _only_usage(chunk: Any) -> bool:
    return not getattr(chunk, "choices", None) and getattr(chunk, "usage", None) is not None


def _embedded(answer: Any) -> dict[str, Any]:
    return {"usage": getattr(answer, "usage", None), "response_model": getattr(answer, "model", None) or ""}


ENDPOINTS: dict[str, Endpoint] = {
    "/chat/completions": Endpoint(
        "chat", lambda body: body.get("messages"), chat.whole, chat.Chunks, frozenset({"messages"}), _asking, _only_usage
    ),
    "/completions": Endpoint(
        "text_completion", lambda body: body.get("prompt"), chat.whole, chat.Chunks, frozenset({"prompt"}), _asking, _only_usage
    ),
    "/responses": Endpoint("chat", responses.asked, responses.whole, responses.Events, frozenset({"input", "instructions"})),
    "/embeddings": Endpoint("embeddings", lambda body: body.get("input"), _embedded, chat.Chunks, frozenset({"input"})),
}
"""What is recorded, by path."""
