"""Answers → options of ECharts. Pure; colours are CSS variables (the charts are SVG), so a theme needs no new options.

Times are shown in the page's zone by moving them: ECharts is told UTC and given the wall clock.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.web.colours import Palette
from llmtower_dashboards.web.format import figure, scale_of
from llmtower_dashboards.web.lines import Line, Lines, filled, lines
from llmtower_dashboards.web.state import offset
from llmtower_dashboards.web.theme import series

Options = dict[str, Any]
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
_WHOLE: Final = frozenset({"calls", "events", "records", "rows"})
_WIDTHS: Final = (2.25, 1.5, 1.0)
MAX_MARKS: Final = 12
MAX_LABEL: Final = 24
_WEIGHTY: Final = ("deploy", "prompt", "model")
MARK_SHARE: Final = 0.2
"""Of the range: marks closer than this share one label."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: a deploy, a new prompt version, a new model."""

    at: datetime
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all charts of a page share: the range, its bucket, the zone, the colours, the events, how far data has arrived."""

    start: datetime
    end: datetime
    bucket_s: int
    zone: tzinfo = UTC
    palette: Palette = field(default_factory=Palette)
    marks: Sequence[Mark] = ()
    arrived: datetime | None = None
    """Up to here everything is stored; what comes later is drawn greyed."""
    share: float | None = None


def timeseries(panel: Panel, columns: Sequence[Column], rows: Sequence[Sequence[Any]], setting: Setting) -> Options:
    """Lines over time, or stacked bars for parts of a whole."""
    found = lines(panel, columns, rows)
    scale = scale_of(found.values) if panel.unit == "seconds" else ""
    drawn = _bars(found, setting) if panel.stacked else _lines(found, setting)
    if drawn:
        drawn[0] |= _events(setting)
    ends = not panel.stacked and _fits(found)
    return {
        **_frame(setting, right=96 if ends else 16, legend=not ends and len(found.drawn) > 1),
        "legend": {
            "show": not ends and len(found.drawn) > 1,
            "type": "scroll",
            "bottom": 0,
            "left": 8,
            "icon": "roundRect",
            "itemWidth": 10,
            "itemHeight": 10,
            "textStyle": {"color": "var(--muted)", "fontSize": 12},
            "data": [line.name for line in found.drawn],
        },
        "xAxis": _time_axis(setting),
        "yAxis": _value_axis(panel.unit, scale),
        "tooltip": {
            **_TOOLTIP,
            "trigger": "axis",
            ":formatter": f"llmtower.tooltip({panel.unit!r}, {scale!r}, {setting.bucket_s}, {offset(setting.zone, setting.end)!r})",
        },
        "series": drawn,
    }


def heatmap(panel: Panel, rows: Sequence[Sequence[Any]], setting: Setting) -> Options:
    """How values are distributed over time: rows of (time, bucket start, bucket end, calls); darker = more calls."""
    times = _buckets(setting, [row[0] for row in rows])
    steps = sorted({(float(row[1]), float(row[2])) for row in rows})
    most = math.log1p(max((float(row[3]) for row in rows), default=1))
    column, place = {at: number for number, at in enumerate(times)}, {step: number for number, step in enumerate(steps)}
    scale = scale_of([start for start, _ in steps])
    cells = [
        {
            "value": [column[row[0]], place[float(row[1]), float(row[2])], float(row[3])],
            "itemStyle": {"opacity": round(0.12 + 0.88 * math.log1p(float(row[3])) / most, 3)},
        }
        for row in rows
        if row[0] in column and row[3]
    ]
    shown = [_wall(at, setting.zone).strftime("%H:%M" if setting.end - setting.start <= timedelta(days=1) else "%-d %b") for at in times]
    names = [f"{figure(low, panel.unit, scale=scale)}" for low, _ in steps]
    return {
        **_frame(setting, right=16, legend=False),
        "xAxis": {"type": "category", "data": shown, **_AXIS, "splitLine": {"show": False}, "axisTick": {"show": False}},
        "yAxis": {"type": "category", "data": names, **_AXIS, "axisTick": {"show": False}},
        "tooltip": {**_TOOLTIP, "trigger": "item", ":formatter": f"llmtower.cell({shown!r}, {names!r})"},
        "series": [
            {"type": "heatmap", "data": cells, "itemStyle": {"color": "var(--accent)"}, "emphasis": {"disabled": True}, "animation": False}
        ],
    }


_TOOLTIP: Final[Mapping[str, Any]] = {
    "confine": True,
    "transitionDuration": 0,
    "className": "tip",
    "backgroundColor": "var(--card)",
    "borderColor": "var(--line)",
    "padding": 0,
    "textStyle": {"color": "var(--text)", "fontFamily": _FONT, "fontSize": 12},
    "axisPointer": {"type": "line", "lineStyle": {"color": "var(--muted)", "type": "solid", "width": 1}, "animation": False},
}
_AXIS: Final[Mapping[str, Any]] = {
    "axisLine": {"lineStyle": {"color": "var(--line)"}},
    "axisLabel": {"color": "var(--muted)", "fontSize": 12, "hideOverlap": True},
}


def _frame(setting: Setting, *, right: int, legend: bool) -> Options:
    return {
        "animation": False,
        "useUTC": True,
        "textStyle": {"fontFamily": _FONT, "color": "var(--text)"},
        "grid": {
            "left": 8,
            "right": right,
            "top": 28 if setting.marks else 16,
            "bottom": 32 if legend else 8,
            "outerBoundsMode": "same",
            "outerBoundsContain": "axisLabel",
        },
    }


def _time_axis(setting: Setting) -> Options:
    return {
        "type": "time",
        "min": _millis(setting.start, setting.zone),
        "max": _millis(setting.end, setting.zone),
        **_AXIS,
        "splitLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {
            **_AXIS["axisLabel"],
            "formatter": {
                "year": "{yyyy}",
                "month": "{d} {MMM}",
                "day": "{d} {MMM}",
                "hour": "{HH}:{mm}",
                "minute": "{HH}:{mm}",
                "second": "{HH}:{mm}:{ss}",
            },
        },
    }


def _value_axis(unit: str, scale: str) -> Options:
    return {
        "type": "value",
        "splitNumber": 3,
        "min": 0,
        "minInterval": 1 if unit in _WHOLE else 0,
        "axisLine": {"show": False},
        "axisLabel": {**_AXIS["axisLabel"], ":formatter": f"value => llmtower.figure(value, {unit!r}, {scale!r})"},
        "splitLine": {"lineStyle": {"color": "var(--line)"}},
    }


def _lines(found: Lines, setting: Setting) -> list[Options]:
    labels = _fits(found)
    drawn: list[Options] = []
    for number, line in enumerate(found.drawn):
        colour = _colour(line, number, setting)
        if line.low and line.high:
            drawn += _band(line, colour, setting)
        drawn.append(
            {
                "type": "line",
                "name": line.name,
                "data": _points(line, setting),
                "color": colour,
                "lineStyle": {"width": _WIDTHS[min(number, 2)] if not line.label else 1.75, "color": colour},
                "itemStyle": {"color": colour},
                "symbol": "circle",
                "symbolSize": 4,
                "showSymbol": sum(value is not None for _, value in line.points) == 1,
                "emphasis": {"disabled": True},
                "z": 3,
                "endLabel": {"show": labels, "formatter": "{a}", "color": colour, "fontSize": 12, "distance": 4},
                "labelLayout": {"moveOverlap": "shiftY"},
            }
        )
    return drawn


def _bars(found: Lines, setting: Setting) -> list[Options]:
    times = sorted({at for line in found.drawn for at, _ in line.points})
    return [
        {
            "type": "bar",
            "name": line.name,
            "stack": "all",
            "data": [[_millis(at, setting.zone), value] for at, value in filled(line, times)],
            "color": _colour(line, number, setting),
            "itemStyle": {"color": _colour(line, number, setting)},
            "barCategoryGap": "12%",
            "barMaxWidth": 32,
            "emphasis": {"disabled": True},
        }
        for number, line in enumerate(found.drawn)
    ]


def _band(line: Line, colour: str, setting: Setting) -> list[Options]:
    """An interval: an unseen line at its lower end and the area up to its upper one."""
    shared = {
        "type": "line",
        "stack": f"band {line.name}",
        "symbol": "none",
        "lineStyle": {"opacity": 0},
        "silent": True,
        "tooltip": {"show": False},
    }
    times = [_millis(at, setting.zone) for at, _ in line.points]
    width = [None if low is None or high is None else high - low for low, high in zip(line.low, line.high, strict=True)]
    return [
        {**shared, "name": f"{line.name} low", "data": list(zip(times, line.low, strict=True))},
        {
            **shared,
            "name": f"{line.name} interval",
            "data": list(zip(times, width, strict=True)),
            "areaStyle": {"color": colour, "opacity": 0.16},
        },
    ]


def _points(line: Line, setting: Setting) -> list[list[float | None]]:
    """The points, and an empty one in each gap: nothing is drawn through what is not known."""
    found: list[list[float | None]] = []
    before: datetime | None = None
    for at, value in line.points:
        if before is not None and (at - before).total_seconds() > 1.5 * setting.bucket_s:
            found.append([_millis(before + timedelta(seconds=setting.bucket_s), setting.zone), None])
        found.append([_millis(at, setting.zone), value])
        before = at
    return found


def _events(setting: Setting) -> Options:
    """Events as vertical marks, and the edge where not everything has arrived greyed."""
    late = setting.end - (setting.end - setting.start) * MARK_SHARE
    marks = [
        {"xAxis": _millis(at, setting.zone), "name": name, "label": {"align": "right" if at > late else "center"}}
        for at, name in _named_marks(setting)
    ]
    return {
        "markLine": {
            "symbol": "none",
            "silent": False,
            "animation": False,
            "data": marks,
            "lineStyle": {"color": "var(--muted)", "type": [2, 3], "width": 1},
            "label": {"show": True, "formatter": "{b}", "position": "end", "color": "var(--muted)", "fontSize": 11, "distance": 4},
            "labelLayout": {"hideOverlap": True},
            "emphasis": {"disabled": True},
            "tooltip": {"show": False},
        },
        "markArea": {
            "silent": True,
            "animation": False,
            "data": _edge(setting),
            "itemStyle": {"color": "var(--muted)", "opacity": 0.12},
            "label": {"position": "insideBottomRight", "color": "var(--muted)", "fontSize": 11},
        },
    }


def _named_marks(setting: Setting) -> list[tuple[datetime, str]]:
    """The newest events; of those too close to be read only the first is named, with how many follow."""
    seen = sorted((mark for mark in setting.marks if setting.start <= mark.at <= setting.end), key=lambda mark: mark.at)[-MAX_MARKS:]
    apart = (setting.end - setting.start) * MARK_SHARE
    groups: list[list[Mark]] = []
    for mark in seen:
        if groups and mark.at - groups[-1][0].at < apart:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [(mark.at, "" if place else _label(group)) for group in groups for place, mark in enumerate(group)]


def _label(group: Sequence[Mark]) -> str:
    """Name the weightiest of several events."""
    title = min((mark.title for mark in group), key=lambda title: next((n for n, word in enumerate(_WEIGHTY) if title.startswith(word)), 9))
    title = title if len(title) <= MAX_LABEL else f"{title[: MAX_LABEL - 1]}…"
    return f"{title} +{len(group) - 1}" if len(group) > 1 else title


def _edge(setting: Setting) -> list[list[Options]]:
    if setting.arrived is None or setting.arrived >= setting.end:
        return []
    start = max(setting.start, setting.arrived)
    share = "" if setting.share is None or setting.share >= 1 else f"{math.floor(setting.share * 10_000) / 100:g} % arrived"
    return [[{"xAxis": _millis(start, setting.zone), "name": share}, {"xAxis": _millis(setting.end, setting.zone)}]]


def _fits(found: Lines) -> bool:
    """Direct labels instead of a legend where there are few lines with short names."""
    return 1 < len(found.drawn) <= 4 and all(len(line.name) <= 12 for line in found.drawn)


def _colour(line: Line, number: int, setting: Setting) -> str:
    return setting.palette.colour(line.dimension, line.label, number) if line.label else series(number)


def _buckets(setting: Setting, seen: Sequence[datetime]) -> list[datetime]:
    """Every bucket from the first to the last one seen."""
    if not seen:
        return []
    first, last, step = min(seen), max(seen), timedelta(seconds=setting.bucket_s)
    return [first + number * step for number in range(min(2_000, round((last - first) / step) + 1))]


def _millis(at: datetime, zone: tzinfo) -> int:
    return round(_wall(at, zone).replace(tzinfo=UTC).timestamp() * 1_000)


def _wall(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone)
