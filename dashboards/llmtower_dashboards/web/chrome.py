"""What stands around the panels: pages, filters, range, zone, how complete everything is. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from llmtower_dashboards.completeness import Completeness
from llmtower_dashboards.panels.variables import VARIABLES
from llmtower_dashboards.registry import DASHBOARDS, HOMES
from llmtower_dashboards.web.look import CALLS_PATH, Look
from llmtower_dashboards.web.state import RANGES, offset
from llmtower_dashboards.web.tags import EMPTY, Html, hidden, join, tag

PATHS: Final = {name: {"overview": "/", "explorer": "/calls"}.get(name, f"/{name}") for name in DASHBOARDS}
"""Dashboard → path."""
OTHERS: Final = {"/library": "Prompt library", "/alerts": "Alerts"}
"""Pages that are no dashboards."""
PANEL_PATHS: Final = {panel: PATHS[name] for panel, name in HOMES.items()}
"""Panel → path of the page that it is at home on."""
_MENU: Final = {
    "latency": "Latency & errors",
    "prompts": "Prompts",
    "models": "Models & datasets",
    "quality": "Quality",
    "explorer": "Calls",
}
LATE_S: Final = 120
"""Seconds behind from which on the page says so with a mark."""
SELECTED: Final = ("environment", "app")
"""Variables with a list of their own; the others are typed."""
_ALL: Final = {"environment": "all environments", "app": "all apps"}
KEYS: Final = (
    ("/", "filter"),
    ("t", "time range"),
    ("j k", "next and previous row"),
    ("enter", "open the row"),
    ("s", "silence the alert"),
    ("g then o a c l q d p", "overview, alerts, cost, latency, quality, drift, pipeline"),
    ("?", "this help"),
)


def navigation(look: Look, firing: int) -> Html:
    """The pages, the alerts with how many are firing; what only lists of calls know is not taken along to where it would do nothing."""
    calls = look.view.choosing(list="", rule="").having("call", ())
    view = calls.only_having({name: chosen for name, chosen in calls.variables.items() if VARIABLES[name].sql})
    items = [(PATHS[name], _MENU.get(name, board.title)) for name, board in DASHBOARDS.items()]
    links = [
        tag("a", title, href=(calls if path == CALLS_PATH else view).link(path), aria_current="page" if path == look.path else None)
        for path, title in items
    ]
    badge = tag("span", str(firing), hidden(" firing"), class_="badge") if firing else EMPTY
    links.insert(1, tag("a", "Alerts", badge, href=view.link("/alerts"), aria_current="page" if look.path == "/alerts" else None))
    shelf = view.having("prompt", ()).link("/library")
    links.append(tag("a", "Library", href=shelf, aria_current="page" if look.path == "/library" else None))
    return join(
        tag("a", _LOGO, "Llmtower", href=view.link("/"), class_="brand"),
        tag("nav", links, aria_label="Pages"),
        tag("button", "◐", type="button", data_do="theme", aria_label="Light or dark", title="Light or dark"),
        tag("button", "?", type="button", data_do="help", aria_label="Keyboard", title="Keyboard (?)"),
    )


def controls(look: Look, values: Mapping[str, Sequence[str]]) -> Html:
    """Filters, range and zone."""
    view = look.view
    selects = [_select(name, look, values.get(name, ())) for name in SELECTED]
    options = [tag("option", value=f"{name}: {value}") for name in VARIABLES if name not in SELECTED for value in values.get(name, ())[:50]]
    typed = tag(
        "label",
        hidden("Filter"),
        tag("input", id="filter", list="filters", placeholder="filter: model, user …", autocomplete="off", spellcheck="false"),
        tag("datalist", options, id="filters"),
    )
    chips = [
        tag(
            "a",
            f"{VARIABLES[name].title.lower()} {value}",
            tag("span", " ✕", aria_hidden="true"),
            hidden(" (remove this filter)"),
            class_="chip",
            href=view.having(name, tuple(one for one in chosen if one != value)).link(look.path),
        )
        for name, chosen in view.variables.items()
        if name in VARIABLES and (name not in SELECTED or len(chosen) > 1)
        for value in chosen
    ]
    return join(selects, typed, chips, _range(look), _zone(look))


def status(look: Look, completeness: Completeness | None, problem: str = "") -> Html:
    """How complete and how old the figures are."""
    if problem:
        return tag("span", "▲ ", problem, class_="is-bad", role="alert")
    if completeness is None:
        return tag("span", "completeness unknown", class_="muted")
    whole = (completeness.share is None or completeness.share >= 0.9999) and (completeness.behind_s or 0) < LATE_S
    said = completeness.sentence()
    live = tag("span", "live", class_="pulse" if whole else "pulse is-late") if look.view.live else EMPTY
    return join(live, tag("span", "" if whole else "▲ ", said, class_="muted" if whole else "is-warn", title=_books(completeness)))


def help_dialog() -> Html:
    """The keys."""
    rows = [tag("tr", tag("th", tag("kbd", keys), scope="row"), tag("td", what)) for keys, what in KEYS]
    close = tag("form", tag("button", "close", autofocus=True), method="dialog")
    return tag("dialog", tag("h2", "Keyboard"), tag("table", tag("tbody", rows)), close, id="help", aria_label="Keyboard")


def first_steps(bootstrap: str) -> Html:
    """What to do when nothing has arrived yet: the two lines that fill the page."""
    configure = f'llmtower.configure(app="my-app", bootstrap_servers={json.dumps(bootstrap or "127.0.0.1:9092")})'
    code = (
        f"import llmtower, openai; {configure}\n"
        "client = llmtower.wrap_openai(openai.OpenAI())  # every call from here on shows up on this page"
    )
    return tag(
        "section",
        tag("h2", "Nothing has arrived yet"),
        tag("p", "Two lines in your application fill this page (pip install llmtower):"),
        tag("pre", tag("code", code)),
        tag(
            "p",
            tag("button", "copy", type="button", data_do="copy", data_text=code),
            " or see it with figures in it: ",
            tag("code", "llmtower demo"),
        ),
        class_="card first",
    )


def _select(name: str, look: Look, values: Sequence[str]) -> Html:
    chosen = look.view.variables.get(name, ())
    listed = list(dict.fromkeys([*chosen, *values]))
    several = tag("option", f"{len(chosen)} chosen", value="*", selected=True) if len(chosen) > 1 else None
    options = [tag("option", value, value=value, selected=len(chosen) == 1 and value == chosen[0]) for value in listed]
    return tag("label", hidden(name), tag("select", tag("option", _ALL[name], value=""), several, options, data_filter=name))


def _range(look: Look) -> Html:
    view = look.view
    known = [start for start, _ in RANGES]
    options = [tag("option", words, value=start, selected=view.live and view.start == start) for start, words in RANGES]
    if not view.live or view.start not in known:
        options.insert(0, tag("option", view.title(look.zone), value="", selected=True))
    return tag("label", hidden("Time range"), tag("select", options, id="range", data_range=""))


def _zone(look: Look) -> Html:
    other = "" if look.view.zone == "UTC" else "UTC"
    title = "Show times in this browser's zone" if not other else "Show times in UTC"
    from dataclasses import replace

    return tag("a", offset(look.zone, look.frame.end), href=replace(look.view, zone=other).link(look.path), class_="zone", title=title)


def _books(found: Completeness) -> str:
    return (
        f"{found.emitted:,} events emitted in this range; {found.waiting:,} on their way, {found.spooled:,} on a producer's disk, "
        f"{found.dropped:,} dropped by producers"
    )


_LOGO: Final = Html('<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 15V6h8v9M2.5 6 8 2l5.5 4M6.5 15v-3.5h3V15M6 8.5h4"/></svg>')
