"""Spans as each dialect writes them, and the event they become: every generation says the same call."""

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from llmtower_processors.otel import protobuf
from llmtower_processors.otel.convert import Converted, convert
from llmtower_processors.otel.dialects import FIELDS
from llmtower_processors.otel.hear import hear
from llmtower_processors.otel.ids import identity, span_uuid
from llmtower_processors.otel.model import Rejected, Span
from llmtower_processors.otel.usage import count
from llmtower_processors.pricing import PriceBook
from llmtower_schemas.codec import decode_line
from llmtower_schemas.events import ResponseEvent, StepEvent
from tests.otel.exports import NOW_NS, PARENT, SPAN, TRACE, span, traces

ASKED = [{"role": "user", "content": "Where is my order?"}]
ANSWERED = [{"role": "assistant", "content": "On its way.", "finish_reason": "stop"}]
SEMCONV_27 = {
    "gen_ai.system": "openai",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.request.temperature": 0.5,
    "gen_ai.usage.prompt_tokens": 100,
    "gen_ai.usage.completion_tokens": 50,
    "gen_ai.prompt": json.dumps(ASKED),
    "gen_ai.completion": json.dumps(ANSWERED),
}
SEMCONV_37 = {
    "gen_ai.provider.name": "openai",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.request.temperature": 0.5,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.cache_read.input_tokens": 40,
    "gen_ai.conversation.id": "s-1",
    "gen_ai.input.messages": json.dumps(ASKED),
    "gen_ai.output.messages": json.dumps(ANSWERED),
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o",
    "llm.invocation_parameters": '{"temperature": 0.5}',
    "llm.token_count.prompt": 100,
    "llm.token_count.completion": 50,
    "llm.token_count.prompt_details.cache_read": 40,
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "Where is my order?",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "On its way.",
    "session.id": "s-1",
    "llm.cost.total": 99.0,
}
OPENLLMETRY = {
    "llm.request.type": "chat",
    "gen_ai.system": "OpenAI",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.request.temperature": 0.5,
    "llm.is_streaming": False,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.cache_read_input_tokens": 40,
    "llm.usage.total_tokens": 150,
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "Where is my order?",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "On its way.",
    "gen_ai.completion.0.finish_reason": "stop",
    "traceloop.association.properties.session_id": "s-1",
    "traceloop.association.properties.team": "blue",
}
OPENLIT = {
    "gen_ai.system": "openai",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.is_stream": True,
    "gen_ai.server.time_to_first_token": 0.25,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.cost": 42.0,
    "gen_ai.response.finish_reasons": ["stop"],
}
DIALECTS: dict[str, tuple[dict[str, Any], list[tuple[str, int, dict[str, Any]]]]] = {
    "semantic conventions 1.27": (SEMCONV_27, []),
    "semantic conventions 1.37": (SEMCONV_37, []),
    "OpenInference": (OPENINFERENCE, []),
    "OpenLLMetry": (OPENLLMETRY, []),
    "OpenLIT": (
        OPENLIT,
        [
            ("gen_ai.content.prompt", NOW_NS, {"gen_ai.prompt": json.dumps(ASKED)}),
            ("gen_ai.content.completion", NOW_NS, {"gen_ai.completion": json.dumps(ANSWERED)}),
        ],
    ),
}


def read(attributes: dict[str, Any], **given: Any) -> Span:
    (found,) = protobuf.read_spans(traces([span(attributes, **given)]).SerializeToString())
    assert isinstance(found, Span)
    return found


def event_of(attributes: dict[str, Any], **given: Any) -> Any:
    made = convert(read(attributes, **given), "shop", NOW_NS)
    assert isinstance(made, Converted)
    assert made.event is not None
    return decode_line(orjson.dumps(made.event))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same_call(dialect: str) -> None:
    attributes, events = DIALECTS[dialect]
    event = event_of(attributes, events=events, parent_id=PARENT)
    assert isinstance(event, ResponseEvent)
    assert (event.project, event.app, event.release, event.environment) == ("shop", "support-bot", "1.8", "staging")
    assert (event.provider, event.request_model, event.operation) == ("openai", "gpt-4o", "chat")
    assert (event.call_id, event.parent_id) == (span_uuid("shop", TRACE, SPAN), span_uuid("shop", TRACE, PARENT))
    assert (event.trace_id, event.span_id, event.duration_us) == (TRACE, SPAN, 2_000_000)
    assert event.parameters["temperature"] == 0.5
    assert event.usage is not None
    cached = 0 if dialect in ("OpenLIT", "semantic conventions 1.27") else 40
    assert (event.usage.input_tokens, event.usage.cache_read_tokens, event.usage.output_tokens) == (100 - cached, cached, 50)
    assert (event.usage_source, event.usage_convention) == ("provider", "otel")
    assert event.reported_cost_nano_usd is None
    assert event.input[0]["content"] == "Where is my order?"
    assert event.output[0]["content"] == "On its way."
    if dialect != "OpenInference":
        assert (event.response_id, event.response_model, event.finish_reasons) == ("chatcmpl-1", "gpt-4o-2024-08-06", ["stop"])
    if dialect not in ("OpenLIT", "semantic conventions 1.27"):
        assert event.session_id == "s-1"


def test_prices_are_those_of_the_tokens_not_of_the_instrumentation() -> None:
    event = event_of(OPENLLMETRY)
    assert PriceBook().price(event).total == 60 * 2_500 + 40 * 1_250 + 50 * 10_000


def test_what_streams_say_of_their_first_token() -> None:
    attributes, events = DIALECTS["OpenLIT"]
    assert event_of(attributes, events=events).ttft_us == 250_000
    chunk: tuple[str, int, dict[str, Any]] = ("llm.content.completion.chunk", NOW_NS - 1_500_000_000, {})
    streamed = event_of(OPENLLMETRY | {"llm.is_streaming": True}, events=[chunk])
    assert (streamed.stream, streamed.ttft_us) == (True, 500_000)
    not_streamed = event_of(OPENLIT | {"gen_ai.request.is_stream": False, "gen_ai.server.ttft": 2.0})
    assert not_streamed.ttft_us is None


@pytest.mark.parametrize(
    ("attributes", "buckets", "convention"),
    [
        ({"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 0}, {"input_tokens": 10}, "otel"),
        (
            {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read_input_tokens": 90},
            {"input_tokens": 10, "cache_read_tokens": 90},
            "otel-exclusive",
        ),
        (
            {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.cache_read.input_tokens": 60, "gen_ai.usage.cache_creation.input_tokens": 40},
            {"cache_read_tokens": 60, "cache_write_tokens": 40},
            "otel",
        ),
        (
            {"gen_ai.usage.output_tokens": 100, "gen_ai.usage.reasoning.output_tokens": 70},
            {"output_tokens": 30, "reasoning_tokens": 70},
            "otel",
        ),
        ({"gen_ai.usage.input_tokens": "12"}, {"input_tokens": 12}, "otel"),
        ({"gen_ai.usage.input_tokens": -1}, None, "otel"),
        ({"gen_ai.usage.input_tokens": 1.5}, None, "otel"),
        ({"gen_ai.usage.input_tokens": True}, None, "otel"),
        ({"gen_ai.usage.input_tokens": 10**12}, None, "otel"),
        ({}, None, ""),
    ],
)
def test_counts_become_exclusive_buckets_or_nothing(attributes: dict[str, Any], buckets: dict[str, int] | None, convention: str) -> None:
    heard = hear(attributes)
    found = count(heard.said, heard.usage)
    assert (found.buckets, found.convention) == (buckets, convention)
    assert found.raw == attributes


@pytest.mark.parametrize(
    ("attributes", "given", "expected"),
    [
        ({"error.type": "429"}, {"code": 2}, ("rate_limit", "429")),
        ({"error.type": "RateLimitError"}, {"code": 2}, ("rate_limit", "RateLimitError")),
        ({"error.type": "timeout"}, {}, ("timeout", "timeout")),
        ({"http.response.status_code": 503}, {"code": 2}, ("server", "error")),
        (
            {},
            {"code": 2, "events": [("exception", NOW_NS, {"exception.type": "APIConnectionError"})]},
            ("network", "APIConnectionError"),
        ),
        ({"error.type": "content_filter"}, {"code": 2}, ("content_filter", "content_filter")),
        ({"error.type": "_OTHER"}, {"code": 2}, ("other", "_OTHER")),
    ],
)
def test_errors_by_class(attributes: dict[str, Any], given: dict[str, Any], expected: tuple[str, str]) -> None:
    event = event_of(SEMCONV_37 | attributes, **given)
    assert (event.status, event.error_class, event.error_type) == ("error", *expected)


@pytest.mark.parametrize(
    ("attributes", "kind", "name"),
    [
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}, "agent", "planner"),
        (
            {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.arguments": '{"q": 1}'},
            "tool",
            "search",
        ),
        ({"openinference.span.kind": "RETRIEVER", "input.value": "q"}, "retrieval", "chat gpt-4o"),
        ({"openinference.span.kind": "CHAIN"}, "workflow", "chat gpt-4o"),
        ({"openinference.span.kind": "GUARDRAIL"}, "guardrail", "chat gpt-4o"),
        ({"traceloop.span.kind": "workflow", "traceloop.entity.name": "answer"}, "workflow", "answer"),
    ],
)
def test_spans_around_calls_are_steps(attributes: dict[str, Any], kind: str, name: str) -> None:
    event = event_of(attributes)
    assert isinstance(event, StepEvent)
    assert (event.kind, event.name, event.step_id) == (kind, name, span_uuid("shop", TRACE, SPAN))


def test_a_retriever_tells_what_it_found() -> None:
    event = event_of(
        {
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.id": "d-1",
            "retrieval.documents.0.document.score": 0.75,
            "retrieval.documents.0.document.content": "Orders ship in two days.",
            "retrieval.documents.1.document.id": "d-2",
        }
    )
    assert [(found.id, found.score, found.text) for found in event.retrieved] == [
        ("d-1", 0.75, "Orders ship in two days."),
        ("d-2", None, None),
    ]


def test_an_embedding_span_carries_its_vector() -> None:
    event = event_of(
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "text-embedding-3-small",
            "embedding.embeddings.0.embedding.text": "hello",
            "embedding.embeddings.0.embedding.vector": [0.5, -0.5],
        }
    )
    assert (event.operation, event.request_model, event.embedding, event.input) == (
        "embeddings",
        "text-embedding-3-small",
        [0.5, -0.5],
        ["hello"],
    )


def test_what_is_no_span_of_ours_is_left_out() -> None:
    assert convert(read({"http.route": "/ask"}), "shop", NOW_NS) == Converted("out", None)


@pytest.mark.parametrize("start_ns", [0, NOW_NS - 401 * 86_400 * 10**9, NOW_NS + 2 * 3_600 * 10**9])
def test_a_clock_far_off_is_told_to_the_sender(start_ns: int) -> None:
    assert convert(read(SEMCONV_37, start_ns=start_ns, end_ns=start_ns + 5), "shop", NOW_NS) == Rejected("time out of range")


def test_an_end_or_a_first_token_in_a_far_future_is_none() -> None:
    far = (1 << 64) - 1
    assert convert(read(SEMCONV_37, end_ns=far), "shop", NOW_NS) == Rejected("time out of range")
    assert event_of(SEMCONV_37, events=[("First Token Stream Event", far, {})]).ttft_us is None


def test_an_end_before_the_start_is_no_negative_duration() -> None:
    assert event_of(SEMCONV_37, end_ns=NOW_NS - 3_000_000_000).duration_us == 0


def test_absurd_numbers_in_flattened_names_cost_nothing() -> None:
    numbers = ("99999999", "-1", "3", "x")
    attributes = {f"gen_ai.prompt.{number}.content": number for number in numbers} | {"gen_ai.prompt.x": 1}
    assert hear(attributes).lists == {"gen_ai.prompt": [{"content": "3"}]}


def test_identities_differ_by_project_kind_and_id_and_fit_the_headers() -> None:
    made = {identity(project, kind, one) for project in "ab" for kind in ("request", "response") for one in map(str, range(500))}
    assert len(made) == 2_000
    assert all(0 <= found.seq < 1 << 62 and found.producer.startswith("id-") for found in made)
    assert identity("a", "response", "1") == identity("a", "response", "1")


def test_no_attribute_stands_for_two_fields() -> None:
    names = [name for field in FIELDS for name in field.attributes]
    assert len(names) == len(set(names))


def test_long_names_are_cut_to_what_an_event_may_hold() -> None:
    wide: Callable[[str], str] = lambda name: name * 1_000  # noqa: E731
    event = event_of(SEMCONV_37 | {"gen_ai.request.model": wide("m"), "user.id": wide("ü"), "gen_ai.agent.name": wide("a")})
    assert (len(event.request_model), len(event.user_id), len(event.tags["agent"])) == (256, 256, 256)
