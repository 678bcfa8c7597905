"""What was asked and answered, from wherever a dialect keeps it: attributes, flattened lists, span events."""

from collections.abc import Mapping
from typing import Any, Final

from llmtower_processors.otel.dialects import CHOICE, DETAILS, MESSAGES
from llmtower_processors.otel.flat import Lists, loads
from llmtower_processors.otel.model import Span

_SYSTEM: Final = "gen_ai.system_instructions"


def asked(span: Span, lists: Lists) -> Any:
    """Give the input as JSON value, or None."""
    given = span.attributes
    found = loads(given.get("gen_ai.input.messages"))
    if found is None:
        found = (
            lists.get("gen_ai.prompt")
            or [_unwrap(item, "message") for item in lists.get("llm.input_messages", ())]
            or _of_events(span, "gen_ai.input.messages", "gen_ai.prompt", ("gen_ai.content.prompt",))
            or [{**role, **event.attributes} for event in span.events if (role := _role(event.name))]
            or _plain(given, ("gen_ai.prompt", "gen_ai.content.prompt", "traceloop.entity.input", "gen_ai.tool.call.arguments"))
            or _plain(given, ("gen_ai.retrieval.query.text", "input.value"))
            or [_unwrap(item, "embedding").get("text") for item in lists.get("embedding.embeddings", ())]
        )
    return with_system(found, loads(given.get(_SYSTEM)))


def with_system(found: Any, system: Any) -> Any:
    """Put system instructions before what was asked."""
    if system and isinstance(found, list):
        return [{"role": "system", "content": system}, *found]
    return found or (system or None)


def answered(span: Span, lists: Lists) -> Any:
    """Give the output as JSON value, or None."""
    given = span.attributes
    return (
        loads(given.get("gen_ai.output.messages"))
        or lists.get("gen_ai.completion")
        or [_unwrap(item, "message") for item in lists.get("llm.output_messages", ())]
        or _of_events(span, "gen_ai.output.messages", "gen_ai.completion", ("gen_ai.content.completion",))
        or [dict(event.attributes) for event in span.events if event.name == CHOICE]
        or _plain(given, ("gen_ai.completion", "gen_ai.content.completion", "traceloop.entity.output"))
        or _plain(given, ("gen_ai.tool.call.result", "output.value"))
        or None
    )


def finish_reasons(output: Any) -> list[str]:
    """Give the finish reasons that output messages carry themselves."""
    items = output if isinstance(output, list) else [output]
    found = [item.get("finish_reason") for item in items if isinstance(item, dict)]
    return [reason for reason in found if isinstance(reason, str) and reason]


def documents(span: Span, lists: Lists) -> list[dict[str, Any]]:
    """Give what was retrieved: id, score and text."""
    if flat := lists.get("retrieval.documents") or lists.get("reranker.output_documents"):
        return [_document(_unwrap(item, "document")) for item in flat[:100]]
    listed = loads(span.attributes.get("gen_ai.retrieval.documents"))
    return [_document(item) for item in listed if isinstance(item, dict)][:100] if isinstance(listed, list) else []


def _document(item: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"id": str(item.get("id") or "")[:1024]}
    score = item.get("score")
    if isinstance(score, (int, float)) and not isinstance(score, bool) and score == score and abs(score) != float("inf"):
        made["score"] = float(score)
    text = item.get("content", item.get("text"))
    if isinstance(text, str):
        made["text"] = text
    return made


def vector(lists: Lists) -> list[float] | None:
    """Give an embedding that the span carries, if there is exactly one."""
    found = [_unwrap(item, "embedding").get("vector") for item in lists.get("embedding.embeddings", ())]
    if len(found) != 1 or not isinstance(found[0], list):
        return None
    return [float(number) for number in found[0] if isinstance(number, (int, float)) and abs(number) <= 1e30] or None


def _unwrap(item: Any, name: str) -> dict[str, Any]:
    """OpenInference nests each item once more: `llm.input_messages.0.message.role`."""
    inner = item.get(name, item) if isinstance(item, dict) else {}
    return inner if isinstance(inner, dict) else {}


def _role(event: str) -> dict[str, Any]:
    role = MESSAGES.get(event, ("", ""))[1]
    return {"role": role} if role else {}


def _of_events(span: Span, name: str, older: str, events: tuple[str, ...]) -> Any:
    for event in span.events:
        if event.name == DETAILS and name in event.attributes:
            return loads(event.attributes[name])
        if event.name in events and older in event.attributes:
            return loads(event.attributes[older])
    return None


def _plain(given: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((loads(given[name]) for name in names if given.get(name)), None)
