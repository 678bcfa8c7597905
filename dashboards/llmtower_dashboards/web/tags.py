"""HTML as values: text is always escaped, so nothing an application named can become markup."""

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"input", "br", "hr", "img", "path", "line", "rect", "circle", "polyline"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | None | Iterable["str | None"]
"""Text (escaped), Html (as it is), nothing, or several of them."""

EMPTY = Html("")


def tag(name: str, *children: Child, **attributes: str | bool | None) -> Html:
    """Make an element. Attributes: `class_` → class, `data_x` → data-x; True is a bare attribute, False and None leave it out."""
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if name in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Put children one after the other."""
    return Html("".join(_text(child) for child in children))


def hidden(text: str) -> Html:
    """Text for screen readers only."""
    return tag("span", text, class_="sr")


def prose(text: str) -> Html:
    """A sentence in which `commands` stand between backticks."""
    return join(tag("code", part) if place % 2 else part for place, part in enumerate(text.split("`")))


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return escape(child)
    return "".join(_text(one) for one in child)


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
