"""Answers as tables and bars: real tables, numbers to the right, every row with somewhere to go. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.web.format import TINY, UNKNOWN, figure, state_of
from llmtower_dashboards.web.look import PER_CALL, Look, number, shown
from llmtower_dashboards.web.tags import EMPTY, Html, join, tag

MAX_ROWS: Final = 100
_FOLDED: Final = frozenset({"low", "high", "baseline"})
"""Columns that are written beside the one before them."""
_SUMS: Final = ("cost", "value")
"""Sums of money: what is missing from them is written before them."""
_WORDS: Final = {
    "ok": "ok",
    "error": "✕ error",
    "timeout": "✕ timeout",
    "firing": "● firing",
    "pending": "◌ pending",
    "resolved": "✓ resolved",
}
_STATES: Final = {"error": "bad", "timeout": "bad", "firing": "bad", "pending": "warn", "failed": "bad"}


Offered = Callable[[Sequence[Any]], Html]
"""What can be done with a row, as buttons."""


def table(panel: Panel, answer: Answer, look: Look, offered: Offered | None = None) -> Html:
    """The answer as a table; intervals stand beside their figure, columns that say nothing are left out."""
    columns = answer.columns
    kept = [at for at in range(len(columns)) if not _folded(columns, at) and _says_something(answer, at)]
    heads = [tag("th", columns[at].title, scope="col", class_=_side(answer, at)) for at in kept]
    head = tag("tr", heads, tag("th", "Move", scope="col") if offered else None)
    rows = [_row(panel, row, kept, answer, look, offered) for row in answer.rows[:MAX_ROWS]]
    return join(
        tag(
            "div",
            tag("table", tag("thead", head), tag("tbody", rows)),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label=panel.title,
        ),
        left_out(panel, answer),
    )


def left_out(panel: Panel, answer: Answer) -> Html:
    """What is not shown: of what was answered, and of what there may be beyond the question's own limit."""
    count, full = len(answer.rows), len(answer.rows) == panel.most
    if count > MAX_ROWS:
        return tag("p", f"and {count - MAX_ROWS} more{', at least' if full else ''}", class_="note")
    return tag("p", f"the first {count}: there may be more", class_="note") if full else EMPTY


def bars(panel: Panel, answer: Answer, look: Look) -> Html:
    """One bar per label, biggest first, from zero; the other figures beside it."""
    columns = answer.columns
    labels = [at for at, column in enumerate(columns) if column.unit == "text"]
    first = next(at for at in range(len(columns)) if at not in labels)
    most = max((float(row[first] or 0) for row in answer.rows), default=0.0)
    rest = [at for at in range(first + 1, len(columns)) if not _folded(columns, at) and _says_something(answer, at)]
    head = [tag("th", " · ".join(columns[at].title for at in labels), scope="col")]
    head += [tag("th", columns[first].title, scope="col", colspan="2")]
    head += [tag("th", columns[at].title, scope="col", class_="num") for at in rest]
    rows = []
    for row in answer.rows[:MAX_ROWS]:
        name = " · ".join(str(row[at]) or "none" for at in labels)
        share = 100 * float(row[first] or 0) / most if most else 0.0
        href = _target(panel, columns[labels[0]], columns, row, look) if labels else ""
        href = href or (look.calls(panel, columns, row) if panel.calls else "")
        link = tag("a", name, href=href) if href else name
        cells = [tag("th", link, scope="row")]
        cells.append(tag("td", tag("span", style=f"width:{share:.1f}%"), class_="bar", aria_hidden="true"))
        cells += [_cell(panel, columns, row, at, answer, look) for at in (first, *rest)]
        rows.append(tag("tr", cells, tabindex="-1", data_href=look.calls(panel, columns, row) if panel.calls else None))
    head_row = tag("thead", tag("tr", head))
    return join(
        tag(
            "div",
            tag("table", head_row, tag("tbody", rows), class_="bars"),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label=panel.title,
        ),
        left_out(panel, answer),
    )


def facts(panel: Panel, answer: Answer, look: Look) -> Html:
    """One row as a list of names and values; what is empty is left out."""
    found = []
    of = (answer.columns, answer.rows[0])
    for column, value in zip(*of, strict=True):
        if value in (None, "", "{}", 0) and column.name not in ("cost", "ttft"):
            continue
        written = look.exactly(value) if isinstance(value, datetime) else _value(panel, column, value, of, look)
        found.append(tag("div", tag("dt", column.title), tag("dd", written)))
    return tag("dl", found, class_="facts")


def _row(panel: Panel, row: Sequence[Any], kept: Sequence[int], answer: Answer, look: Look, offered: Offered | None) -> Html:
    columns = answer.columns
    href = next((look.call(str(row[at])) for at, column in enumerate(columns) if column.link == "call" and row[at]), "")
    href = href or (look.calls(panel, columns, row) if panel.calls else "")
    cells = [_cell(panel, columns, row, at, answer, look) for at in kept]
    return tag("tr", cells, tag("td", offered(row)) if offered else None, tabindex="-1", data_href=href or None)


def _cell(panel: Panel, columns: Sequence[Column], row: Sequence[Any], at: int, answer: Answer, look: Look) -> Html:
    column, value = columns[at], row[at]
    state: str | None = state_of(panel, value) if panel.unit and column.unit == panel.unit else None
    if column.unit in ("text", ""):
        state = state or _STATES.get(str(value))
    classes = " ".join(
        filter(None, (_side(answer, at), f"is-{state}" if state and state != "ok" else "", "unknown" if value is None else ""))
    )
    if isinstance(value, datetime) and _to_the_second(answer, at):
        return tag("td", tag("time", look.exactly(value), datetime=value.isoformat()), class_=classes or None)
    if column.unit == "usd" and column.name in _SUMS:
        nothing = _nothing_is_known(columns, row, at)
        shown_ = join(UNKNOWN) if nothing else _value(panel, column, value, (columns, row), look)
        return tag("td", _missing(panel, columns, row, look), shown_, class_=f"{classes} unknown".strip() if nothing else classes or None)
    return tag("td", _value(panel, column, value, (columns, row), look), _beside(columns, row, at, look), class_=classes or None)


Cells = tuple[Sequence[Column], Sequence[Any]]
"""The columns of a row, and its values."""


def _value(panel: Panel, column: Column, value: Any, of: Cells, look: Look) -> Html:
    if isinstance(value, bool):
        return join("yes" if value else "no")
    if isinstance(value, datetime):
        return tag("time", look.at(value), datetime=value.isoformat())
    if value is None and (column.name, of[0][0].name) == ("tokens", "line"):
        return EMPTY  # fees are not paid for tokens
    text = number(shown(value, column, look))
    if column.link == "call" and value:
        return tag("a", str(value)[-12:], href=look.call(str(value)), class_="mono", title=str(value))
    href = _target(panel, column, *of, look) if column.link != "trace" and value not in (None, "") else ""
    if href:
        return tag("a", text, href=href)
    return join(_WORDS.get(str(value), text)) if isinstance(value, str) else text


def _target(panel: Panel, column: Column, columns: Sequence[Column], row: Sequence[Any], look: Look) -> str:
    """Where a cell leads: a name filters this page, a figure shows its calls; "" nowhere."""
    value = str(row[list(columns).index(column)])
    if column.name == "session":
        return look.session(value) if value else ""
    if column.link and column.link != "calls":
        return look.filtered(column.link, value) if value else ""
    return look.calls(panel, columns, row, column.name) if column.link == "calls" and panel.calls else ""


def _beside(columns: Sequence[Column], row: Sequence[Any], at: int, look: Look) -> Html | None:
    """The interval that follows a figure."""
    name = columns[at].name
    found = {column.name: row[place] for place, column in enumerate(columns) if at < place <= at + 2}
    low, high = found.get("low", found.get(f"{name}_low")), found.get("high", found.get(f"{name}_high"))
    if low is None or high is None:
        return None
    if name in PER_CALL and (row[at] or 0) < TINY:
        low, high = 1_000 * low, 1_000 * high
    unit = columns[at].unit
    return tag("small", f" {figure(low, unit)} to {figure(high, unit)}", class_="interval", title="95 % interval")


def _missing(panel: Panel, columns: Sequence[Column], row: Sequence[Any], look: Look) -> Html | None:
    """What is missing from a sum of money, or why a price is unknown: before the figure, so that figures stay below each other."""
    named = {column.name: value for column, value in zip(columns, row, strict=True)}
    if named.get("unpriced"):
        said = f"+ {figure(named['unpriced'], 'calls')} unpriced"
        return tag("small", tag("a", said, href=look.calls(panel, columns, row, "unpriced"), class_="is-warn"), " ")
    why = str(named.get("cost_status") or "")
    return tag("small", f"{why.replace('_', ' ')} ") if why and named.get("cost") is None else None


def _nothing_is_known(columns: Sequence[Column], row: Sequence[Any], at: int) -> bool:
    """A sum of money to which no call gave anything, while some have no price, is unknown, not 0."""
    named = {column.name: value for column, value in zip(columns, row, strict=True)}
    return columns[at].name in _SUMS and row[at] == 0 and bool(named.get("unpriced"))


def _to_the_second(answer: Answer, at: int) -> bool:
    """Whether a column of times says more than minutes."""
    return any(row[at] is not None and (row[at].second or row[at].microsecond) for row in answer.rows)


def _folded(columns: Sequence[Column], at: int) -> bool:
    name = columns[at].name
    if name in ("unpriced", "cost_status"):
        return any(column.name in _SUMS and column.unit == "usd" for column in columns)
    return name in _FOLDED or name.endswith(("_low", "_high"))


def _says_something(answer: Answer, at: int) -> bool:
    return not answer.rows or any(row[at] not in ("", None) for row in answer.rows)


def _side(answer: Answer, at: int) -> str | None:
    values = (row[at] for row in answer.rows)
    first = next((value for value in values if value is not None), None)
    return "num" if isinstance(first, int | float | Decimal) and not isinstance(first, bool) else None
