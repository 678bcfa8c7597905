"""The events that applications emit: one model per `type`, discriminated by that field.

Names follow the OpenTelemetry GenAI conventions where they exist. Times are integers with their unit in the name; ids are UUIDv7 text.
Unknown fields are kept (`model_extra`), never rejected: a newer producer must not break an older consumer.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SCHEMA_VERSION = 1
"""Goes into the `schema` header of every record; raised when a field changes its meaning, not when one is added."""

MAX_TOKENS = 1_000_000_000
"""A token count above this is a defect of its source, not a call."""

Name = Annotated[str, StringConstraints(max_length=256)]
"""A bounded identifier: model, provider, user, route …; producers cut longer ones."""

Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Tokens = Annotated[int, Field(ge=0, le=MAX_TOKENS)]
Nanoseconds = Annotated[int, Field(ge=0, lt=1 << 63)]
Microseconds = Annotated[int, Field(ge=0, lt=1 << 53)]
NanoUsd = Annotated[int, Field(ge=-(10**15), le=10**15)]
"""One call's money; a million USD is a defect of its source, and would overflow the sums of many."""
Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class ErrorClass(StrEnum):
    """What went wrong, by cause; the empty value means nothing did."""

    NONE = ""
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    AUTH = "auth"
    INVALID_REQUEST = "invalid_request"
    CONTENT_FILTER = "content_filter"
    SERVER = "server"
    NETWORK = "network"
    CANCELLED = "cancelled"
    OTHER = "other"


class Usage(BaseModel):
    """Tokens in *exclusive* buckets: a token is counted in one of them only.

    A bucket of a newer producer is kept like any unknown field; unless it is empty, the call has no known cost.
    """

    model_config = ConfigDict(extra="allow", defer_build=False)

    input_tokens: Tokens = 0
    """Uncached text input."""
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    """Written to a cache with the provider's default time to live (5 minutes at Anthropic)."""
    cache_write_1h_tokens: Tokens = 0
    output_tokens: Tokens = 0
    """Visible text output, reasoning not included."""
    reasoning_tokens: Tokens = 0
    audio_input_tokens: Tokens = 0
    audio_output_tokens: Tokens = 0
    image_input_tokens: Tokens = 0


def uses_unknown(usage: Any) -> bool:
    """Say whether a usage (the model, or a struct of it) counts anything in a bucket that this version does not know."""
    unknown: dict[str, Any] | None = getattr(usage, "model_extra", None)
    return unknown is not None and any(unknown.values())


TOKEN_BUCKETS: tuple[str, ...] = tuple(Usage.model_fields)
"""The names of the buckets, in the order of the columns of `calls`."""


class RetrievedDocument(BaseModel):
    """One document that was retrieved for an answer; `text` is bounded by the producer."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[str, StringConstraints(max_length=1024)] = ""
    score: Annotated[float, Field(allow_inf_nan=False)] | None = None
    text: str | None = None
    updated_at_ms: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None
    """When the document was last changed, as its source says."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="allow")

    project: Name = "default"
    app: Name
    environment: Name = "production"
    release: Name = ""


class _Traced(_Event):
    user_id: Name = ""
    session_id: Name = ""
    request_id: Name = ""
    route: Name = ""
    trace_id: Name = ""
    span_id: Name = ""
    parent_id: Uuid | None = None
    prompt_name: Name = ""
    prompt_version: Name = ""
    tags: dict[Name, Name] = Field(default_factory=dict)
    instrumentation: Name = ""


class RequestEvent(_Traced):
    """A call has started. Small and without content: it exists so that hung and abandoned calls can be seen."""

    type: Literal["request"] = "request"
    call_id: Uuid
    operation: Name = "chat"
    provider: Name = ""
    request_model: Name = ""
    started_at_ns: Nanoseconds
    stream: bool = False
    timeout_ms: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None


class ResponseEvent(_Traced):
    """A call has ended: everything about it, so that no join is needed."""

    type: Literal["response"] = "response"
    call_id: Uuid
    operation: Name = "chat"
    provider: Name = ""
    request_model: Name = ""
    response_model: Name = ""
    response_id: Name = ""
    started_at_ns: Nanoseconds
    duration_us: Microseconds
    ttft_us: Microseconds | None = None
    """Time to the first token; unknown (None) when the call was not streamed."""
    stream: bool = False
    status: Literal["ok", "error"] = "ok"
    error_class: ErrorClass = ErrorClass.NONE
    error_type: Name = ""
    """The exception's class or the provider's error code; never its message."""
    http_status: Annotated[int, Field(ge=0, le=999)] | None = None
    retries: Annotated[int, Field(ge=0, le=65_535)] | None = None
    finish_reasons: list[Name] = Field(default_factory=list)
    service_tier: Name = ""
    usage: Usage | None = None
    usage_source: Literal["provider", "estimated", "missing"] = "missing"
    usage_convention: Name = ""
    """How the source counts (`openai`, `anthropic`, `otel` …): whether its input includes cached tokens, and so on."""
    usage_raw: dict[str, Any] | None = None
    tool_fees_nano_usd: NanoUsd = 0
    reported_cost_nano_usd: NanoUsd | None = None
    rate_limit_remaining_requests: Annotated[int, Field(ge=-(1 << 62), lt=1 << 62)] | None = None
    rate_limit_remaining_tokens: Annotated[int, Field(ge=-(1 << 62), lt=1 << 62)] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    capture: Literal["off", "hash", "full"] = "full"
    input: Any = None
    output: Any = None
    error_message: str = ""
    """Kept with the contents: providers quote the prompt in it."""
    retrieved: list[RetrievedDocument] = Field(default_factory=list)
    embedding: list[Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]] | None = None
    """Stored as 32-bit floats."""
    embedder: Name = ""


class StepEvent(_Traced):
    """A retrieval, tool, agent, workflow or guardrail step around calls."""

    type: Literal["step"] = "step"
    step_id: Uuid
    name: Name
    kind: Literal["retrieval", "tool", "agent", "workflow", "guardrail"]
    started_at_ns: Nanoseconds
    duration_us: Microseconds
    status: Literal["ok", "error"] = "ok"
    error_class: ErrorClass = ErrorClass.NONE
    error_type: Name = ""
    attributes: dict[Name, Name] = Field(default_factory=dict)
    input: Any = None
    output: Any = None
    retrieved: list[RetrievedDocument] = Field(default_factory=list)


class FeedbackEvent(_Event):
    """What a person said of an answer. Idempotent per (target, user, name): the last one wins."""

    type: Literal["feedback"] = "feedback"
    feedback_id: Uuid
    at_ns: Nanoseconds
    target_kind: Literal["call_id", "response_id", "trace_id"] = "call_id"
    target_id: Name
    name: Name = "thumbs"
    score: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | None = None
    label: Name = ""
    user_id: Name = ""
    comment: str = ""
    correction: str = ""


class ScoreEvent(_Event):
    """A score computed elsewhere: an evaluation, a judge."""

    type: Literal["score"] = "score"
    score_id: Uuid
    at_ns: Nanoseconds
    target_kind: Literal["call_id", "response_id", "trace_id"] = "call_id"
    target_id: Name
    name: Name
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    label: Name = ""
    scorer: Name = ""
    scorer_version: Name = ""
    status: Literal["ok", "error", "skipped"] = "ok"
    reason: Name = ""
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    request_model: Name = ""
    prompt_name: Name = ""
    prompt_version: Name = ""
    started_at_ns: Nanoseconds | None = None


class ContentEvent(_Event):
    """Texts of a call that travel apart from it, as OpenTelemetry's log events do: before or after it; each adds to the others."""

    type: Literal["content"] = "content"
    content_id: Uuid
    call_id: Uuid
    at_ns: Nanoseconds
    """Orders the messages of a call."""
    name: Name = ""
    """What kind of text it is, as OpenTelemetry names its events: `gen_ai.user.message`, `gen_ai.choice` …"""
    trace_id: Name = ""
    span_id: Name = ""
    capture: Literal["off", "hash", "full"] = "full"
    input: Any = None
    output: Any = None
    instrumentation: Name = ""
    request_model: Name = ""
    """Where the source says it; scores of these texts are kept under it."""


class DeployEvent(_Event):
    """A version of an application went live."""

    type: Literal["deploy"] = "deploy"
    deploy_id: Uuid
    at_ns: Nanoseconds
    version: Name
    note: Name = ""


class HeartbeatEvent(_Event):
    """A producer's own books, every five seconds and at its end; counts are exact and cumulative over the run."""

    type: Literal["heartbeat"] = "heartbeat"
    producer: Name
    at_ns: Nanoseconds
    emitted: Count
    delivered: Count
    spooled: Count
    dropped: Count
    dropped_by_reason: dict[Name, Count] = Field(default_factory=dict)
    oldest_unsent_ns: Nanoseconds | None = None
    closing: bool = False
    sdk: Name = ""


Event = Annotated[
    RequestEvent | ResponseEvent | StepEvent | FeedbackEvent | ScoreEvent | ContentEvent | DeployEvent | HeartbeatEvent,
    Field(discriminator="type"),
]
"""Anything that may stand on one line of an envelope."""

EVENTS: dict[str, type[_Event]] = {
    "request": RequestEvent,
    "response": ResponseEvent,
    "step": StepEvent,
    "feedback": FeedbackEvent,
    "score": ScoreEvent,
    "content": ContentEvent,
    "deploy": DeployEvent,
    "heartbeat": HeartbeatEvent,
}
"""Every event by its `type`."""
