"""What templates of prompts compute with, within bounds: one rendering's budget, and the filters that could grow. Pure."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from jinja2 import Environment, pass_context, pass_environment
from jinja2.filters import do_sum
from jinja2.runtime import Context

MAX_LOOPS: Final = 100_000
"""Steps of all loops of one rendering together."""
MAX_TEXT: Final = 4 << 20
"""Characters of one rendering, and of any text on the way to it."""
MAX_SECONDS: Final = 1.0
MAX_MADE: Final = 64 << 20
"""Characters of all texts together that one rendering makes on its way."""
CONTAINERS: Final = (list, tuple, dict)
BUDGET: Final = "_llmtower_budget"


class RenderError(ValueError):
    """A rendering failed: a variable is missing, or a bound was reached."""


class Budget:
    """What one rendering may still use."""

    __slots__ = ("ends", "made", "steps")

    def __init__(self) -> None:
        self.steps = MAX_LOOPS
        self.made = MAX_MADE
        self.ends = time.monotonic() + MAX_SECONDS

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise RenderError(f"its loops take more than {MAX_LOOPS:,} steps together")
        if not self.steps & 0xF:
            self.look()

    def make(self, length: int) -> None:
        """Count a text before it is made."""
        self.look()
        self.made -= length
        if length > MAX_TEXT or self.made < 0:
            raise RenderError(f"it grows beyond {MAX_TEXT:,} characters")

    def weigh(self, *values: Any) -> None:
        """Count what lists and mappings hold, all the way down, as their text would: one that holds another twice is twice as long."""
        length, waiting = 0, [value for value in values if isinstance(value, CONTAINERS)]
        while waiting:
            self.step()
            one = waiting.pop()
            if isinstance(one, str):
                length += len(one)
                if length > MAX_TEXT:
                    raise RenderError(f"it grows beyond {MAX_TEXT:,} characters")
            elif isinstance(one, Mapping):
                waiting += [*one.keys(), *one.values()]
            elif isinstance(one, CONTAINERS):
                waiting += one

    def look(self) -> None:
        if time.monotonic() > self.ends:
            raise RenderError(f"it takes longer than {MAX_SECONDS:.0f} s")


def _sized(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise RenderError(f"it grows beyond {MAX_TEXT:,} characters")
    return text


@pass_context
def _bounded(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    budget: Budget = context.parent[BUDGET]
    for item in items:
        budget.step()
        yield item


@pass_context
def weighed(context: Context, value: Any) -> Any:
    context.parent[BUDGET].weigh(value)
    return value


@pass_context
def _joined(context: Context, *parts: Any) -> str:
    budget: Budget = context.parent[BUDGET]
    budget.weigh(*parts)
    texts = [str(part) for part in parts]
    budget.make(sum(map(len, texts)))
    return "".join(texts)


@pass_context
def _join(context: Context, items: Iterable[Any], by: str = "", attribute: str | None = None) -> str:
    budget: Budget = context.parent[BUDGET]
    found = [item if attribute is None else _plain(item, attribute) for item in items]
    budget.weigh(*found)
    texts = [str(item) for item in found]
    budget.make(sum(map(len, texts)) + len(by) * len(texts))
    return str(by).join(texts)


@pass_environment
def _sum(environment: Environment, items: Iterable[Any], attribute: str | int | None = None, start: float = 0) -> Any:
    if not isinstance(start, int | float):
        raise RenderError("sum is for numbers")
    return do_sum(environment, items, attribute, start)


def _plain(item: Any, name: str) -> Any:
    if str(name).startswith("_") or not isinstance(item, Mapping):
        raise RenderError("join's attribute must name an entry of each item")
    return item[name]


@pass_context
def _replace(context: Context, text: Any, old: str, new: str) -> str:
    budget: Budget = context.parent[BUDGET]
    budget.weigh(text, old, new)
    text, old, new = str(text), str(old), str(new)
    budget.make(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return str(text.replace(old, new))


def _indent(text: Any, width: int = 4, first: bool = False) -> str:
    if not 0 <= width <= 64:
        raise RenderError("indent takes 0 to 64 spaces")
    lines = str(text).splitlines(keepends=True)
    if len(str(text)) + width * len(lines) > MAX_TEXT:
        raise RenderError(f"it grows beyond {MAX_TEXT:,} characters")
    pad = " " * width
    return "".join(line if (not place and not first) or not line.strip() else pad + line for place, line in enumerate(lines))


@pass_context
def _tojson(context: Context, value: Any, indent: int | None = None) -> str:
    budget: Budget = context.parent[BUDGET]
    budget.look()
    budget.weigh(value)
    return _sized(json.dumps(value, ensure_ascii=False, indent=min(indent, 8) if indent else None, default=str))


def _round(value: float, precision: int = 0) -> float:
    if not -15 <= precision <= 15:
        raise RenderError("round takes -15 to 15 digits")
    return round(value, precision)


OWN_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "tojson": _tojson,
}
HIDDEN_FILTERS: Final[dict[str, Callable[..., Any]]] = {"_bounded": _bounded, "_joined": _joined, "_weighed": weighed}
