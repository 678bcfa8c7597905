"""A panel as a card: its heading with what can be done, its tile. Pure."""

import math
from collections.abc import Sequence
from typing import Any, Final

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.variables import VARIABLES
from llmtower_dashboards.web.format import THIN, Figure, change, figure, state_of
from llmtower_dashboards.web.lines import Lines, lines
from llmtower_dashboards.web.look import Look, number
from llmtower_dashboards.web.tags import EMPTY, Html, hidden, join, prose, tag

_SHORT: Final = {"Error rate": "Errors", "Toxic answers": "Toxic"}
_PACE: Final = {"cost_today": "by midnight UTC", "cost_month": "by the month's end"}
_MARKS: Final = {"warn": "▲ ", "bad": "▲▲ "}
_EMPTY: Final = {"pipeline_dead_letters": "none"}
"""Tiles for which no row means that there are none; everywhere else it means that nobody knows."""
SPARK: Final = (120, 28)
"""Width and height of a sparkline, px."""


def heading(panel: Panel, look: Look, title: str = "") -> Html:
    """Title and tools; the question is the title's tooltip, and stands among the tools where nothing hovers."""
    tools = [
        tag("span", panel.question, class_="asked"),
        tag("a", "show calls", href=look.calls(panel), aria_label=f"Show the calls behind {panel.title}") if panel.calls else None,
        tag("button", "copy SQL", type="button", data_do="sql", data_panel=panel.name, aria_label=f"Copy the SQL of {panel.title}"),
        tag("a", "link", href=look.permalink(panel.name), data_copy="", aria_label=f"Link to {panel.title} over this very range"),
    ]
    more = tag("button", "⋯", type="button", data_do="tools", class_="more", aria_label=f"What can be done with {panel.title}")
    named = tag("h3", title or panel.title, _not_followed(panel, look), title=panel.question)
    return tag("div", named, more, tag("div", tools, class_="tools"), class_="head")


def _not_followed(panel: Panel, look: Look) -> Html:
    """A chosen filter that the panel's tables do not know is said, or its figures would be taken for something else."""
    if "call" in panel.variables:
        return EMPTY
    names = [VARIABLES[name].title.lower() for name in look.view.variables if name not in (*panel.variables, "call")]
    return tag("small", f" not filtered by {' or '.join(names)}", class_="muted") if names else EMPTY


def tile(panel: Panel, answer: Answer, trend: Answer | None, look: Look) -> Html:
    """The figure, its sparkline, its change against the same hours of trailing days."""
    row = dict(zip((column.name for column in answer.columns), answer.rows[0], strict=True)) if answer.rows else {}
    value, unit = row.get("value", answer.rows[0][0] if answer.rows else None), answer.columns[0].unit
    title = _SHORT.get(panel.title, panel.title)
    if value is None:
        none = tag("p", _EMPTY.get(panel.name, "unknown"), class_="figure none")
        return join(_tile_head(panel, title, look), none, tag("p", prose(panel.no_data), class_="note"))
    now = _per_hour(panel, value, look)
    state = state_of(panel, value)
    return join(
        _tile_head(panel, title, look),
        tag("p", _mark(state), number(now), class_=f"figure is-{state}" if state and state != "ok" else "figure", data_value=str(value)),
        tag("p", spark(trend), _difference(panel, row, value, unit), class_="trend"),
        _remarks(row | {"spent": value, "budget": look.budget_usd} if panel.name == "cost_today" else row),
    )


def failed(message: str) -> Html:
    """What went wrong and what to do, above the last figure."""
    return tag("p", tag("strong", "No answer. "), prose(message), class_="problem", role="alert")


def nothing(panel: Panel) -> Html:
    """What an empty answer means."""
    return tag("p", prose(panel.no_data), class_="empty")


def caption(panel: Panel, answer: Answer, zone: str, bucket_s: int, named: Html = EMPTY) -> Html:
    """Legend, bucket and zone of a chart; what a sum of money is missing."""
    unpriced = [at for at, column in enumerate(answer.columns) if column.name == "unpriced"]
    missing = sum(int(row[unpriced[0]] or 0) for row in answer.rows) if unpriced else 0
    bucket = f"{bucket_s // 3_600} h" if bucket_s % 3_600 == 0 else f"{bucket_s // 60} min"
    more = lines(panel, answer.columns, answer.rows).more if panel.kind == "timeseries" else 0
    parts = [f"per {bucket}", zone]
    parts += [f"{more} smaller ones not drawn"] if more else []
    return join(named, tag("p", " · ".join(parts), unpriced_note(missing, " · "), class_="note"))


def legend(found: Lines, colours: Sequence[str], look: Look) -> Html:
    """The lines' names with their colours; where a name is a filter, a click chooses it."""
    items = []
    for line, colour in zip(found.drawn, colours, strict=True):
        filters = line.dimension in VARIABLES and line.label not in ("", "none")
        name = tag("a", line.name, href=look.filtered(line.dimension, line.label)) if filters else line.name
        items.append(tag("li", tag("i", style=f"background:{colour}", aria_hidden="true"), name))
    return tag("ul", items, class_="legend", aria_label="Legend")


def unpriced_note(count: int, before: str = "") -> Html:
    """What stands beside a sum that is not whole."""
    if not count:
        return EMPTY
    return join(before, tag("span", f"+ {figure(count, 'calls')} unpriced calls", class_="is-warn"))


def spark(trend: Answer | None) -> Html:
    """A line without axes over the range; nothing without two points."""
    values = [] if trend is None else _totals(trend)
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return EMPTY
    width, height = SPARK
    low, high = min(0.0, *known), max(known)
    span = (high - low) or 1.0
    step = width / (len(values) - 1)
    pieces: list[str] = []
    pen = "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        pieces.append(f"{pen}{place * step:.1f} {height - 2 - (height - 4) * (value - low) / span:.1f}")
        pen = "L"
    line = Html(f'<path d="{"".join(pieces)}" vector-effect="non-scaling-stroke"/>')
    return tag("svg", line, viewBox=f"0 0 {width} {height}", preserveAspectRatio="none", class_="spark", aria_hidden="true")


def _totals(trend: Answer) -> list[float | None]:
    """The first value of each moment, over all labels: the sum, or the highest where it is no amount."""
    place = next(at for at, column in enumerate(trend.columns) if at and column.unit != "text")
    adds = trend.columns[place].unit in ("calls/min", "tokens/min", "usd/h", "usd", "calls")
    found: dict[Any, float | None] = {}
    for row in trend.rows:
        value = None if row[place] is None or not math.isfinite(float(row[place])) else float(row[place])
        before = found.get(row[0])
        found[row[0]] = value if before is None else before if value is None else before + value if adds else max(before, value)
    return list(found.values())


def _tile_head(panel: Panel, title: str, look: Look) -> Html:
    """The title leads to the calls, where there are any; the rest stands beside it as on every card."""
    if panel.calls is None:
        return heading(panel, look, title)
    return heading(panel, look, tag("a", title, href=look.calls(panel), title=panel.question))


def _mark(state: str | None) -> Html:
    """Colour is never alone: a bad figure has a mark and a word."""
    if state not in _MARKS:
        return EMPTY
    return join(tag("span", _MARKS[state], class_="mark", aria_hidden="true"), hidden("bad: " if state == "bad" else "warning: "))


def _per_hour(panel: Panel, value: Any, look: Look) -> Figure:
    if panel.unit != "calls":
        return figure(value, panel.unit)
    hours = (look.frame.end - look.frame.start).total_seconds() / 3_600
    rate = figure(float(value) / hours, "calls")
    return Figure(rate.number, f"{rate.unit}/h" if rate.unit else "/h")


def _difference(panel: Panel, row: dict[str, Any], value: Any, unit: Any) -> Html:
    if "forecast" in row:
        return tag("span", f"{figure(row['forecast'], unit)} {_PACE.get(panel.name, 'by its end')}", class_="change", title=panel.question)
    low, high = row.get("low"), row.get("high")
    if low is not None and high is not None:
        half = figure((float(high) - float(low)) / 2, unit)
        return tag("span", f"±{THIN}{half}", class_="change", title="95 % interval")
    if "baseline" not in row:
        return EMPTY
    moved = change(value, row["baseline"], unit)
    if moved is None:
        return tag("span", "no baseline yet", class_="change", title="The same hours of trailing days have no calls.")
    worse = panel.worse and moved.number != "0" and (moved.number.startswith("+") == (panel.worse == "up"))
    mark = "▲ " if worse and moved.number.startswith("+") else "▼ " if worse else ""
    title = f"against {figure(row.get('baseline'), unit)} in the same hours of trailing days"
    return tag("span", mark, str(moved), class_="change worse" if worse else "change", title=title)


def _remarks(row: dict[str, Any]) -> Html:
    """Sums of money say what is missing from them, shares of a budget how much of it is gone."""
    missing = int(row.get("unpriced") or 0)
    budget = float(row.get("budget") or 0)
    return join(
        tag("p", unpriced_note(missing), class_="note") if missing else EMPTY,
        _budget(float(row.get("spent") or 0), budget) if budget else EMPTY,
    )


def _budget(spent: float, budget: float) -> Html:
    """A bar that is full when the budget is spent, and both sums in words."""
    said = f"{figure(spent, 'usd')} of {figure(budget, 'usd')}"
    return tag("p", tag("meter", said, min="0", max=f"{budget:g}", value=f"{min(spent, budget):g}", title=said), " ", said, class_="note")


def skeleton(lines_: Sequence[int] = (40, 70)) -> Html:
    """Grey bars where figures will be."""
    return tag("div", [tag("span", style=f"width:{width}%") for width in lines_], class_="wait", aria_hidden="true")
