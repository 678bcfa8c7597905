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

Place = tuple[str, int, tuple[str, ...]]
"""Where an attribute belongs: the list, the item's number, the names below it."""

Items = dict[str, dict[int, dict[str, Any]]]
"""Items of lists by their numbers."""


def place_of(attribute: str) -> Place | None:
    """Give the place that an attribute's name says; None when it belongs to no list, or to an absurd place in it."""
    if not attribute.startswith(_PREFIXES):
        return None
    list_name = next(one for one in FLATTENED if attribute.startswith(one))
    number, _, rest = attribute[len(list_name) + 1 :].partition(".")
    if number.isdecimal() and len(number) <= 5 and int(number) < MAX_ITEMS:
        return list_name, int(number), tuple(rest.split(".", _DEPTH))
    return None


def put(items: Items, place: Place, value: Any) -> None:
    """Put a value into its place; one below a value that is there already is left out."""
    list_name, number, path = place
    at = items.setdefault(list_name, {}).setdefault(number, {})
    for step in path[:-1]:
        below = at.setdefault(step, {})
        if not isinstance(below, dict):
            return
        at = below
    at[path[-1]] = value


def joined(items: Items) -> Lists:
    """Give all lists, their items in the order of their numbers."""
    return {name: [_lists(of[number]) for number in sorted(of)] for name, of in items.items()}


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
