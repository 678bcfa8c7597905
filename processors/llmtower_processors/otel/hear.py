"""What a span says, in one pass over its attributes: what becomes of a name is worked out once, not for every span."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from llmtower_processors.otel.dialects import ASSOCIATION, PARAMETERS, RAW_USAGE, TAGS, WHERE, Said
from llmtower_processors.otel.flat import Items, Lists, Place, joined, place_of, put

_NO_PARAMETERS: Final = frozenset({"model", "user", "stream", "is_stream"})
_NO_TAGS: Final = frozenset({"user_id", "session_id", "request_id"})
_MOST_NAMES: Final = 4_096
_LONGEST_NAME: Final = 256
"""Names come from outside: only so many are remembered."""


class Heard(NamedTuple):
    """A span's attributes by what they are for; what it does not say is not there."""

    said: Said
    """By the names of our fields, the best attribute of each."""
    lists: Lists
    parameters: dict[str, Any]
    usage: dict[str, Any]
    """The counts as they came."""
    tags: dict[str, Any]
    associated: dict[str, Any]


_Route = tuple[str, int, int, str, Place | None]
"""Where an attribute goes: to a field, how good it is for it (0 = best), to one of the last four mappings of `Heard` (-1: none) and under
which name, and into which place of a list. A plain tuple, as it is taken apart for every attribute."""

_routes: dict[str, _Route] = {}


def hear(attributes: Mapping[str, Any]) -> Heard:
    """Sort attributes."""
    said: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    items: Items = {}
    buckets: tuple[dict[str, Any], ...] = ({}, {}, {}, {})
    for attribute, value in attributes.items():
        field, rank, bucket, name, place = _routes.get(attribute) or _route(attribute)
        if field and value is not None and value != "" and rank < ranks.get(field, 99):
            said[field], ranks[field] = value, rank
        if bucket >= 0:
            buckets[bucket][name] = value
        elif place is not None:
            put(items, place, value)
    return Heard(said, joined(items) if items else {}, *buckets)


def _route(attribute: str) -> _Route:
    field, rank = WHERE.get(attribute, ("", 0))
    bucket, name = _bucket(attribute)
    route = field, rank, bucket, name, None if bucket >= 0 else place_of(attribute)
    if len(_routes) < _MOST_NAMES and len(attribute) <= _LONGEST_NAME:
        _routes[attribute] = route
    return route


def _bucket(attribute: str) -> tuple[int, str]:
    if attribute.startswith(PARAMETERS):
        name = attribute[len(PARAMETERS) :]
        return (-1, "") if name in _NO_PARAMETERS else (0, name)
    if attribute.startswith(RAW_USAGE):
        return 1, attribute
    if attribute in TAGS:
        return 2, TAGS[attribute]
    if attribute.startswith(ASSOCIATION):
        name = attribute[len(ASSOCIATION) :]
        return (-1, "") if name in _NO_TAGS else (3, name)
    return -1, ""
