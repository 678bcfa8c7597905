"""What lies over every time chart: events as vertical marks, and the greyed edge where not everything has arrived. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from llmtower_dashboards.web.axes import Options
from llmtower_dashboards.web.setting import Mark, Setting, millis

MAX_MARKS: Final = 12
MAX_LABEL: Final = 24
_WEIGHTY: Final = ("deploy", "prompt", "model")
MARK_SHARE: Final = 0.2
"""Of the range: marks closer than this share one label."""


def events(setting: Setting) -> Options:
    """Events as vertical marks, and the edge where not everything has arrived greyed."""
    late = setting.end - (setting.end - setting.start) * MARK_SHARE
    marks = [
        {"xAxis": millis(at, setting.zone), "name": name, "label": {"align": "right" if at > late else "center"}}
        for at, name in _named_marks(setting)
    ]
    return {
        "markLine": {
            "symbol": "none",
            "silent": False,
            "animation": False,
            "data": marks,
            "lineStyle": {"color": "var(--muted)", "type": [2, 3], "width": 1},
            "label": {"show": True, "formatter": "{b}", "position": "end", "color": "var(--muted)", "fontSize": 12, "distance": 4},
            "labelLayout": {"hideOverlap": True},
            "emphasis": {"disabled": True},
            "tooltip": {"show": False},
        },
        "markArea": {
            "silent": True,
            "animation": False,
            "data": _edge(setting),
            "itemStyle": {"color": "var(--muted)", "opacity": 0.12},
            "label": {"position": "insideBottomRight", "color": "var(--muted)", "fontSize": 12},
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
    return [[{"xAxis": millis(start, setting.zone), "name": share}, {"xAxis": millis(setting.end, setting.zone)}]]
