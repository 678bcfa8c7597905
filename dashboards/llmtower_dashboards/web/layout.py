"""Where panels stand on a page: those of a dashboard, the lists of calls, one call. Edge: imports NiceGUI."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from nicegui import ui

from llmtower_dashboards.panel import Panel, Row
from llmtower_dashboards.registry import DASHBOARDS, PANELS
from llmtower_dashboards.web import chrome
from llmtower_dashboards.web.look import CALLS_PATH
from llmtower_dashboards.web.place import Place, _html
from llmtower_dashboards.web.state import View
from llmtower_dashboards.web.tags import Html, join, tag

LISTS: Final = {"": "calls_recent", "failed": "calls_failed", "slowest": "calls_slowest", "dearest": "calls_dearest"}
"""Which list of calls is shown, by the address; "" is the first one."""
_ONE_CALL: Final = {"call_facts": "", "call_cost": "half", "call_feedback": "half", "call_steps": "", "call_scores": ""}
"""Panel of one call → its width."""
_BESIDE: Final = {
    "prompts": ("/library", "Prompt library: texts, versions, labels"),
    "models": ("/prompts", "Models side by side"),
    "drift": ("/quality", "Quality and safety"),
}
"""Dashboard → another page that answers what is asked next."""


def dashboard(path: str, view: View) -> list[Place]:
    """The panels of a dashboard, row by row."""
    name, board = next(((name, board) for name, board in DASHBOARDS.items() if chrome.PATHS[name] == path), ("", None))
    if board is None:
        _html(tag("p", "There is no such page. ", tag("a", "To the overview", href="/"), class_="empty"))
        return []
    where, title = _BESIDE.get(name, ("", ""))
    beside = tag("a", f"{title} →", href=view.link(where)) if where else None
    _html(join(tag("h1", board.title), tag("p", board.question, " ", beside, class_="question")))
    return [place for row in board.rows for place in _row(row)]


def calls(view: View, *, texts: bool, has_login: bool) -> list[Place]:
    """A list of calls, or the one that is chosen; `texts`: whether this reader may see them, `has_login`: whether anybody could here."""
    if not view.variables.get("call"):
        chosen = view.choices.get("list", "")
        _html(join(tag("h1", "Calls"), _tabs(view, chosen), tag("h2", "List", class_="sr")))
        return [Place(PANELS[LISTS.get(chosen, LISTS[""])])]
    back = tag("p", tag("a", "← calls", href=view.having("call", ()).link(CALLS_PATH)))
    _html(join(back, tag("h1", "One call"), tag("h2", "What is known", class_="sr")))
    with ui.element("section").classes("grid"):
        places = [Place(PANELS[name], classes=width) for name, width in _ONE_CALL.items()]
        if texts:
            return [*places, Place(PANELS["call_content"])]
        _ask_for_texts(view, has_login=has_login)
        return places


def _row(row: Row) -> list[Place]:
    _html(tag("h2", row.title))
    stats = all(panel.kind == "stat" for panel in row.panels)
    with ui.element("section").classes("tiles" if stats else "grid").props(f'aria-label="{row.title}"'):
        return [Place(panel, tile=panel.kind == "stat", classes=width) for panel, width in zip(row.panels, widths(row.panels), strict=True)]


def widths(panels: Sequence[Panel]) -> list[str]:
    """The width of each panel; of halves, the last one takes the whole line where nothing would stand beside it."""
    found = ["tile" if one.kind == "stat" else "" if one.width > 12 or one.kind == "table" else "half" for one in panels]
    halves = [at for at, width in enumerate(found) if width == "half"]
    if len(halves) % 2:
        found[halves[-1]] = ""
    return found


def _ask_for_texts(view: View, *, has_login: bool) -> None:
    link = tag("a", "Enter a key", href=f"/key?{urlencode({'next': view.link(CALLS_PATH)})}", data_plain="")
    sentence = (
        join(link, " of the scope content to see what was asked and answered.")
        if has_login
        else "This page has no login for texts (LLMTOWER_WEB__CONTENT_PASSWORD)."
    )
    with ui.element("article").classes("card").props('id="call_content"'):
        _html(join(tag("div", tag("h3", "Its texts"), class_="head"), tag("p", sentence, class_="empty")))


def _tabs(view: View, chosen: str) -> Html:
    links = [
        tag("a", PANELS[name].title, href=view.choosing(list=key).link(CALLS_PATH), aria_current="page" if key == chosen else None)
        for key, name in LISTS.items()
    ]
    return tag("nav", links, class_="tabs", aria_label="Lists of calls")
