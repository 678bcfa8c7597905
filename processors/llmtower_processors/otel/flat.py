"""Lists and mappings that instrumentations flatten into attribute names: `gen_ai.prompt.0.role`, `llm.input_messages.0.message.content`."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

MAX_ITEMS: Final = 10_000


def unflatten(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """Give the items below `prefix.` in the order of their numbers; absurd numbers are left out."""
    items: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if not name.startswith(prefix):
            continue
        number, _, rest = name[len(prefix) :].partition(".")
        if number.isdecimal() and len(number) <= 5 and int(number) < MAX_ITEMS:
            _put(items.setdefault(int(number), {}), rest, value)
    return [_lists(items[number]) for number in sorted(items)]


def _put(place: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split(".", 8)
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
    if value.keys() == {""}:
        return value[""]
    if value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(item) for key, item in value.items()}


def loads(value: Any) -> Any:
    """Give what a JSON text says; any other value as it is."""
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value
