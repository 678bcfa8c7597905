"""The frame of a chart as options of ECharts: axes, tooltip, margins. Pure; colours are CSS variables."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmtower_dashboards.web.setting import Setting, millis

Options = dict[str, Any]
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
_WHOLE: Final = frozenset({"calls", "events", "records", "rows"})
TOOLTIP: Final[Mapping[str, Any]] = {
    "confine": True,
    "transitionDuration": 0,
    "className": "tip",
    "backgroundColor": "var(--card)",
    "borderColor": "var(--line)",
    "padding": 0,
    "textStyle": {"color": "var(--text)", "fontFamily": FONT, "fontSize": 12},
    "axisPointer": {"type": "line", "lineStyle": {"color": "var(--muted)", "type": "solid", "width": 1}, "animation": False},
}
AXIS: Final[Mapping[str, Any]] = {
    "axisLine": {"lineStyle": {"color": "var(--line)"}},
    "axisLabel": {"color": "var(--muted)", "fontSize": 12, "hideOverlap": True},
}


def frame(setting: Setting, *, right: int) -> Options:
    """Margins and type; room for the names of events where there are any."""
    return {
        "animation": False,
        "useUTC": True,
        "textStyle": {"fontFamily": FONT, "color": "var(--text)"},
        "grid": {
            "left": 8,
            "right": right,
            "top": 28 if setting.marks else 16,
            "bottom": 8,
            "outerBoundsMode": "same",
            "outerBoundsContain": "axisLabel",
        },
    }


def time_axis(setting: Setting) -> Options:
    """From the start to the end of the range, whatever has arrived."""
    return {
        "type": "time",
        "min": millis(setting.start, setting.zone),
        "max": millis(setting.end, setting.zone),
        **AXIS,
        "splitLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {
            **AXIS["axisLabel"],
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


def value_axis(unit: str, scale: str, values: Sequence[float]) -> Options:
    """From zero; shares end at 100 %, and what is counted has no fractions."""
    most = max(values, default=0.0)
    whole = unit in _WHOLE or (unit == "" and all(value == int(value) for value in values))
    ends = {"max": 1, "interval": 0.25} if unit == "ratio" and (most == 0 or 0.75 < most <= 1) else {}
    return {
        "type": "value",
        "splitNumber": 3,
        "min": 0,
        "minInterval": 1 if whole else 0,
        **ends,
        "axisLine": {"show": False},
        "axisLabel": {**AXIS["axisLabel"], ":formatter": f"value => llmtower.figure(value, {unit!r}, {scale!r})"},
        "splitLine": {"lineStyle": {"color": "var(--line)"}},
    }
