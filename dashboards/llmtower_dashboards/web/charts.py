"""Answers → options of ECharts. Pure; colours are CSS variables (the charts are SVG), so a theme needs no new options."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.web.axes import AXIS, TOOLTIP, Options, frame, time_axis, value_axis
from llmtower_dashboards.web.format import figure, scale_of
from llmtower_dashboards.web.lines import Line, Lines, filled, lines
from llmtower_dashboards.web.marks import events
from llmtower_dashboards.web.setting import Setting, millis, wall
from llmtower_dashboards.web.state import offset
from llmtower_dashboards.web.theme import series

_WIDTHS: Final = (2.25, 1.5, 1.0)


def timeseries(panel: Panel, columns: Sequence[Column], rows: Sequence[Sequence[Any]], setting: Setting) -> Options:
    """Lines over time, or stacked bars for parts of a whole."""
    found = lines(panel, columns, rows)
    scale = scale_of(found.values) if panel.unit == "seconds" else ""
    drawn = _bars(found, setting) if panel.stacked else _lines(found, setting, labels=panel.name * has_direct_labels(panel, found))
    if drawn:
        drawn[0] |= events(setting)
    return {
        **frame(setting, right=96 if has_direct_labels(panel, found) else 16),
        "xAxis": time_axis(setting),
        "yAxis": value_axis(panel.unit, scale, found.values + found.highs),
        "tooltip": {
            **TOOLTIP,
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
    shown = [wall(at, setting.zone).strftime("%H:%M" if setting.end - setting.start <= timedelta(days=1) else "%-d %b") for at in times]
    zone = offset(setting.zone, setting.end)
    names = [f"{figure(low, panel.unit, scale=scale)}" for low, _ in steps]
    return {
        **frame(setting, right=16),
        "xAxis": {"type": "category", "data": shown, **AXIS, "splitLine": {"show": False}, "axisTick": {"show": False}},
        "yAxis": {"type": "category", "data": names, **AXIS, "axisTick": {"show": False}},
        "tooltip": {
            **TOOLTIP,
            "trigger": "item",
            ":formatter": f"llmtower.cell({shown!r}, {names!r}, {setting.bucket_s}, {zone!r})",
        },
        "series": [
            {"type": "heatmap", "data": cells, "itemStyle": {"color": "var(--accent)"}, "emphasis": {"disabled": True}, "animation": False}
        ],
    }


def _lines(found: Lines, setting: Setting, *, labels: str) -> list[Options]:
    """`labels` names the chart whose lines have their names at their ends; "" for none. Ends that lie close are laid apart."""
    drawn: list[Options] = []
    for number, line in enumerate(found.drawn):
        colour = colour_of(line, number, setting)
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
                "endLabel": {"show": bool(labels), "formatter": "{a}", "color": colour, "fontSize": 12, "distance": 4},
                **({":labelLayout": f"llmtower.apart({labels!r}, {line.last!r})"} if labels and line.last is not None else {}),
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
            "data": [[millis(at, setting.zone), value] for at, value in filled(line, times)],
            "color": colour_of(line, number, setting),
            "itemStyle": {"color": colour_of(line, number, setting)},
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
    times = [millis(at, setting.zone) for at, _ in line.points]
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
            found.append([millis(before + timedelta(seconds=setting.bucket_s), setting.zone), None])
        found.append([millis(at, setting.zone), value])
        before = at
    return found


def has_direct_labels(panel: Panel, found: Lines) -> bool:
    """Names at the ends of lines instead of a legend, where there are few lines with short names."""
    return not panel.stacked and 1 < len(found.drawn) <= 4 and all(len(line.name) <= 12 for line in found.drawn)


def colour_of(line: Line, number: int, setting: Setting) -> str:
    """The colour of a line, by its name or, without one, by its place."""
    return setting.palette.colour(line.dimension, line.label, number) if line.label else series(number)


def _buckets(setting: Setting, seen: Sequence[datetime]) -> list[datetime]:
    """Every bucket from the first to the last one seen."""
    if not seen:
        return []
    first, last, step = min(seen), max(seen), timedelta(seconds=setting.bucket_s)
    return [first + number * step for number in range(min(2_000, round((last - first) / step) + 1))]
