"""What surrounds a call: user, session, request, route, tags, prompt (contextvars; nests), and the call or step it happens in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llmtower import traces
from llmtower.errors import internal_error
from llmtower.redaction import redact
from llmtower.snapshot import Snapshot, valid_text

MAX_NAME = 256
"""Longer names are cut: the event contract bounds them."""

_MAX_TAGS = 64
NAMES = ("user_id", "session_id", "request_id", "route", "trace_id", "span_id")

Fields = dict[str, Any]
"""Fields of an event, by the contract's names; never changed after creation."""

_EMPTY: Fields = {}
fields: ContextVar[Fields] = ContextVar("llmtower_fields", default=_EMPTY)
"""What the enclosing `context` blocks say."""

parent: ContextVar[Any] = ContextVar("llmtower_parent", default=None)
"""The enclosing call or step."""


class Gathered:
    """What retrieval steps have found so far within one request: its calls outside of any step were given it."""

    __slots__ = ("found", "parent")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.found: Snapshot = None
        self.parent = None


gathered: ContextVar[Gathered | None] = ContextVar("llmtower_gathered", default=None)
"""The request being served, where a middleware says so."""


def within_call() -> bool:
    """Say whether a call is open around: then it is the same call that is seen again, and the outermost instrumentation records it."""
    return getattr(parent.get(), "closed", True) is False


def name(value: Any, limit: int = MAX_NAME) -> str:
    """Give any value as a bounded name; None is empty."""
    if value is None:
        return ""
    text = value if type(value) is str else _text(value)
    return text if len(text) <= limit and text.isascii() else valid_text(text[:limit])


def label(value: Any) -> str:
    """Give a bounded name in which secrets are marked: for what people fill in."""
    return name(redact(name(value, 4 * MAX_NAME)))


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # somebody's __str__
        return f"[{type(value).__name__}]"


def traceparent() -> str:
    """Give the `traceparent` header for requests to other services: their calls then belong to this trace, and name the step around.

    The trace is that of the enclosing `context`, else the outermost step or call; outside of all of them a new one.
    """
    around, trace = parent.get(), fields.get().get("trace_id", "")
    outermost = around
    while getattr(outermost, "parent", None) is not None:
        outermost = outermost.parent
    return traces.write(trace or (outermost.id if outermost is not None else ""), around.id if around is not None else "")


@contextmanager
def context(
    *,
    user_id: Any = None,
    session_id: Any = None,
    request_id: Any = None,
    route: Any = None,
    tags: Mapping[str, Any] | None = None,
    prompt: Any = None,
    trace_id: Any = None,
    span_id: Any = None,
    traceparent: Any = None,
) -> Iterator[None]:
    """Say who and what the calls inside belong to; inner blocks add to outer ones.

    `prompt` is a name, `name@version`, a pair, a mapping or an object with `name` and `version`. `traceparent` is that header of the
    request being served (W3C Trace Context): it gives `trace_id` and `span_id`; one that is malformed begins a new trace.
    """
    token = None
    try:
        if traceparent is not None:
            trace, span = traces.read(traceparent)
            trace_id, span_id = trace_id or trace, span_id or span
        values = (user_id, session_id, request_id, route, trace_id, span_id)
        token = fields.set(_merge(fields.get(), dict(zip(NAMES, values, strict=True)), tags, prompt))
    except Exception:
        internal_error("context")
    try:
        yield
    finally:
        if token is not None:
            _reset(token)


def _reset(token: Any) -> None:
    try:
        fields.reset(token)
    except ValueError:  # left in another context than entered (an abandoned async generator): nothing to restore there
        return


def _merge(outer: Fields, names: Mapping[str, Any], tags: Mapping[str, Any] | None, prompt: Any) -> Fields:
    merged = {**outer, **{key: label(value) for key, value in names.items() if value is not None}}
    if tags:
        every = {**outer.get("tags", {}), **{label(key): label(value) for key, value in tags.items()}}
        merged["tags"] = dict(list(every.items())[-_MAX_TAGS:])
    if prompt is not None:
        merged["prompt_name"], merged["prompt_version"] = _prompt(prompt)
    return merged


def _prompt(prompt: Any) -> tuple[str, str]:
    if isinstance(prompt, str):
        title, _, version = prompt.rpartition("@") if "@" in prompt else (prompt, "", "")
        return label(title), label(version)
    if isinstance(prompt, Mapping):
        return label(prompt.get("name")), label(prompt.get("version"))
    if isinstance(prompt, tuple) and len(prompt) == 2:
        return label(prompt[0]), label(prompt[1])
    return label(getattr(prompt, "name", None)), label(getattr(prompt, "version", None))
