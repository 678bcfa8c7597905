"""Answers that the caller reads as bytes (`with_raw_response`, `with_streaming_response`): told as they go by, never read ahead."""

from collections.abc import Callable
from typing import Any

import orjson

from llmtower.calls import Call
from llmtower.snapshot import LARGE
from llmtower.streams import Facts, Reader, Record, conclude, tell_close, watched


class Fields(dict[str, Any]):
    """A JSON object whose fields are attributes, as a client's models have them; what is absent is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def fields(value: Any) -> Any:
    """Give JSON with `Fields` for its objects."""
    if isinstance(value, dict):
        return Fields({key: fields(item) for key, item in value.items()})
    return [fields(item) for item in value] if isinstance(value, list) else value


class Wire:
    """Reads an answer from its bytes: server-sent events one by one, anything else as one JSON document at its end."""

    def __init__(self, reader: Reader, whole: Callable[[Any], Facts], *, events: bool) -> None:
        self._reader, self._whole, self._events = reader, whole, events
        self._kept = bytearray()
        self._lost = False

    @property
    def complete(self) -> bool:
        """Whether the answer's end has come."""
        return self._reader.complete if self._events else bool(self.facts())

    def add(self, chunk: Any) -> bool:
        """Take bytes; says whether they brought any token."""
        if not self._events:
            self._keep(chunk)
            return False
        *lines, rest = bytes(self._kept + chunk).split(b"\n")
        self._kept.clear()
        self._keep(rest)
        brought = [self._line(line) for line in lines]
        return any(brought)

    def _keep(self, chunk: bytes) -> None:
        self._lost = self._lost or len(self._kept) + len(chunk) > LARGE
        if not self._lost:
            self._kept += chunk

    def _line(self, line: bytes) -> bool:
        if not line.startswith(b"data:"):
            return False
        try:
            return self._reader.add(fields(orjson.loads(line[5:])))
        except orjson.JSONDecodeError:  # `[DONE]`
            return False

    def facts(self) -> Facts:
        """Give what is known so far."""
        if self._events:
            return self._reader.facts()
        try:
            return self._whole(fields(orjson.loads(self._kept)))
        except orjson.JSONDecodeError:
            return {}


def tell_bytes(response: Any, call: Call, wire: Wire, details: dict[str, Any]) -> None:
    """Record what an HTTP response brings: at once where its body was read already, else while the caller reads it."""
    if getattr(response, "is_stream_consumed", False):
        wire.add(response.content)
        conclude(call, wire.facts(), details)
        return
    record = Record(call, wire, details)
    for name in ("iter_bytes", "aiter_bytes"):
        if callable(getattr(response, name, None)):
            setattr(response, name, _told(getattr(response, name), record))
    tell_close(response, record)


def _told(iterate: Callable[..., Any], record: Record) -> Callable[..., Any]:
    def iterated(*args: Any, **given: Any) -> Any:
        return watched(iterate(*args, **given), record)

    return iterated
