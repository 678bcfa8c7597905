"""`wrap_anthropic`: the same client back, whose messages are recorded, streams and helpers included."""

from typing import Any, TypeVar

from llmtower import messages
from llmtower.errors import internal_error
from llmtower.stainless import Endpoint, Origin, record_posts, wrap

ClientT = TypeVar("ClientT")

ENDPOINTS: dict[str, Endpoint] = {
    "/v1/messages": Endpoint("chat", messages.asked, messages.whole, messages.Events, frozenset({"messages", "system"})),
}
"""What is recorded, by path."""

_PROVIDERS = (("Bedrock", "aws.bedrock"), ("Mantle", "aws.bedrock"), ("Vertex", "gcp.vertex_ai"), ("Foundry", "azure"))
"""Provider by what stands in the name of the client's class; else Anthropic itself."""


def wrap_anthropic(client: ClientT, *, provider: str | None = None) -> ClientT:
    """Record every message of an `anthropic.Anthropic` or `AsyncAnthropic` client (Bedrock, Vertex and Foundry clients too).

    `provider` overrides the name taken from the client's class.
    """
    try:
        wrap(
            client,
            package="anthropic",
            resource=lambda found: getattr(found, "messages", None),
            record=lambda found: _record(found, provider),
            rewrap=lambda copy: wrap_anthropic(copy, provider=provider),
        )
    except Exception:
        internal_error("wrap_anthropic")
    return client


def _record(client: Any, provider: str | None) -> None:
    names = [cls.__name__ for cls in type(client).__mro__]
    found = next((title for part, title in _PROVIDERS if any(part in name for name in names)), "anthropic")
    origin = Origin(provider or found, "llmtower.anthropic")
    for resource in (client.messages, getattr(getattr(client, "beta", None), "messages", None)):
        record_posts(resource, ENDPOINTS, origin)
