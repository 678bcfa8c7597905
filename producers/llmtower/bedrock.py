"""`wrap_bedrock`: the same boto3 client (`bedrock-runtime`) back, whose `converse` and `converse_stream` are recorded."""

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from llmtower.errors import internal_error
from llmtower.methods import Asked, Method, record_methods, refuse
from llmtower.streams import Record, tell_close

ClientT = TypeVar("ClientT")

_NO_PARAMETERS = ("modelId", "messages", "system")


def wrap_bedrock(client: ClientT, *, provider: str | None = None) -> ClientT:
    """Record every `converse` and `converse_stream` of a `boto3.client("bedrock-runtime")`; `invoke_model` is left alone."""
    try:
        if not callable(getattr(client, "converse", None)):
            refuse("wrap_bedrock", "bedrock-runtime client of boto3 1.37 or newer", client, "boto3", extra="bedrock")
        record_methods(client, _METHODS, provider or "aws.bedrock", "llmtower.bedrock")
    except Exception:
        internal_error("wrap_bedrock")
    return client


def _asked(given: Mapping[str, Any]) -> Asked:
    messages, system = given.get("messages"), given.get("system")
    if system and isinstance(messages, (list, tuple)):
        messages = [{"role": "system", "content": system}, *messages]
    return Asked(given.get("modelId"), messages, {key: value for key, value in given.items() if key not in _NO_PARAMETERS})


def _details(answer: Any) -> dict[str, Any]:
    """Read the metadata that stand beside an answer and on exceptions."""
    answer = answer if isinstance(answer, dict) else getattr(answer, "response", None) or {}
    metadata = answer.get("ResponseMetadata") or {}
    return {"retries": metadata.get("RetryAttempts"), "http_status": metadata.get("HTTPStatusCode")}


def whole(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an answer says; Bedrock's id of it is that of the request."""
    message, reason = (answer.get("output") or {}).get("message"), answer.get("stopReason")
    return {
        "output": [message] if message else None,
        "usage": answer.get("usage"),
        "response_id": (answer.get("ResponseMetadata") or {}).get("RequestId") or "",
        "finish_reasons": (reason,) if reason else (),
        "details": {"service_tier": (answer.get("serviceTier") or {}).get("type") or ""},
    }


@dataclass(slots=True)
class Events:
    """Puts a streamed answer together, from events in the shape boto3 gives them."""

    id: str = ""
    role: str = "assistant"
    reason: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the model has said why it stopped."""
        return bool(self.reason)

    def add(self, event: Mapping[str, Any]) -> bool:
        """Take an event; says whether it brought any token."""
        for kind, body in event.items():
            if kind == "contentBlockDelta":
                return self._delta(self.blocks.setdefault(body.get("contentBlockIndex") or 0, {}), body.get("delta") or {})
            if kind == "contentBlockStart":
                tool = (body.get("start") or {}).get("toolUse") or {}
                self.blocks[body.get("contentBlockIndex") or 0] = {"toolUse": tool}
            elif kind == "messageStart":
                self.role = body.get("role") or self.role
            elif kind == "messageStop":
                self.reason = body.get("stopReason") or ""
            elif kind == "metadata":
                self.metadata = body
            elif kind == "ResponseMetadata":  # the answer that brought the stream
                self.id = body.get("RequestId") or ""
        return False

    @staticmethod
    def _delta(block: dict[str, Any], delta: Mapping[str, Any]) -> bool:
        for name, place in (("text", delta), ("input", delta.get("toolUse") or {}), ("reasoning", delta.get("reasoningContent") or {})):
            text = place.get("text" if name == "reasoning" else name)
            if text:
                block.setdefault(name, []).append(text)
                return True
        return False

    def facts(self) -> dict[str, Any]:
        """Give what is known so far, in the shape of a whole answer."""
        content = [_block(block) for _, block in sorted(self.blocks.items())]
        answer = {**self.metadata, "output": {"message": {"role": self.role, "content": content} if content else None}}
        return whole({**answer, "stopReason": self.reason, "ResponseMetadata": {"RequestId": self.id}})


def _block(block: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: "".join(block.get(name, ())) for name in ("text", "input", "reasoning")}
    if "toolUse" in block:
        return {"toolUse": {**block["toolUse"], "input": texts["input"]}}
    if texts["reasoning"]:
        return {"reasoningContent": {"reasoningText": {"text": texts["reasoning"]}}}
    return {"text": texts["text"]}


def _watch(answer: dict[str, Any], record: Record) -> dict[str, Any]:
    """Record what an event stream brings: as it is parsed, where its errors are raised too, and how its bytes end."""
    stream = answer["stream"]
    record.passes(answer)
    stream._parse_event = _parsing(stream._parse_event, record)
    stream._event_generator = _ending(stream._event_generator, record)
    tell_close(stream, record)
    weakref.finalize(stream, record.abandon).atexit = False
    return answer


def _parsing(parse: Callable[[Any], Any], record: Record) -> Callable[[Any], Any]:
    def parsed(event: Any) -> Any:
        try:
            found = parse(event)
        except BaseException as error:
            record.end(error)
            raise
        if found:
            record.passes(found)
        return found

    return parsed


def _ending(inner: Iterator[Any], record: Record) -> Iterator[Any]:
    try:
        yield from inner
    except GeneratorExit:
        record.abandon()
        raise
    except BaseException as error:
        record.end(error)
        raise
    record.end(None)


_METHODS = {
    "converse": Method("chat", _asked, whole, Events, _details),
    "converse_stream": Method("chat", lambda given: _asked(given)._replace(stream=True), whole, Events, _details, _watch),
}
"""What is recorded, by method."""
