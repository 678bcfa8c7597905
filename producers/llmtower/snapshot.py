"""Snapshots: bytes that later changes of the application's objects cannot reach, taken in the caller as cheaply as can be."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from llmtower.truncation import cut

Snapshot = bytes | str | None
"""JSON bytes; text as it is (immutable already); or nothing."""

LARGE = 2 << 20
"""Bytes beyond which a value is cut in the caller already."""

_MAX_DEPTH = 60
_MAX_NODES = 200_000
_SHRUNK_NODES = 20_000
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
NEWLINE = orjson.OPT_APPEND_NEWLINE
"""Cutting it off copies the bytes: those that orjson gives keep the 4 or 8 kB they were written in (3.13), for as long as they wait."""


def snapshot(value: Any) -> Snapshot:
    """Freeze any value; nothing stays nothing."""
    return None if value is None else frozen(value)


def frozen(value: Any) -> bytes | str:
    """Freeze a value; what JSON does not know becomes a visible mark, never an error."""
    if type(value) is str:
        return value if len(value) <= LARGE else cut(value, LARGE)
    try:
        raw = orjson.dumps(value, plain, NEWLINE)[:-1]
    except TypeError:
        raw = dump_safely(value)
    return raw if len(raw) <= LARGE else _shrunk(value, raw)


def _shrunk(value: Any, raw: bytes) -> bytes | str:
    """Cut a huge value here and now: an event takes a megabyte at most, and the queue must not hold what will be thrown away.

    Its long texts are cut; where that is not enough, the beginning of its JSON has to do.
    """
    with suppress(_TooMuch):
        smaller = orjson.dumps(_Cleaner(_SHRUNK_NODES, LARGE // 16, LARGE).clean(value, 0), option=_OPTIONS)
        if len(smaller) <= LARGE:
            return smaller
    return cut(raw[:LARGE].decode("utf-8", "ignore"), LARGE, str(len(raw)))


def attributes(value: Any) -> Mapping[str, Any]:
    """Give an object's fields, for asking after ones that may be absent: of a pydantic model that would cost microseconds each."""
    if isinstance(value, dict):
        return value
    own: dict[str, Any] = getattr(value, "__dict__", _NO_FIELDS)
    further = getattr(value, "__pydantic_extra__", None)
    return {**own, **further} if further else own


_NO_FIELDS: dict[str, Any] = {}


def plain(value: Any) -> Any:
    """Give JSON's view of an object orjson does not know: pydantic models, mappings, iterables, bytes; else a mark."""
    fields = getattr(value, "__pydantic_fields_set__", None)
    if fields is not None:
        extra = value.__pydantic_extra__
        content = {**value.__dict__, **extra} if extra else value.__dict__
        return {key: item for key, item in content.items() if item is not None}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{type(value).__name__}: {len(value)} bytes]"
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    return f"[{type(value).__name__}]"


def dump_safely(value: Any) -> bytes:
    """Dump what orjson refused: lone surrogates, odd keys, cycles, depth, objects whose attributes raise."""
    try:
        return orjson.dumps(value, plain, _OPTIONS)
    except TypeError:
        return orjson.dumps(_Cleaner().clean(value, 0), option=_OPTIONS)


def valid_text(text: str) -> str:
    """Replace lone surrogates, which no encoding of Unicode can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


class _TooMuch(Exception):  # noqa: N818 - never leaves this module
    pass


class _Cleaner:
    """Copies a value within bounds of depth and size; with `room` for its texts given, raises _TooMuch where that is not enough."""

    def __init__(self, nodes: int = _MAX_NODES, text: int = LARGE, room: int | None = None) -> None:
        self._left, self._text, self._room = nodes, text, sys.maxsize if room is None else room
        self._strict = room is not None

    def clean(self, value: Any, depth: int) -> Any:
        """Give a copy that orjson accepts."""
        self._left -= 1
        if self._left < 0 and self._strict:
            raise _TooMuch
        if self._left < 0 or depth > _MAX_DEPTH:
            return "[llmtower: too deep or too large]"
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            return value if -(1 << 63) <= value < 1 << 64 else str(value)
        if isinstance(value, str):
            return self._cut(value)
        if isinstance(value, Mapping):
            return {self._cut(str(key)): self.clean(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.clean(item, depth + 1) for item in value]
        return self._other(value, depth)

    def _cut(self, text: str) -> str:
        kept = cut(valid_text(text) if len(text) <= self._text else text, self._text)
        self._room -= len(kept)
        if self._room < 0:
            raise _TooMuch
        return kept

    def _other(self, value: Any, depth: int) -> Any:
        try:
            return self.clean(_native(value), depth + 1)
        except _TooMuch:
            raise
        except Exception:  # an object of the application's that raises when looked at
            return f"[{type(value).__name__}]"


def _native(value: Any) -> Any:
    """Give JSON's view of what orjson knows by itself (dataclasses, times, UUIDs …), else ours."""
    try:
        return orjson.loads(orjson.dumps(value, option=_OPTIONS))
    except TypeError:
        return plain(value)
