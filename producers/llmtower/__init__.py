"""Record LLM calls from an application: nothing lost, nothing slowed, nothing raised.

    import llmtower

    llmtower.configure(app="shop", bootstrap_servers="localhost:9092")
    client = llmtower.wrap_openai(openai.OpenAI())

Importing this package loads neither Kafka's client nor pydantic: that happens in `configure`.
"""

from typing import TYPE_CHECKING, Any

from llmtower.anthropic import wrap_anthropic
from llmtower.api import close, configure, feedback, flush, record, score, stats
from llmtower.bedrock import wrap_bedrock
from llmtower.calls import Call, call
from llmtower.chroma import wrap_chroma
from llmtower.gemini import wrap_gemini
from llmtower.ollama import wrap_ollama
from llmtower.openai import wrap_openai
from llmtower.scope import context, traceparent
from llmtower.steps import Step, step
from llmtower.tools import tool

if TYPE_CHECKING:
    from llmtower import prompts
    from llmtower.books import Stats
    from llmtower.prompts import prompt
    from llmtower.run import FlushReport
    from llmtower_schemas.events import DeployEvent, FeedbackEvent, ResponseEvent, ScoreEvent, Usage

__version__ = "0.1.0"

__all__ = [
    "Call",
    "DeployEvent",
    "FeedbackEvent",
    "FlushReport",
    "ResponseEvent",
    "ScoreEvent",
    "Stats",
    "Step",
    "Usage",
    "call",
    "close",
    "configure",
    "context",
    "feedback",
    "flush",
    "prompt",
    "prompts",
    "record",
    "score",
    "stats",
    "step",
    "tool",
    "traceparent",
    "wrap_anthropic",
    "wrap_bedrock",
    "wrap_chroma",
    "wrap_gemini",
    "wrap_ollama",
    "wrap_openai",
]

_LATER = {
    "DeployEvent": "llmtower_schemas.events",
    "FeedbackEvent": "llmtower_schemas.events",
    "FlushReport": "llmtower.run",
    "ResponseEvent": "llmtower_schemas.events",
    "ScoreEvent": "llmtower_schemas.events",
    "Stats": "llmtower.books",
    "Usage": "llmtower_schemas.events",
    "prompt": "llmtower.prompts",
}
"""Names that need pydantic or Kafka's client, loaded at first use."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(_LATER[name]), name)
    if name == "prompts":
        from importlib import import_module

        return import_module("llmtower.prompts")
    raise AttributeError(f"module 'llmtower' has no attribute {name!r}")
