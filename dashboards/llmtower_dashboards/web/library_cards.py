"""The prompt library on a page: its cards, and the moves that are clicked there. Edge: imports NiceGUI."""

import json
from typing import Final

from nicegui import ui

from llmtower_dashboards.registry import PANELS
from llmtower_dashboards.web import cards, library
from llmtower_dashboards.web.keys import Access
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.place import Place, _html, _set
from llmtower_dashboards.web.shelf import NotMovedError, Shelf, Step
from llmtower_dashboards.web.state import View
from llmtower_dashboards.web.tags import join, tag

_FIGURES: Final = "prompt_versions"
_CARDS: Final = {
    "versions": ("Versions", "Which versions are there, and which is where?"),
    "moves": ("Labels", "Who moved which label, and what stands behind the last move?"),
    "changed": ("What it says", "What does the newest version say otherwise than production's?"),
}


class LibraryCards:
    """One prompt's cards, or the list of all."""

    def __init__(self, shelf: Shelf, name: str, access: Access) -> None:
        self._shelf, self._name, self._access = shelf, name, access
        shown = _CARDS if name else {"versions": ("Prompts", "Which prompts are there, and what is live?")}
        self._bodies = {key: self._card(key, *said) for key, said in shown.items()}

    @staticmethod
    def _card(key: str, title: str, question: str) -> ui.html:
        with ui.element("article").classes("card").props(f'id="library_{key}"'):
            _html(tag("div", tag("h3", title, title=question), class_="head"))
            return _html(cards.skeleton())

    async def refresh(self, look: Look) -> None:
        """Read and show."""
        try:
            book = await self._shelf.book()
        except NotMovedError as error:
            for body in self._bodies.values():
                _set(body, cards.failed(str(error)))
            return
        if not self._name:
            _set(self._bodies["versions"], library.library(book, look))
            return
        _set(self._bodies["versions"], library.versions(book, self._name, look))
        _set(self._bodies["moves"], library.moves(book, self._name, look))
        _set(self._bodies["changed"], library.changed(book, self._name, texts="content" in self._access.scopes))

    async def move(self, kind: str, key: str) -> str:
        """Do what was clicked; gives what to tell."""
        try:
            name, label, version, seen = json.loads(key)
            step = Step("promote" if kind == "promote" else "rollback", str(name), str(label), int(version), int(seen))
        except (ValueError, TypeError):
            return "That button is of an older page: load it again."
        try:
            return await self._shelf.move(step, key_id=self._access.promoter)
        except NotMovedError as error:
            return str(error)


def build_library(shelf: Shelf, view: View, access: Access) -> tuple[LibraryCards, list[Place]]:
    """Build the page of all prompts, or of the one that is chosen, with its figures by version."""
    name = next(iter(view.variables.get("prompt", ())), "")
    back = tag("p", tag("a", "← prompts", href=view.having("prompt", ()).link(library.PATH))) if name else ""
    _html(join(back, tag("h1", name or "Prompt library"), tag("h2", "Versions", class_="sr")))
    with ui.element("section").classes("grid"):
        return LibraryCards(shelf, name, access), [Place(PANELS[_FIGURES])] if name else []
