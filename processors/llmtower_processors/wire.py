"""Reads the lines of a record: fast where a line is exactly as the contract says, by the models themselves where it is not.

A number sent as text, a field of a newer producer, a broken line: the models alone decide what becomes of it, so there is one contract.
"""

import re
from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Union

import msgspec
import numpy as np
from pydantic import BaseModel

from llmtower_processors.jsontext import to_json
from llmtower_processors.structs import DOCUMENT, ID_FIELDS, NOTHING, OBJECT_FIELDS, STRANGE_USAGE, STRUCTS, USAGE
from llmtower_schemas import codec
from llmtower_schemas.codec import Malformed
from llmtower_schemas.events import RetrievedDocument, Usage

_ids_hold = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})*").fullmatch
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[tuple(STRUCTS.values())])  # noqa: UP007 - made at run time
_read, _read_lines = _decoder.decode, _decoder.decode_lines
_RAW: Mapping[type[BaseModel], frozenset[str]] = {
    model: frozenset(field.name for field in msgspec.structs.fields(struct) if field.type is msgspec.Raw)
    for model, struct in STRUCTS.items()
}
_NEWLINE, _OPEN, _CLOSE = b"\n{}"
_first_byte = itemgetter(slice(0, 1))
_OBJECT = {b"", b"{"}
"""How a JSON object begins, or nothing."""

MAX_LINES = 10_000
"""Lines in one record; a record with more is one `Malformed`."""

Unknown = str
"""JSON of the fields that this version does not know, or ''."""


def read_record(value: bytes | None) -> tuple[Sequence[Any], Mapping[int, Unknown]]:
    """Give for each line, in order, a struct or a `Malformed`; and the unknown fields of those lines that have any.

    A struct's identifiers and objects are still to be looked at (`doubtful`): that is cheaper for many events at once.
    """
    if not value or value.isspace():
        return [Malformed(raw=value or b"", reason="empty record")], {}
    lines, objects = _count_lines(value)
    if lines > MAX_LINES:
        return [Malformed(raw=value, reason=f"more than {MAX_LINES} lines in one record")], {}
    events = _read_plainly(value, lines) if objects else None
    if events is not None:
        return events, {}
    read = [_read_line(line) for line in split_lines(value)]
    return [event for event, _ in read], {index: unknown for index, (_, unknown) in enumerate(read) if unknown}


def read_records(values: Sequence[bytes | None]) -> tuple[list[Any], list[int], list[Unknown]]:
    """Read many records: their events in order, how many lines each record has, and each event's unknown fields.

    Records without anything unusual are read in one piece, as if they were one record: a fifth of the time where each holds one event.
    """
    plain = [value.removesuffix(b"\n") for value in values if value]
    counts = [value.count(b"\n") + 1 for value in plain]
    if len(plain) == len(values) and max(counts, default=0) <= MAX_LINES:
        events = _read_plainly(b"\n".join(plain), sum(counts))
        if events is not None:
            return events, counts, [""] * len(events)
    read = [read_record(value) for value in values]
    return (
        [event for events, _ in read for event in events],
        [len(events) for events, _ in read],
        [unknown.get(line, "") for events, unknown in read for line in range(len(events))],
    )


def _read_plainly(value: bytes, lines: int) -> list[Any] | None:
    """Read lines of which each is as the contract says; None if one is not."""
    if not value or not _count_lines(value)[1] or not _is_utf8(value):
        return None
    try:
        events: list[Any] = _read_lines(value) if lines > 1 else [_read(value)]
    except (msgspec.MsgspecError, RecursionError):
        return None
    return events if len(events) == lines else None


def _count_lines(value: bytes) -> tuple[int, bool]:
    """Count the lines, and tell whether each newline stands between `}` and `{`.

    No JSON value goes on over such a newline, so as many values as lines means one value in each.
    """
    if b"\n" not in value:
        return 1, True
    text = np.frombuffer(value, np.uint8)
    inner = np.flatnonzero(text[:-1] == _NEWLINE)
    between = bool((text[inner - 1] == _CLOSE).all() and (text[inner + 1] == _OPEN).all())
    return inner.size + 1, between and value.startswith(b"{")


def split_lines(value: bytes) -> list[bytes]:
    """Give the lines of an envelope; the position in the list is the event's index."""
    return value.removesuffix(b"\n").split(b"\n")


def _is_utf8(value: bytes) -> bool:
    """msgspec does not look at the bytes of content that it leaves as it is."""
    try:
        return value.isascii() or bool(value.decode())
    except UnicodeDecodeError:
        return False


def _read_line(line: bytes) -> tuple[Any, Unknown]:
    if _is_utf8(line):
        try:
            return _read(line), ""
        except (msgspec.MsgspecError, RecursionError):
            pass
    return read_slowly(line)


def doubtful(kind: type[msgspec.Struct], events: Sequence[Any]) -> Sequence[int]:
    """Give the positions of events whose identifiers or objects do not hold; `read_slowly` decides about them."""
    doubts: set[int] = set()
    for name in ID_FIELDS[kind]:
        texts = list(map(attrgetter(name), events))
        if _ids_hold("".join(filter(None, texts))) is None:
            doubts.update(i for i, text in enumerate(texts) if text is not None and (not text or _ids_hold(text) is None))
    for name in OBJECT_FIELDS[kind]:
        begins = list(map(_first_byte, map(bytes, map(attrgetter(name), events))))
        if not set(begins) <= _OBJECT:
            doubts.update(i for i, begin in enumerate(begins) if begin not in _OBJECT)
    return sorted(doubts)


def read_slowly(line: bytes) -> tuple[Any, Unknown]:
    """Read a line by the models; the reference that the fast way must agree with."""
    event = codec.decode_line(line)
    return (event, "") if isinstance(event, Malformed) else _to_struct(event)


def _to_struct(event: BaseModel) -> tuple[Any, Unknown]:
    kind = type(event)
    fields, unknown = dict(vars(event)), dict(event.model_extra or {})
    del fields["type"]
    for name in _RAW[kind]:
        fields[name] = NOTHING if fields[name] is None else msgspec.Raw(to_json(fields[name]).encode())
    for name, value in fields.items():
        if isinstance(value, Usage):
            fields[name] = _usage(value)
            unknown |= {"usage": value.model_extra} if value.model_extra else {}
        elif name == "retrieved":
            fields[name] = [DOCUMENT(id=document.id, score=document.score, text=document.text) for document in value]
            unknown |= _unknown_of_documents(value)
    return STRUCTS[kind](**fields), to_json(unknown) if unknown else ""


def _usage(usage: Usage) -> Any:
    return STRANGE_USAGE(**vars(usage), model_extra=usage.model_extra) if usage.model_extra else USAGE(**vars(usage))


def _unknown_of_documents(documents: Sequence[RetrievedDocument]) -> Mapping[str, Any]:
    found = [document.model_extra or {} for document in documents]
    return {"retrieved": found} if any(found) else {}
