"""JSON values as the text that is stored."""

import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Annotated, Any

import msgspec
import orjson

SHORT_TEXT = 64
"""Longest text kept in `calls.parameters` and `calls.usage_raw`, which dashboards may read; longer ones are content."""

_Short = Annotated[str, msgspec.Meta(max_length=SHORT_TEXT)]
_Scalar = bool | int | float | None | _Short
_first_byte = itemgetter(slice(0, 1))
_NOT_AS_IT_IS = frozenset({b'"', b"n"})
"""How a text and null begin."""
_read_text = msgspec.json.Decoder(str).decode
_read_object = msgspec.json.Decoder(dict[str, Any]).decode
_check_flat = msgspec.json.Decoder(dict[_Short, _Scalar]).decode
_check_nested = msgspec.json.Decoder(dict[_Short, _Scalar | dict[_Short, _Scalar]]).decode


def to_json(value: Any) -> str:
    """Give JSON text; whatever came out of JSON goes back, huge integers included."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def content_text(raw: msgspec.Raw) -> str:
    """Give content as it is read: text as it stands, anything else as JSON, nothing (or null) as ''."""
    text = str(raw, "utf-8")
    if text.startswith('"'):
        return _read_text(text)
    return "" if text == "null" else text


def content_bytes(raws: Sequence[msgspec.Raw]) -> list[bytes]:
    """Give many contents as UTF-8; whatever is an array or an object is stored as it came."""
    whole = list(map(bytes, raws))
    if _NOT_AS_IT_IS.isdisjoint(map(_first_byte, whole)):
        return whole
    return [content_text(raw).encode() for raw in raws]


def flat_object(raw: msgspec.Raw | bytes) -> tuple[str, str]:
    """Split an object into what is no content (numbers, booleans, short words), and all of it where something had to be left out."""
    try:
        _check_flat(raw)
    except msgspec.ValidationError:
        return _shown_json(raw, 1), str(raw, "utf-8")
    text = str(raw, "utf-8")
    return ("" if text == "{}" else text), ""


def nested_object(raw: msgspec.Raw) -> str:
    """Give what is no content of an object and of the objects within it."""
    try:
        _check_nested(raw)
    except msgspec.ValidationError:
        return _shown_json(raw, 4)
    return str(raw, "utf-8")


def _shown_json(raw: msgspec.Raw | bytes, depth: int) -> str:
    kept = _shown_fields(_read_object(raw), depth)
    return to_json(kept) if kept else ""


def _shown_fields(fields: Mapping[str, Any], depth: int) -> dict[str, Any]:
    kept = ((name, _shown(value, depth - 1)) for name, value in fields.items() if len(name) <= SHORT_TEXT)
    return {name: value for name, value in kept if value is not None}


def _shown(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= SHORT_TEXT else None
    if isinstance(value, dict):
        return (_shown_fields(value, depth) or None) if depth else None
    return None if isinstance(value, list) else value
