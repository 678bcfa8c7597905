"""What is proved of each integration, and by which test: the source of `docs/integrations/README.md`.

python -m tests.clients.table   # writes the page anew; a test holds it against this table
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "integrations" / "README.md"
ASPECTS = ("plain", "stream", "async", "error", "tool use", "cached tokens", "reasoning tokens", "cancelled", "cost")


@dataclass(frozen=True)
class Without:
    """Why there is nothing to prove."""

    reason: str


@dataclass(frozen=True)
class Integration:
    """One client: its page, its package, and the test for each aspect in the order of `ASPECTS`."""

    title: str
    page: str
    package: str
    file: str
    proofs: Mapping[str, str | Without]
    folder: str = "clients"
    environments: tuple[str, ...] = ("oldest", "newest")
    """The environments it is tested in (`requirements/clients-….txt`), the oldest first."""


_ABANDONED = "test_an_abandoned_stream_is_recorded"
_BROKEN = "test_cancelled_and_timed_out"
_ERRORS = "test_errors_are_raised_as_before_and_classified"
_TOOLS = "test_tool_calls_are_part_of_the_output"
_ASYNC = "test_asynchronous_calls_and_streams"
_CHAT = "test_a_chat_is_recorded_with_what_the_provider_said"
_PROXIED = "test_a_call_is_recorded_with_what_the_provider_said"
_CLASSIFIED = "test_errors_are_classified_and_raised_as_before"
_LEFT = "test_an_abandoned_stream_leaves_nothing_open"

INTEGRATIONS = (
    Integration(
        "OpenAI chat completions",
        "openai.md",
        "openai",
        "test_openai.py",
        {
            "plain": "test_a_plain_call",
            "stream": "test_a_stream",
            "async": _ASYNC,
            "error": _ERRORS,
            "tool use": _TOOLS,
            "cached tokens": "test_a_plain_call",
            "reasoning tokens": "test_a_plain_call",
            "cancelled": _ABANDONED,
            "cost": "test_openai_endpoints.py::test_a_chat_costs_what_the_oracle_says",
        },
    ),
    Integration(
        "OpenAI responses",
        "openai.md",
        "openai",
        "test_openai_endpoints.py",
        {
            "plain": "test_a_response",
            "stream": "test_a_streamed_response",
            "async": "test_asynchronous_responses",
            "error": _ERRORS,
            "tool use": _TOOLS,
            "cached tokens": "test_a_response",
            "reasoning tokens": "test_a_response",
            "cancelled": "test_an_abandoned_response_is_recorded",
            "cost": "test_a_response",
        },
    ),
    Integration(
        "OpenAI embeddings",
        "openai.md",
        "openai",
        "test_openai_endpoints.py",
        {
            "plain": "test_embeddings",
            "stream": Without("embeddings are not streamed"),
            "async": "test_asynchronous_responses",
            "error": "test_errors_of_embeddings_and_completions",
            "tool use": Without("embeddings call no tools"),
            "cached tokens": Without("OpenAI caches no embeddings"),
            "reasoning tokens": Without("embeddings do not reason"),
            "cancelled": "test_a_cancelled_embedding",
            "cost": "test_embeddings",
        },
    ),
    Integration(
        "Anthropic messages",
        "anthropic.md",
        "anthropic",
        "test_anthropic.py",
        {
            "plain": "test_a_plain_call",
            "stream": "test_a_stream",
            "async": _ASYNC,
            "error": _ERRORS,
            "tool use": _TOOLS,
            "cached tokens": "test_a_plain_call",
            "reasoning tokens": "test_thinking",
            "cancelled": _ABANDONED,
            "cost": "test_fees_of_server_tools",
        },
    ),
    Integration(
        "Gemini",
        "gemini.md",
        "google-genai",
        "test_gemini.py",
        {
            "plain": "test_a_plain_call",
            "stream": "test_a_stream",
            "async": _ASYNC,
            "error": _ERRORS,
            "tool use": "test_each_round_of_automatic_function_calling_is_a_call",
            "cached tokens": "test_a_plain_call",
            "reasoning tokens": "test_a_stream",
            "cancelled": "test_cancelled_timed_out_and_broken",
            "cost": "test_a_plain_call",
        },
    ),
    Integration(
        "Ollama",
        "ollama.md",
        "ollama",
        "test_ollama.py",
        {
            "plain": "test_a_plain_call",
            "stream": "test_a_stream",
            "async": _ASYNC,
            "error": _ERRORS,
            "tool use": _TOOLS,
            "cached tokens": Without("Ollama does not tell them"),
            "reasoning tokens": Without("Ollama counts them as output; the thoughts themselves are kept"),
            "cancelled": _BROKEN,
            "cost": "test_a_price_from_the_prices_file",
        },
    ),
    Integration(
        "Bedrock Converse",
        "bedrock.md",
        "boto3",
        "test_bedrock.py",
        {
            "plain": "test_a_plain_call",
            "stream": "test_a_stream",
            "async": Without("boto3 is synchronous"),
            "error": _ERRORS,
            "tool use": _TOOLS,
            "cached tokens": "test_a_plain_call",
            "reasoning tokens": Without("Bedrock counts them as output; the thoughts themselves are kept"),
            "cancelled": _ABANDONED,
            "cost": "test_a_stream",
        },
    ),
    Integration(
        "ChromaDB",
        "chroma.md",
        "chromadb",
        "test_chroma.py",
        {
            "plain": "test_a_query_is_a_retrieval_step",
            "stream": Without("a query is not streamed"),
            "async": "test_an_asynchronous_collection",
            "error": _ERRORS,
            "tool use": Without("a retrieval calls no tools"),
            "cached tokens": Without("a retrieval has no tokens"),
            "reasoning tokens": Without("a retrieval has no tokens"),
            "cancelled": "test_an_asynchronous_collection",
            "cost": Without("a retrieval has no price"),
        },
    ),
    Integration(
        "LangChain, LangGraph",
        "langchain.md",
        "langchain-core",
        "test_langchain.py",
        {
            "plain": _CHAT,
            "stream": "test_a_stream_has_a_first_token_and_its_usage",
            "async": "test_a_stream_has_a_first_token_and_its_usage",
            "error": _CLASSIFIED,
            "tool use": _TOOLS,
            "cached tokens": _CHAT,
            "reasoning tokens": _CHAT,
            "cancelled": _LEFT,
            "cost": _CHAT,
        },
        "frameworks",
        ("frameworks-oldest", "frameworks"),
    ),
    Integration(
        "LiteLLM",
        "litellm.md",
        "litellm",
        "test_litellm.py",
        {
            "plain": _CHAT,
            "stream": "test_a_stream_has_a_first_token",
            "async": "test_asynchronous_calls",
            "error": _CLASSIFIED,
            "tool use": _TOOLS,
            "cached tokens": _CHAT,
            "reasoning tokens": _CHAT,
            "cancelled": Without("LiteLLM tells its loggers nothing of it; the request stands alone"),
            "cost": _CHAT,
        },
        "frameworks",
        ("frameworks-oldest", "frameworks"),
    ),
    Integration(
        "LiteLLM's proxy",
        "litellm.md",
        "litellm",
        "test_proxy.py",
        {
            "plain": _PROXIED,
            "stream": "test_a_stream_has_a_first_token_and_its_usage",
            "async": _PROXIED,
            "error": "test_errors_are_classified",
            "tool use": _TOOLS,
            "cached tokens": _PROXIED,
            "reasoning tokens": _PROXIED,
            "cancelled": "test_a_stream_that_its_client_left_is_cancelled",
            "cost": _PROXIED,
        },
        "proxy",
        ("proxy",),
    ),
    Integration(
        "LlamaIndex",
        "llama_index.md",
        "llama-index-core",
        "test_llama_index.py",
        {
            "plain": _CHAT,
            "stream": "test_a_stream_has_a_first_token",
            "async": "test_asynchronous_chats",
            "error": _CLASSIFIED,
            "tool use": _TOOLS,
            "cached tokens": _CHAT,
            "reasoning tokens": _CHAT,
            "cancelled": _LEFT,
            "cost": _CHAT,
        },
        "frameworks",
        ("frameworks",),
    ),
)


def proof(integration: Integration, aspect: str) -> str | Without:
    """Give a test as `folder/file::name`, or why there is none."""
    found = integration.proofs[aspect]
    if isinstance(found, Without):
        return found
    return f"{integration.folder}/{found if '::' in found else f'{integration.file}::{found}'}"


def versions(name: str) -> dict[str, str]:
    """Read the pins of one of the two environments."""
    text = (ROOT / "requirements" / f"clients-{name}.txt").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ \\]+)", text, re.MULTILINE))


def page() -> str:
    """Write the page."""
    return "\n".join([*_matrix(), "", *_details()]) + "\n"


def _matrix() -> Iterator[str]:
    yield "# Integrations"
    yield ""
    yield "Generated by `python -m tests.clients.table`. Each ✓ is a test that runs the real client library, in its oldest and newest"
    yield "supported version, against a local stand-in speaking the provider's wire format, and compares what is recorded with what the"
    yield "provider said, field by field: tokens in each bucket, ids, finish reasons, time to the first token; the cost with that of an"
    yield "independent oracle. Where one version is named, it is the one that is tested; LiteLLM's proxy runs as a process of its own,"
    yield "started as its page says."
    yield ""
    yield f"| | versions | {' | '.join(ASPECTS)} |"
    yield f"|---|---|{'---|' * len(ASPECTS)}"
    for each in INTEGRATIONS:
        cells = ["·" if isinstance(proof(each, aspect), Without) else "✓" for aspect in ASPECTS]
        tested = f"`{each.package}` {' and '.join(versions(name)[each.package] for name in each.environments)}"
        yield f"| [{each.title}]({each.page}) | {tested} | {' | '.join(cells)} |"
    yield ""
    yield "Beside them: [`@llmtower.tool`, steps and traces](tools.md), [FastAPI and other ASGI applications](asgi.md)."


def _details() -> Iterator[str]:
    yield "## The tests"
    yield ""
    yield "| | | proved by (in `tests`) |"
    yield "|---|---|---|"
    for each in INTEGRATIONS:
        for aspect in ASPECTS:
            found = proof(each, aspect)
            yield f"| {each.title} | {aspect} | {f'none ({found.reason})' if isinstance(found, Without) else f'`{found}`'} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
