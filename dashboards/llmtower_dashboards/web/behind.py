"""Where "show calls" leads: the view of exactly the calls behind a panel, a row of it, or one figure of a row. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panel import Column, Panel, Span
from llmtower_dashboards.panels.narrow import COUNTS, FILTER_OF
from llmtower_dashboards.web.state import MAX_RANGE, View

_HOUR: Final = timedelta(hours=1)
_ALL_OF_ROW: Final = frozenset({"calls", "made"})
"""Columns that count every call of their row, whatever the panel is about."""


def calls_behind(view: View, frame: Frame, panel: Panel, columns: Sequence[Column] = (), row: Sequence[Any] = (), cell: str = "") -> View:
    """Narrow a view to the calls behind a panel; filters that the panel does not follow are left out: its figures hold other calls, too.

    `cell` is the column whose figure is meant; "" the whole row.
    """
    behind = panel.calls
    if behind is None:
        return view
    own = {name: tuple(value for one, value in behind.only if one == name) for name, _ in behind.only}
    narrowed = {name: tuple(view.variables[name]) for name in panel.variables if name in view.variables} | own
    cells = ((FILTER_OF.get(column.name, ""), value) for column, value in zip(columns, row, strict=False))
    keys = {name: (str(value),) for name, value in cells if name and value}
    narrowed |= {"session": keys["session"]} if "session" in keys else keys
    if cell in _ALL_OF_ROW and row:
        narrowed.pop("only", None)
    if cell in COUNTS:
        narrowed["only"] = (COUNTS[cell],)
    narrowed.pop("call", None)
    return _spanning(view.choosing(list=behind.listed, rule=""), frame, behind.span).only_having(narrowed)


def _spanning(view: View, frame: Frame, span: Span) -> View:
    """The same view of what the panel really looks at."""
    last = frame.end.astimezone(UTC) - timedelta(seconds=1)
    if span == "last_day":
        end = frame.end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return view.spanning(end - 24 * _HOUR, end)
    starts: Mapping[Span, datetime] = {
        "hours": frame.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        "last_hour": max(frame.start, frame.end - _HOUR),
        "six_hours": max(frame.start, frame.end - 6 * _HOUR),
        "day": last.replace(hour=0, minute=0, second=0, microsecond=0),
        "month": last.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        "ever": frame.end - MAX_RANGE + _HOUR,
    }
    return view if span == "range" else view.since(starts[span])
