"""LlamaIndex: models, embeddings and retrievals by its own instrumentation.

llmtower.integrations.llama_index.instrument()
"""

from collections import OrderedDict
from typing import Any, Final

from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers.base import BaseEventHandler
from llama_index.core.instrumentation.span_handlers.base import BaseSpanHandler
from pydantic import PrivateAttr

from llmtower import scope
from llmtower.calls import Call, call
from llmtower.errors import internal_error
from llmtower.steps import Step, step
from llmtower.streams import conclude

_NAME: Final = "llmtower.llama_index"
_MOST: Final = 10_000
_HANDLERS: list[Any] = []


class Records:
    """What is open, by LlamaIndex's span ids."""

    def __init__(self) -> None:
        self.open: OrderedDict[str, Call | Step] = OrderedDict()
        self.parents: OrderedDict[str, str | None] = OrderedDict()
        self.last: dict[str, Any] = {}
        self.outside: dict[str, Any] = {}
        """What lay around a record where it was opened."""

    def around(self, span_id: str | None) -> Call | Step | None:
        """Give the nearest enclosing record."""
        for _ in range(64):
            span_id = self.parents.get(span_id) if span_id else None
            if span_id is None:
                return None
            if found := self.open.get(span_id):
                return found
        return None

    def begin(self, span_id: str | None, make: Any) -> None:
        """Open a record under its parent, unless that is a call; within it, another instrumentation sees the same call again."""
        if span_id is None:
            return
        around = self.around(span_id)
        token = scope.parent.set(around) if around is not None else None
        try:
            made = None if scope.within_call() else make()
        finally:
            if token is not None:
                scope.parent.reset(token)
        if made is None:
            return
        self.open[span_id] = made
        if getattr(made, "kind", "") != "workflow":
            self.outside[span_id] = scope.parent.get()
            scope.parent.set(made)
        if len(self.open) > _MOST:
            forgotten, _ = self.open.popitem(last=False)
            self.last.pop(forgotten, None)
            self.outside.pop(forgotten, None)

    def leave(self, span_id: str) -> None:
        """Let what follows in this context lie outside of a record."""
        if span_id in self.outside:
            outside = self.outside.pop(span_id)
            if scope.parent.get() is self.open.get(span_id):
                scope.parent.set(outside)

    def end(self, span_id: str | None, **given: Any) -> None:
        """Close a record."""
        self.leave(span_id or "")
        found = self.open.pop(span_id, None) if span_id else None
        self.last.pop(span_id or "", None)
        if found is not None:
            found.finish(**given)


class EventHandler(BaseEventHandler):  # type: ignore[misc]  # llama_index is no dependency of the type check
    """Takes LlamaIndex's events; never raises into it."""

    _records: Records = PrivateAttr(default_factory=Records)

    @classmethod
    def class_name(cls) -> str:
        """Name the handler."""
        return "LLMTowerEventHandler"

    def handle(self, event: Any, **_: Any) -> None:
        """Take one event."""
        try:
            taker = _TAKERS.get(event.class_name())
            if taker is not None:
                taker(self._records, event)
        except Exception:
            internal_error("llama_index")


class SpanHandler(BaseSpanHandler[Any]):  # type: ignore[misc]
    """Learns which span lies in which, and what failed."""

    _records: Records = PrivateAttr(default_factory=Records)

    @classmethod
    def class_name(cls) -> str:
        """Name the handler."""
        return "LLMTowerSpanHandler"

    def new_span(self, id_: str, bound_args: Any, instance: Any = None, parent_span_id: str | None = None, **_: Any) -> None:
        """A span begins; the outermost one is a workflow."""
        try:
            self._records.parents[id_] = parent_span_id
            if len(self._records.parents) > _MOST:
                self._records.parents.popitem(last=False)
            if parent_span_id is None and instance is not None and "query" in id_.lower():
                self._records.begin(id_, lambda: step(id_.rpartition("-")[0].partition("-")[0], kind="workflow"))
        except Exception:
            internal_error("llama_index")

    def prepare_to_exit_span(self, id_: str, bound_args: Any, instance: Any = None, result: Any = None, **_: Any) -> None:
        """A span has ended; what its end event has closed already stays closed."""
        if isinstance(self._records.open.get(id_), Step):
            self._close(id_, None)

    def prepare_to_drop_span(self, id_: str, bound_args: Any, instance: Any = None, err: BaseException | None = None, **_: Any) -> None:
        """A span has failed."""
        self._close(id_, err)

    def _close(self, id_: str, error: BaseException | None) -> None:
        try:
            self._records.end(id_, error=error)
        except Exception:
            internal_error("llama_index")


def instrument() -> None:
    """Record everything LlamaIndex does in this process; a second time changes nothing."""
    if _HANDLERS:
        return
    events, spans = EventHandler(), SpanHandler()
    spans._records = events._records
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    _HANDLERS.extend((events, spans))


def _chat_started(records: Records, event: Any) -> None:
    _call_started(records, event, "chat", [_message(one) for one in event.messages])


def _completion_started(records: Records, event: Any) -> None:
    _call_started(records, event, "text_completion", event.prompt)


def _call_started(records: Records, event: Any, operation: str, asked: Any) -> None:
    told = dict(event.model_dict)
    model = str(told.get("model") or told.get("model_name") or "")
    parameters = {name: told[name] for name in ("temperature", "max_tokens", "top_p") if told.get(name) is not None}
    provider = str(told.get("class_name") or "").lower().removesuffix("_llm")
    records.begin(
        event.span_id,
        lambda: call(provider=provider, model=model, operation=operation, input=asked, parameters=parameters, instrumentation=_NAME),
    )


def _token(records: Records, event: Any) -> None:
    found = records.open.get(event.span_id)
    if isinstance(found, Call):
        found.first_token()
        records.leave(event.span_id)  # between tokens the caller's own code runs, in this very context
        records.last[event.span_id] = event.response


def _stream_failed(records: Records, event: Any) -> None:
    """A stream broke, or was left: what had come is kept, and its tokens estimated."""
    found, last = records.open.get(event.span_id), records.last.get(event.span_id)
    if isinstance(found, Call):
        message = getattr(last, "message", None)
        said = getattr(last, "text", None) if message is None else _message(message)
        conclude(found, {"output": said or None}, {}, event.exception)
        records.end(event.span_id)


def _chat_ended(records: Records, event: Any) -> None:
    answer = event.response
    raw = _mapping(getattr(answer, "raw", None))
    message = getattr(answer, "message", None)
    records.end(event.span_id, output=None if message is None else _message(message), **_told(raw))


def _completion_ended(records: Records, event: Any) -> None:
    records.end(event.span_id, output=event.response.text, **_told(_mapping(event.response.raw)))


def _told(raw: dict[str, Any]) -> dict[str, Any]:
    choices = [one for one in map(_mapping, raw.get("choices") or ()) if one]
    usage = _mapping(raw.get("usage"))
    return {
        "usage": usage or None,
        "response_id": str(raw.get("id") or ""),
        "response_model": str(raw.get("model") or ""),
        "finish_reasons": [str(one["finish_reason"]) for one in choices if one.get("finish_reason")],
    }


def _embedding_started(records: Records, event: Any) -> None:
    told = dict(event.model_dict)
    model = str(told.get("model_name") or told.get("model") or "")
    provider = str(told.get("class_name") or "").lower().removesuffix("embedding")
    records.begin(event.span_id, lambda: call(provider=provider, model=model, operation="embeddings", instrumentation=_NAME))


def _embedding_ended(records: Records, event: Any) -> None:
    records.end(event.span_id)


def _retrieval_started(records: Records, event: Any) -> None:
    query = getattr(event.str_or_query_bundle, "query_str", event.str_or_query_bundle)
    records.begin(event.span_id, lambda: step("retrieve", kind="retrieval", input=query))


def _retrieval_ended(records: Records, event: Any) -> None:
    found = [{"id": one.node.node_id, "score": one.score, "text": one.node.get_content()} for one in event.nodes]
    records.end(event.span_id, retrieved=found)


def _message(message: Any) -> dict[str, Any]:
    role = getattr(message, "role", "")
    said = {"role": str(getattr(role, "value", role)), "content": getattr(message, "content", None) or ""}
    blocks = [block for block in getattr(message, "blocks", None) or () if getattr(block, "block_type", "") == "tool_call"]
    calls = (getattr(message, "additional_kwargs", None) or {}).get("tool_calls") or blocks
    return {**said, "tool_calls": calls} if calls else said


def _mapping(value: Any) -> dict[str, Any]:
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    return dict(value) if isinstance(value, dict) else {}


_TAKERS: Final = {
    "LLMChatStartEvent": _chat_started,
    "LLMCompletionStartEvent": _completion_started,
    "LLMChatInProgressEvent": _token,
    "LLMCompletionInProgressEvent": _token,
    "LLMChatEndEvent": _chat_ended,
    "LLMCompletionEndEvent": _completion_ended,
    "EmbeddingStartEvent": _embedding_started,
    "EmbeddingEndEvent": _embedding_ended,
    "ExceptionEvent": _stream_failed,
    "RetrievalStartEvent": _retrieval_started,
    "RetrievalEndEvent": _retrieval_ended,
}
"""What is taken, by event."""
