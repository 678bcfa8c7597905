"""Where "show calls" leads: the view of exactly the calls behind a panel, a row of it, or one figure of a row. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panel import Column, Panel, Span
from llmtower_dashboards.panels.narrow import ALL_OF_ROW, COUNTS, FILTER_OF, ONLY
from llmtower_dashboards.web.state import MAX_RANGE, View

_HOUR: Final = timedelta(hours=1)
_DAY: Final = 24 * _HOUR
_MINUTE: Final = timedelta(minutes=1)


def calls_behind(view: View, frame: Frame, panel: Panel, columns: Sequence[Column] = (), row: Sequence[Any] = (), cell: str = "") -> View:
    """Narrow a view to the calls behind a panel; filters that the panel does not follow are left out: its figures hold other calls, too.

    `cell` is the column whose figure is meant; "" the whole row.
    """
    behind = panel.calls
    if behind is None:
        return view
    own = {name: tuple(value for one, value in behind.only if one == name) for name, _ in behind.only}
    narrowed = {name: tuple(view.variables[name]) for name in panel.variables if name in view.variables} | own
    cells = [(FILTER_OF.get(column.name, ""), value) for column, value in zip(columns, row, strict=False)]
    keys = {name: (str(value),) for name, value in cells if name and value}
    narrowed |= {"session": keys["session"]} if "session" in keys else keys
    if cell in ALL_OF_ROW and row:
        narrowed.pop("only", None)
    if cell in COUNTS:
        narrowed["only"] = (COUNTS[cell],)
    if nameless := tuple(f"no_{name}" for name, value in cells if value == "" and f"no_{name}" in ONLY):
        narrowed["only"] = (*narrowed.get("only", ()), *nameless)
    narrowed.pop("call", None)
    return _spanning(view.choosing(list=behind.listed, rule=""), frame, panel, behind.span).only_having(narrowed)


def _spanning(view: View, frame: Frame, panel: Panel, span: Span) -> View:
    """The same view of what the panel really looks at; a live one stays live where that changes less than a minute."""
    start, end = _window(frame, panel, span)
    if view.live and span not in ("ever", "last_day"):
        return view if abs(frame.start - start) < _MINUTE else view.since(start)
    return view.spanning(max(start, end - MAX_RANGE), end)


def _window(frame: Frame, panel: Panel, span: Span) -> tuple[datetime, datetime]:
    """What a panel looks at, [start, end): whole buckets of its table, and of its points where it shows them over time."""
    start, end = (moment.astimezone(UTC).replace(microsecond=0) for moment in (frame.start, frame.end))
    last, hour = end - timedelta(seconds=1), _down(end, 3_600)
    buckets: Mapping[Span, int] = {"range": panel.bucket_s(int((end - start).total_seconds())), "day": 60}
    seconds = buckets.get(span, 3_600 if span in ("hours", "month", "ever") else 0)
    first = max(seconds, frame.interval_s) if seconds and panel.kind in ("timeseries", "heatmap") else seconds
    until = _up(end, seconds)
    begin = max(_down(start, first), _up(end - _DAY * ceil((end - start) / _DAY), seconds)) if panel.compared else _down(start, first)
    windows: Mapping[Span, tuple[datetime, datetime]] = {
        "last_day": (hour - _DAY, hour),
        "last_hour": (max(start, end - _HOUR), end),
        "six_hours": (max(start, end - 6 * _HOUR), end),
        "day": (last.replace(hour=0, minute=0, second=0), until),
        "month": (last.replace(day=1, hour=0, minute=0, second=0), until),
        "ever": (until - MAX_RANGE, until),
    }
    return windows.get(span, (begin, until))


def _down(moment: datetime, seconds: int) -> datetime:
    """The start of the bucket that a moment lies in; of single events itself."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC) if seconds else moment


def _up(moment: datetime, seconds: int) -> datetime:
    """The end of the bucket that lies before a moment; of single events itself."""
    return _down(moment + timedelta(seconds=max(seconds - 1, 0)), seconds)
