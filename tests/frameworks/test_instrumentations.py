"""Third-party instrumentations, unchanged, exporting over OTLP to the real gateway: each says the same call, and it arrives once.

Kafka is in memory here; `tests/integration/gateway` has the real one.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
import uvicorn
from anthropic import Anthropic
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor as OpenAIV2
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from prometheus_client import CollectorRegistry

from llmtower_processors.gateway.app import Gateway, Parts, build_app
from llmtower_processors.gateway.keyring import Keyring
from llmtower_processors.gateway.serve import server_config
from llmtower_processors.gateway.sink import MemorySink
from llmtower_processors.registry_topic import RegistryRecord
from llmtower_schemas.events import ContentEvent, ResponseEvent
from llmtower_schemas.settings import GatewaySettings
from tests.standins.anthropic import USAGE as ANTHROPIC_USAGE
from tests.standins.anthropic import script
from tests.standins.oracle import our_cost
from tests.standins.service import serving

pytestmark = pytest.mark.filterwarnings("ignore")
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]


class NoKeys:
    """No keys at all."""

    async def poll(self) -> list[RegistryRecord]:
        return []

    async def close(self) -> None:
        pass


class Receiver:
    """A gateway on a real socket, and what it has taken."""

    def __init__(self) -> None:
        self.sink = MemorySink()
        parts = Parts(GatewaySettings(), self.sink, Keyring("shop"), NoKeys(), lambda event: orjson.dumps(event))
        app = build_app(Gateway(parts, CollectorRegistry()))
        self.server = uvicorn.Server(server_config(app, "127.0.0.1", 0, headers_s=30))
        threading.Thread(target=self.server.run, daemon=True).start()
        while not self.server.started:
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line.raw) for line in self.sink.lines]

    def calls(self) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["type"] == "response"]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.should_exit = True


@pytest.fixture
def receiver(gateway: Receiver) -> Receiver:
    gateway.sink.lines.clear()
    return gateway


@pytest.fixture
def provider(receiver: Receiver) -> Iterator[TracerProvider]:
    made = TracerProvider(resource=Resource({"service.name": "support-bot", "service.version": "1.8"}))
    made.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{receiver.url}/v1/traces")))
    yield made
    made.shutdown()


INSTRUMENTORS: dict[str, Callable[[], Any]] = {"OpenLLMetry": OpenLLMetry, "OpenInference": OpenInference, "openai-v2": OpenAIV2}
CACHED = {"OpenLLMetry": 8, "OpenInference": 8, "openai-v2": None}
"""What an instrumentation says of cached tokens; None: it depends on its release."""


@pytest.mark.parametrize("name", INSTRUMENTORS)
@pytest.mark.parametrize("stream", [False, True])
def test_openai_as_others_instrument_it(name: str, stream: bool, openai_url: str, receiver: Receiver, provider: TracerProvider) -> None:
    instrumentor = INSTRUMENTORS[name]()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        with openai.OpenAI(base_url=openai_url, api_key="k", max_retries=0) as client:
            if stream:
                list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}))
            else:
                client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    finally:
        instrumentor.uninstrument()
    (event,) = receiver.calls()
    checked = ResponseEvent.model_validate(event)
    assert (checked.app, checked.release, checked.project) == ("support-bot", "1.8", "shop")
    assert (checked.request_model, checked.operation, checked.usage_source) == ("gpt-4o", "chat", "provider")
    assert checked.usage is not None
    cached = checked.usage.cache_read_tokens if CACHED[name] is None or stream else CACHED[name]
    assert checked.usage.input_tokens + checked.usage.cache_read_tokens == 20
    assert checked.usage.cache_read_tokens == cached
    assert checked.usage.output_tokens + checked.usage.reasoning_tokens == 12
    assert our_cost(event) is not None


def test_texts_that_openai_v2_sends_apart_from_their_span(
    openai_url: str, receiver: Receiver, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    logger = LoggerProvider(resource=Resource({"service.name": "support-bot"}))
    logger.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=f"{receiver.url}/v1/logs")))
    instrumentor = OpenAIV2()
    instrumentor.instrument(tracer_provider=provider, logger_provider=logger, skip_dep_check=True)
    try:
        with openai.OpenAI(base_url=openai_url, api_key="k", max_retries=0) as client:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "system", "content": "Be brief."}, *MESSAGES])
    finally:
        instrumentor.uninstrument()
        logger.shutdown()
    (call,) = receiver.calls()
    texts = [event for event in receiver.events() if event["type"] == "content"]
    for event in texts:
        ContentEvent.model_validate(event)
    assert {(event["call_id"], event["app"]) for event in texts} == {(call["call_id"], "support-bot")}
    asked = [event["input"] for event in texts if "input" in event]
    assert asked == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    (answer,) = [event["output"] for event in texts if "output" in event]
    assert (answer["finish_reason"], answer["message"]["content"]) == ("stop", "hello world")


@pytest.mark.parametrize("name", INSTRUMENTORS)
def test_errors_as_others_instrument_them(name: str, openai_url: str, receiver: Receiver, provider: TracerProvider) -> None:
    instrumentor = INSTRUMENTORS[name]()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        with openai.OpenAI(base_url=openai_url, api_key="k", max_retries=0) as client, pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="error-429", messages=MESSAGES)
    finally:
        instrumentor.uninstrument()
    (event,) = receiver.calls()
    assert (event["status"], event["error_class"]) == ("error", "rate_limit")


def test_anthropic_as_openllmetry_instruments_it(receiver: Receiver, provider: TracerProvider) -> None:
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        with serving(script) as service, Anthropic(base_url=service.url, api_key="k", max_retries=0) as client:
            client.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=MESSAGES)
    finally:
        instrumentor.uninstrument()
    (event,) = receiver.calls()
    assert event["provider"] == "anthropic"
    usage = event["usage"]
    written, read = ANTHROPIC_USAGE["cache_creation_input_tokens"], ANTHROPIC_USAGE["cache_read_input_tokens"]
    assert (usage["input_tokens"], usage["cache_read_tokens"], usage["cache_write_tokens"]) == (25, read, written)
    assert usage["output_tokens"] == 90


def test_langchain_as_openinference_instruments_it(openai_url: str, receiver: Receiver, provider: TracerProvider) -> None:
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI

    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        model = ChatOpenAI(model="gpt-4o", base_url=openai_url, api_key="k", max_retries=0, use_responses_api=False)
        (ChatPromptTemplate.from_messages([("user", "{text}")]) | model).invoke({"text": "hi"})
    finally:
        instrumentor.uninstrument()
    (event,) = receiver.calls()
    assert event["usage"]["cache_read_tokens"] == 8
    steps = [event for event in receiver.events() if event["type"] == "step"]
    assert {step["kind"] for step in steps} == {"workflow"}


OPENLIT = """
import sys, openai, openlit
openlit.init(otlp_endpoint=sys.argv[1], application_name="support-bot", disable_batch=True, disable_metrics=True, pricing_json=sys.argv[3])
client = openai.OpenAI(base_url=sys.argv[2], api_key="k", max_retries=0)
client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
from opentelemetry import trace
trace.get_tracer_provider().force_flush()
"""


def test_openai_as_openlit_instruments_it(openai_url: str, receiver: Receiver, tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('{"chat": {"gpt-4o": {"promptPrice": 1, "completionPrice": 1}}}', "utf-8")
    command = [sys.executable, "-c", OPENLIT, receiver.url, openai_url, str(prices)]
    subprocess.run(command, timeout=100, check=True, capture_output=True)
    (event,) = receiver.calls()
    assert (event["app"], event["provider"], event["request_model"]) == ("support-bot", "openai", "gpt-4o")
    usage = event["usage"]
    assert usage["input_tokens"] + usage.get("cache_read_tokens", 0) == 20
    assert "reported_cost_nano_usd" not in event
