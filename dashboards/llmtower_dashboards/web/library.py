"""The prompt library as HTML: all prompts with their labels, or one with its versions, its labels and what a version changed. Pure."""

import difflib
import json
from datetime import UTC, datetime
from typing import Final

import orjson

from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.tags import EMPTY, Html, join, tag
from llmtower_schemas.prompt_book import PromptBook, undone
from llmtower_schemas.prompts import Version

PATH: Final = "/library"
_EMPTY: Final = "There is no prompt yet. Push one: llmtower prompts push support/answer --file prompt.md"
_USUAL: Final = ("production", "staging")
"""Labels that have buttons before anybody has moved them."""


def library(book: PromptBook, look: Look) -> Html:
    """Every prompt: its newest version, its labels, who pushed last."""
    rows = []
    for name in book.names():
        newest = book.version(name, book.newest(name))
        labels = [tag("span", f"{label} → {number}", class_="chip") for label, number in sorted(book.labels(name).items())]
        about = [newest.prompt.author, _when(newest.at_ms, look)] if newest else ["", "cannot be read"]
        link = tag("a", name, href=look.view.having("prompt", (name,)).link(PATH))
        number = tag("td", str(book.newest(name)), class_="num")
        rows.append(tag("tr", tag("td", link), number, tag("td", labels), _cells(about), data_row=""))
    if not rows:
        return tag("p", _EMPTY, class_="empty")
    return _table(("Prompt", "Newest", "Labels", "By", "Pushed"), rows, "Prompts")


def versions(book: PromptBook, name: str, look: Look) -> Html:
    """The versions of a prompt, newest first, with what can be done."""
    labels = book.labels(name)
    if not book.numbers(name):
        return tag("p", f"No prompt is called {name}.", class_="empty")
    rows = []
    for number in reversed(book.numbers(name)):
        version = book.version(name, number)
        marks = [tag("span", label, class_="chip") for label, pointed in sorted(labels.items()) if pointed == number]
        said = [version.prompt.message, version.prompt.author, _when(version.at_ms, look)] if version else ["cannot be read", "", ""]
        offered = [label for label in _offered(labels) if version and labels.get(label) != number]
        buttons = [_promote(name, label, number, labels.get(label, 0)) for label in offered]
        rows.append(tag("tr", tag("td", str(number), class_="num"), tag("td", marks), _cells(said), tag("td", buttons), data_row=""))
    return _table(("Version", "Labels", "Changes", "By", "Pushed", ""), rows, "Versions")


def moves(book: PromptBook, name: str, look: Look) -> Html:
    """Who moved which label, newest first, and the way back."""
    every = {label: book.moves(name, label) for label in book.labels(name)}
    rows = []
    for moved in sorted((one for found in every.values() for one in found), key=lambda one: -one.at_ms):
        last = moved is every[moved.label][-1]
        back = undone(every[moved.label]) if last else None
        button = _rollback(name, moved.label, back, moved.move.version) if back is not None else EMPTY
        what = f"{moved.before or 'nothing'} → {moved.move.version}"
        said = [_when(moved.at_ms, look), moved.move.action, moved.label, what, moved.move.by, moved.move.note]
        rows.append(tag("tr", _cells(said), tag("td", button), data_row=""))
    if not rows:
        return tag("p", "No label points to it yet.", class_="empty")
    return _table(("Time", "Action", "Label", "Version", "By", "Note", ""), rows, "Moves")


def changed(book: PromptBook, name: str, *, texts: bool) -> Html:
    """What the newest version says otherwise than the one in production, each folded away; texts need the scope `content`."""
    if not texts:
        return tag("p", "Texts of prompts need a key of the scope content.", class_="empty")
    newest = book.version(name, book.newest(name))
    live = book.version(name, book.pointed(name, "production") or max(1, book.newest(name) - 1))
    if newest is None or live is None:
        return tag("p", "It cannot be read.", class_="empty")
    lines = difflib.unified_diff(_text(live), _text(newest), live.title, newest.title, lineterm="")
    difference = "\n".join(lines) or f"{newest.title} says what {live.title} says."
    parts = ((f"{newest.title} against {live.title}", difference), (newest.title, "\n".join(_text(newest))))
    return join(tag("details", tag("summary", title), tag("pre", said), class_="text") for title, said in parts)


def _text(version: Version) -> list[str]:
    prompt = version.prompt
    said = [f"{one.role}:\n{one.content}" for one in prompt.messages] or [prompt.text]
    about = {"variables": {key: one.type for key, one in prompt.variables.items()}, "parameters": prompt.parameters, "tools": prompt.tools}
    return "\n\n".join([*said, orjson.dumps(about, option=orjson.OPT_INDENT_2).decode()]).splitlines()


def _offered(labels: dict[str, int]) -> list[str]:
    return list(dict.fromkeys((*_USUAL, *sorted(labels))))


def _promote(name: str, label: str, number: int, seen: int) -> Html:
    key = json.dumps([name, label, number, seen])
    ask = f"Point {label} of {name} to version {number}?"
    return tag("button", f"to {label}", type="button", data_do="promote", data_key=key, data_confirm=ask)


def _rollback(name: str, label: str, back: int, seen: int) -> Html:
    key = json.dumps([name, label, back, seen])
    ask = f"Point {label} of {name} back to version {back}?"
    return tag("button", f"roll back to {back}", type="button", data_do="rollback", data_key=key, data_confirm=ask)


def _when(at_ms: int, look: Look) -> str:
    return look.at(datetime.fromtimestamp(at_ms / 1e3, UTC))


def _cells(said: list[str]) -> list[Html]:
    return [tag("td", cell) for cell in said]


def _table(heads: tuple[str, ...], rows: list[Html], name: str) -> Html:
    head = tag("tr", [tag("th", title, scope="col", class_="num" if title in ("Newest", "Version") else None) for title in heads])
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows)), class_="scroll", tabindex="0", role="region", aria_label=name)
