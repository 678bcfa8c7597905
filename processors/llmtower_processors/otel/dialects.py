"""Which attribute says what, in every generation and dialect: one table, which is the documentation as well.

Sources: OpenTelemetry semantic conventions for GenAI 1.24 to 1.40 (names changed over time), OpenInference, OpenLLMetry/Traceloop, OpenLIT.
The first attribute that is there decides. Dots in names are kept as they are on the wire.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Field(NamedTuple):
    """A field of our events, and the attributes that may say it, best first."""

    name: str
    attributes: tuple[str, ...]
    note: str = ""


TEXTS: Final = (
    Field("provider", ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor"), "in lower case"),
    Field("request_model", ("gen_ai.request.model", "llm.model_name", "embedding.model_name", "reranker.model_name", "llm.request.model")),
    Field("response_model", ("gen_ai.response.model", "llm.response.model")),
    Field("response_id", ("gen_ai.response.id", "llm.response.id")),
    Field(
        "service_tier",
        ("openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.openai.request.service_tier"),
    ),
    Field("user_id", ("user.id", "enduser.id", "traceloop.association.properties.user_id", "gen_ai.request.user", "llm.user")),
    Field("session_id", ("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id")),
    Field("request_id", ("http.request.id", "request.id", "traceloop.association.properties.request_id")),
    Field("route", ("http.route",)),
    Field("prompt_name", ("gen_ai.prompt.name", "traceloop.prompt.key", "llm.prompt_template.name")),
    Field("prompt_version", ("gen_ai.prompt.version", "traceloop.prompt.version", "llm.prompt_template.version")),
)
"""Text fields of calls and steps."""

RESOURCE: Final = (
    Field("app", ("service.name",), "`unknown` when there is none"),
    Field("release", ("service.version",)),
    Field("environment", ("deployment.environment.name", "deployment.environment", "gen_ai.environment")),
)
"""Fields taken from the resource, else from the span."""

TOKENS: Final = (
    Field("input", ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens")),
    Field(
        "output",
        ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion", "llm.usage.completion_tokens"),
    ),
    Field(
        "cache_read",
        (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.cache_read_tokens",
            "gen_ai.usage.input_tokens.cached",
            "llm.token_count.prompt_details.cache_read",
        ),
    ),
    Field(
        "cache_write",
        (
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_tokens",
            "llm.token_count.prompt_details.cache_write",
        ),
    ),
    Field(
        "reasoning",
        (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.output_tokens.reasoning",
            "llm.token_count.completion_details.reasoning",
        ),
    ),
    Field("audio_input", ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio")),
    Field("audio_output", ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio")),
)
"""Counts, inclusive as OpenTelemetry has them; turned into exclusive buckets by `otel.usage`."""

FINISH: Final = Field(
    "finish_reasons",
    ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.response.finish_reason", "llm.finish_reason"),
    "else the finish reasons of the output messages",
)
STREAM: Final = Field("stream", ("gen_ai.request.stream", "llm.is_streaming", "gen_ai.request.is_stream"), "or a first token is timed")
TTFT_SECONDS: Final = Field(
    "ttft_us",
    ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token", "gen_ai.server.ttft"),
    "seconds on the wire; else the first span event of `FIRST_TOKEN`; NULL when the call was not streamed",
)
FIRST_TOKEN: Final = ("gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event")
"""Names of span events that mark tokens of a stream."""
ERROR_TYPE: Final = Field("error_type", ("error.type", "exception.type"))
HTTP_STATUS: Final = Field("http_status", ("http.response.status_code", "http.status_code"))

OPERATIONS: Final[Mapping[str, str]] = {
    "chat": "chat",
    "generate_content": "chat",
    "text_completion": "text_completion",
    "completion": "text_completion",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "llm": "chat",
    "image": "image",
    "image_generation": "image",
    "audio": "audio",
    "rerank": "rerank",
}
"""`gen_ai.operation.name`, `openinference.span.kind`, `llm.request.type` (in lower case) → operation of a call."""

STEPS: Final[Mapping[str, str]] = {
    "invoke_agent": "agent",
    "create_agent": "agent",
    "agent": "agent",
    "execute_tool": "tool",
    "tool": "tool",
    "retrieval": "retrieval",
    "retriever": "retrieval",
    "reranker": "retrieval",
    "vectordb": "retrieval",
    "invoke_workflow": "workflow",
    "workflow": "workflow",
    "task": "workflow",
    "chain": "workflow",
    "prompt": "workflow",
    "guardrail": "guardrail",
    "evaluator": "guardrail",
}
"""The same names → kind of a step."""

KINDS: Final = Field("operation or kind", ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind", "llm.request.type"))
STEP_NAMES: Final = Field(
    "step_name", ("gen_ai.tool.name", "gen_ai.agent.name", "gen_ai.workflow.name", "traceloop.entity.name", "tool.name")
)
TAGS: Final[Mapping[str, str]] = {"gen_ai.agent.name": "agent", "gen_ai.data_source.id": "data_source", "server.address": "server"}
"""Attribute → tag; `traceloop.association.properties.*` become tags of their own names."""
ASSOCIATION: Final = "traceloop.association.properties."

INPUTS: Final = Field(
    "input",
    (
        "gen_ai.input.messages",
        "gen_ai.prompt.N.*",
        "llm.input_messages.N.*",
        "gen_ai.prompt",
        "gen_ai.content.prompt",
        "traceloop.entity.input",
        "gen_ai.tool.call.arguments",
        "input.value",
        "embedding.embeddings.N.*",
    ),
    "JSON text is read; `gen_ai.system_instructions` stand before; also from span events",
)
OUTPUTS: Final = Field(
    "output",
    (
        "gen_ai.output.messages",
        "gen_ai.completion.N.*",
        "llm.output_messages.N.*",
        "gen_ai.completion",
        "gen_ai.content.completion",
        "traceloop.entity.output",
        "gen_ai.tool.call.result",
        "output.value",
    ),
    "likewise",
)
RAW_USAGE: Final = ("gen_ai.usage.", "llm.token_count.", "llm.usage.")
"""Everything below them is kept as it came."""
PARAMETERS: Final = "gen_ai.request."
"""Everything below it but model, user and stream is a parameter; OpenInference has all in `llm.invocation_parameters`."""
INVOCATION: Final = ("llm.invocation_parameters", "embedding.invocation_parameters")

EVALUATION: Final = "gen_ai.evaluation.result"
DETAILS: Final = "gen_ai.client.inference.operation.details"
CHOICE: Final = "gen_ai.choice"
MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    **{f"gen_ai.{role}.message": ("input", role) for role in ("system", "user", "assistant", "tool")},
    CHOICE: ("output", ""),
}
"""Events (of spans, or log records) that are one message each → the side of the call it stands on, and whose words it is."""

LEFT_OUT: Final = Field(
    "reported_cost_nano_usd",
    (),
    "`gen_ai.usage.cost` (OpenLIT) and `llm.cost.*` (OpenInference) are left out: an estimate of the instrumentation's own",
)


FIELDS: Final = (*TEXTS, *RESOURCE, *TOKENS, FINISH, STREAM, TTFT_SECONDS, ERROR_TYPE, HTTP_STATUS, STEP_NAMES)
"""All fields that one attribute says."""
WHERE: Final = {attribute: (field.name, rank) for field in FIELDS for rank, attribute in enumerate(field.attributes)}
"""Attribute → the field it says, and how good it is for it (0 = best)."""

Said = Mapping[str, Any]
"""What a span says, by the names of our fields; what it does not say is not there."""


def read(attributes: Mapping[str, Any]) -> Said:
    """Give the best attribute of each field, in one pass over what is there."""
    found: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for attribute, value in attributes.items():
        where = WHERE.get(attribute)
        if where is not None and value is not None and value != "":
            name, rank = where
            if rank < ranks.get(name, 99):
                found[name], ranks[name] = value, rank
    return found
