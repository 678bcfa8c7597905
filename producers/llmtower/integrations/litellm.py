"""LiteLLM, as a library and as a proxy: a logger that records what its `standard_logging_object` says of each call.

litellm.callbacks = [LLMTowerLogger()]                     # in an application
callbacks: ["llmtower.integrations.litellm.handler"]       # below litellm_settings, in the proxy's config.yaml

The proxy configures nothing, so `handler` is made when its name is looked up, and configures from the environment where nothing is yet.
"""

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, Final

from litellm.integrations.custom_logger import CustomLogger

from llmtower import scope, state
from llmtower.api import configure
from llmtower.classification import Failure
from llmtower.errors import internal_error
from llmtower.ids import new_id
from llmtower.recording import record
from llmtower.usage import convert
from llmtower_schemas.error_classes import by_code, by_names, by_status

_OPERATIONS: Final = {"embedding": "embeddings", "aembedding": "embeddings", "text_completion": "text_completion"}
_NAME: Final = "llmtower.litellm"
_OWNERS: Final = {"litellm_key": "user_api_key_alias", "litellm_team": "user_api_key_team_alias"}
_LEFT: Final[dict[str, Any]] = {
    "status": "error",
    "error_class": "cancelled",
    "error_type": "ClientDisconnected",
    "finish_reasons": [],  # LiteLLM fills in one that the provider never gave
}
_MOST: Final = 10_000
"""Calls that never end are forgotten, the oldest first."""


class _Underway:
    """A call of LiteLLM's while it is at the provider."""

    __slots__ = ("call_id", "closed", "told")

    def __init__(self) -> None:
        self.call_id = new_id()
        self.closed = True
        self.told = False


class _Within:
    """What surrounds a client that LiteLLM asks: if it is wrapped as well it sees the same call, and leaves it to us.

    A call that is cancelled ends without a word; so whoever asks is within it only while LiteLLM's own frame is on the stack.
    """

    __slots__ = ("found", "frame", "id", "made", "outside", "parent")

    def __init__(self, made: _Underway, outside: Any) -> None:
        while isinstance(outside, _Within) and outside.closed:  # what a cancelled call has left behind
            outside = outside.outside
        self.made, self.frame = made, _outermost_frame()
        self.outside: Any = outside
        self.parent, self.id, self.found = outside, getattr(outside, "id", None), getattr(outside, "found", None)

    @property
    def closed(self) -> bool:
        """Say whether the call is over."""
        return self.made.closed or all(frame is not self.frame for frame in _stack())


def _stack() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _outermost_frame() -> FrameType | None:
    ours = [frame for frame in _stack() if str(frame.f_globals.get("__name__")).startswith("litellm")]
    return ours[-1] if ours else None


class LLMTowerLogger(CustomLogger):  # type: ignore[misc]  # litellm is no dependency of the type check
    """Give it to LiteLLM as a callback; it never raises into it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._underway: OrderedDict[str, _Underway | None] = OrderedDict()
        self._told: OrderedDict[str, None] = OrderedDict()

    async def async_pre_call_deployment_hook(self, kwargs: Mapping[str, Any], call_type: Any) -> None:
        """Asynchronous embeddings begin in another thread: what surrounds their client is set here, in the caller's own context."""
        try:
            if getattr(call_type, "value", call_type) == "aembedding" and not scope.within_call():
                made = self._underway[_id(kwargs)] = _Underway()
                scope.parent.set(_Within(made, scope.parent.get()))
        except Exception:
            internal_error("litellm")

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Mapping[str, Any]) -> None:
        """A provider is about to be asked, in the caller's own context; within a call that is recorded already, this one is not."""
        try:
            call_id = _id(kwargs)
            self._told.pop(call_id, None)
            if call_id not in self._underway:
                self._underway[call_id] = None if scope.within_call() else _Underway()
            made = self._underway[call_id]
            if made is not None:
                made.closed = False
                scope.parent.set(_Within(made, scope.parent.get()))
                if not made.told:  # else it is tried again
                    made.told = True
                    record(_request(made.call_id, model, kwargs))
            if len(self._underway) > _MOST:
                self._underway.popitem(last=False)
        except Exception:
            internal_error("litellm")

    def log_post_api_call(self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """The provider has answered, or refused, in the same context: what follows there is no part of it."""
        made = self._underway.get(_id(kwargs))
        if made is not None:
            made.closed = True
            around = scope.parent.get()
            if isinstance(around, _Within) and around.made is made:
                scope.parent.set(around.outside)

    def _log(self, kwargs: Mapping[str, Any]) -> None:
        try:
            call_id = _id(kwargs)
            inner = call_id in self._underway and self._underway[call_id] is None
            if (made := self._underway.pop(call_id, None)) is not None:
                made.closed = True
            said = kwargs.get("standard_logging_object")
            if isinstance(said, Mapping) and not inner and self._first(call_id):
                record(event_of(said) | ({"call_id": made.call_id} if made is not None else {}))
        except Exception:
            internal_error("litellm")

    def _first(self, call_id: str) -> bool:
        """Say whether an end is told for the first time: of what the proxy itself refuses, LiteLLM tells both kinds of logger."""
        if call_id in self._told:
            return False
        if call_id:
            self._told[call_id] = None
        if len(self._told) > _MOST:
            self._told.popitem(last=False)
        return True

    def log_success_event(self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call has ended well."""
        self._log(kwargs)

    def log_failure_event(self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A call has failed."""
        self._log(kwargs)

    async def async_log_success_event(self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """An asynchronous call has ended well."""
        self._log(kwargs)

    async def async_log_failure_event(self, kwargs: Mapping[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """An asynchronous call has failed."""
        self._log(kwargs)


def _id(kwargs: Mapping[str, Any]) -> str:
    return str(kwargs.get("litellm_call_id") or "")


def _request(call_id: str, model: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give the `request` event of a call that begins: what is cancelled or left, of which LiteLLM says nothing more, is seen by it."""
    return {
        "type": "request",
        "call_id": call_id,
        "operation": _OPERATIONS.get(str(kwargs.get("call_type")), "chat"),
        "provider": str(kwargs.get("custom_llm_provider") or ""),
        "request_model": _model(model, kwargs),
        "started_at_ns": time.time_ns(),
        "stream": kwargs.get("stream") is True,
        "instrumentation": _NAME,
    }


def _model(model: Any, said: Mapping[str, Any]) -> str:
    """Give a model by the provider's own name for it: through the router it comes as `openai/gpt-4o`."""
    return str(model or "").removeprefix(f"{said.get('custom_llm_provider')}/")


def event_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Give the `response` event of a standard logging payload; times there are seconds since 1970."""
    begun, ended = float(said["startTime"]), float(said["endTime"])
    first = said.get("completionStartTime")
    streamed = said.get("stream") is True and isinstance(first, (int, float)) and begun < first <= ended
    output = said.get("response")
    answer = output if isinstance(output, Mapping) else {}
    choices = [one for one in answer.get("choices") or () if isinstance(one, Mapping)]
    parameters = dict(said.get("model_parameters") or {})
    user = parameters.pop("user", None)
    parameters.pop("stream", None)
    metadata = said.get("metadata") or {}
    event: dict[str, Any] = {
        "type": "response",
        "call_id": new_id(),
        "operation": _OPERATIONS.get(str(said.get("call_type")), "chat"),
        "provider": str(said.get("custom_llm_provider") or ""),
        "request_model": _model(said.get("model"), said),
        "response_model": _answered_by(answer, said),
        "response_id": str(answer.get("id") or ""),
        "started_at_ns": int(begun * 1e9),
        "duration_us": max(0, int((ended - begun) * 1e6)),
        "ttft_us": int((float(first) - begun) * 1e6) if streamed and first is not None else None,
        "stream": said.get("stream") is True,
        "finish_reasons": [str(one["finish_reason"]) for one in choices if one.get("finish_reason")],
        "user_id": str(said.get("end_user") or user or metadata.get("user_api_key_user_id") or ""),
        "session_id": str(said.get("session_id") or (metadata.get("requester_metadata") or {}).get("session_id") or ""),
        "tags": _tags(said, metadata),
        "parameters": parameters,
        "input": said.get("messages"),
        "output": [one.get("message", one) for one in choices] or output,
        "instrumentation": _NAME,
    }
    event |= _usage(said, answer) | (_LEFT if _was_left(said) else _failure(said))
    return {name: value for name, value in event.items() if value not in (None, "", [], {}) or name == "duration_us"}


def _answered_by(answer: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """Give the model that answered; the proxy writes its own name for it over the provider's, which is then not known."""
    name = str(answer.get("model") or "")
    return "" if name == said.get("model_group") else name


def _tags(said: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str]:
    """Give the caller's tags, and whose key it was; LiteLLM adds the user agent to the tags, twice."""
    tags = {str(tag): "true" for tag in said.get("request_tags") or () if not str(tag).startswith("User-Agent: ")}
    owner = {name: str(metadata[field]) for name, field in _OWNERS.items() if metadata.get(field)}
    return dict(list((owner | tags).items())[:32])


def _was_left(said: Mapping[str, Any]) -> bool:
    """Say whether the proxy's client went away in the middle of a stream: LiteLLM calls that a success, with an estimate of the tokens."""
    return (said.get("error_information") or {}).get("error_class") == "ClientDisconnected"


def _usage(said: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    raw = answer.get("usage") or (said.get("metadata") or {}).get("usage_object")
    if said.get("cache_hit") is True:  # answered by LiteLLM's own cache: nothing was bought
        return {"usage": {}, "usage_source": "provider", "usage_convention": "litellm-cache"}
    found = convert(dict(raw)) if isinstance(raw, Mapping) else None
    if found is None or found.buckets is None:
        return {"usage_source": "missing"}
    source = "estimated" if _was_left(said) else "provider"
    return {"usage": found.buckets, "usage_source": source, "usage_convention": found.convention, "usage_raw": dict(raw or {})}


def _failure(said: Mapping[str, Any]) -> dict[str, Any]:
    if said.get("status") != "failure":
        return {}
    told = said.get("error_information") or {}
    code, name = str(told.get("error_code") or ""), str(told.get("error_class") or "")
    status = int(code) if code.isdecimal() and len(code) == 3 else None
    found = by_code(name) or (by_status(status) if status else "") or by_names([name]) or "other"
    failure = Failure(found, name or "error", status, str(said.get("error_str") or told.get("error_message") or ""))
    return {
        "status": "error",
        "error_class": failure.error_class,
        "error_type": failure.error_type,
        "http_status": failure.http_status,
        "error_message": failure.message,
    }


handler: LLMTowerLogger
"""For the proxy, which takes callbacks by name."""


def __getattr__(name: str) -> Any:
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    global handler
    if state.client is None and not state.silent:
        configure()
    handler = LLMTowerLogger()
    return handler
