"""Lists and mappings that instrumentations flatten into attribute names: `gen_ai.prompt.0.role`, `llm.input_messages.0.message.content`."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

MAX_ITEMS: Final = 10_000
FLATTENED: Final = (
    "gen_ai.prompt",
    "gen_ai.completion",
    "llm.input_messages",
    "llm.output_messages",
    "embedding.embeddings",
    "retrieval.documents",
    "reranker.output_documents",
)
"""Names below which lists are flattened."""
_PREFIXES: Final = tuple(f"{name}." for name in FLATTENED)
_DEPTH: Final = 8

Lists = Mapping[str, list[Any]]
"""The lists of one span, by the names of FLATTENED that occur."""


def unflatten(attributes: Mapping[str, Any]) -> Lists:
    """Give all lists in one pass, their items in the order of their numbers; absurd numbers are left out."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name, value in attributes.items():
        if name.startswith(_PREFIXES):
            list_name = next(one for one in FLATTENED if name.startswith(one))
            number, _, rest = name[len(list_name) + 1 :].partition(".")
            if number.isdecimal() and len(number) <= 5 and int(number) < MAX_ITEMS:
                _put(found.setdefault(list_name, {}).setdefault(int(number), {}), rest, value)
    return {name: [_lists(items[number]) for number in sorted(items)] for name, items in found.items()}


def _put(place: dict[str, Any], path: str, value: Any) -> None:
    if "." not in path:
        place[path] = value
        return
    *way, last = path.split(".", _DEPTH)
    for step in way:
        below = place.setdefault(step, {})
        if not isinstance(below, dict):
            return
        place = below
    place[last] = value


def _lists(value: Any) -> Any:
    """Turn mappings whose keys are all numbers into lists; an item without a name below it is the value itself."""
    if not isinstance(value, dict):
        return value
    if "" in value and len(value) == 1:
        return value[""]
    if "0" in value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    for key, item in value.items():
        if isinstance(item, dict):
            value[key] = _lists(item)
    return value


def loads(value: Any) -> Any:
    """Give what a JSON text says; any other value as it is."""
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value
