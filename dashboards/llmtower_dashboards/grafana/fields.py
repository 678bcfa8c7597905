"""How a column is shown: Grafana's units, colours, thresholds and links."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, Threshold, ThresholdsMode

from llmtower_dashboards.panel import Column, Panel, PanelUnit, Span, State
from llmtower_dashboards.panels.narrow import ALL_OF_ROW, COUNTS, FILTER_OF

UID_PREFIX: Final = "llmtower-"
EXPLORER: Final = f"{UID_PREFIX}explorer"

UNITS: Final[Mapping[PanelUnit, str]] = {
    "calls": "short",
    "events": "short",
    "tokens": "short",
    "records": "short",
    "rows": "short",
    "ratio": "percentunit",
    "seconds": "s",
    "usd": "currencyUSD",
    "bytes": "bytes",
    "tokens/s": "suffix: tokens/s",
    "records/s": "suffix: records/s",
    "calls/min": "suffix: calls/min",
    "tokens/min": "suffix: tokens/min",
    "usd/h": "suffix: $/h",
    "percent_points": "suffix: percentage points",
    "text": "string",
    "time": "dateTimeAsIso",
    "": "",
}
"""Every unit of the panels; a test compares both lists."""

COLOURS: Final[Mapping[State, str]] = {"ok": "green", "warn": "orange", "bad": "red"}
PLAIN: Final = "text"

_OF_LINK: Final[Mapping[str, str]] = {"app": "app", "model": "model", "prompt": "prompt", "user": "user", "call": "call"}
"""What a column links by → the variable that it sets in the call explorer."""

SPANS: Final[Mapping[Span, tuple[str, str]]] = {
    "range": ("${__url_time_range}", ""),
    "rows": ("${__url_time_range}", ""),
    "hours": ("${__url_time_range}", "Its figures count whole hours; its links show the range as it is."),
    "last_hour": ("from=now-1h&to=now", "Its links show the last hour before now."),
    "six_hours": ("from=now-6h&to=now", "Its links show the last six hours before now."),
    "day": ("from=now/d&to=now&timezone=utc", "Its links show this day (UTC) up to now."),
    "month": ("from=now/M&to=now&timezone=utc", "Its links show this month (UTC) up to now."),
    "ever": ("from=now-400d&to=${__to}", "Its links show the 400 days before now, up to the end of the range."),
    "last_day": ("from=now-1d/h&to=now-1h/h&timezone=utc", "Its links show the 24 whole hours before now."),
}
"""What a panel looks at → the range of its links, and what is to be said of it. Grafana rounds only what is relative to now."""


def thresholds(panel: Panel) -> ThresholdsConfig:
    """Give Grafana's steps, which always go upwards; a panel without thresholds is shown without colour."""
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps(panel))


def steps(panel: Panel) -> list[Threshold]:
    """Give the steps: where small values are bad, each step begins a better state."""
    if not panel.thresholds:
        return [Threshold(None, PLAIN)]
    rising = sorted(panel.thresholds, key=lambda threshold: threshold.value)
    if panel.worse != "down":
        return [Threshold(None, COLOURS["ok"]), *(Threshold(one.value, COLOURS[one.state]) for one in rising)]
    states: list[State] = [*(one.state for one in rising[1:]), "ok"]
    better = (Threshold(one.value, COLOURS[state]) for one, state in zip(rising, states, strict=True))
    return [Threshold(None, COLOURS[rising[0].state]), *better]


def display(column: Column, panel: Panel) -> list[DynamicConfigValue]:
    """Give a column's name and unit where they differ from the panel's."""
    properties = [DynamicConfigValue("displayName", column.title)]
    if column.unit != panel.unit and UNITS[column.unit]:
        properties.append(DynamicConfigValue("unit", UNITS[column.unit]))
    return properties


def explorer_url(panel: Panel, variables: Sequence[str], chosen: Mapping[str, str], cell: str = "") -> str:
    """Give the address of the calls behind a panel: when they were made, the filters it follows, what narrows it.

    `chosen` sets variables to Grafana's expressions, `cell` is the column whose figure is meant ("calls", "made": every call of the row).
    """
    only = [(name, value) for name, value in panel.calls.only if name not in chosen] if panel.calls else []
    if cell in COUNTS or cell in ALL_OF_ROW:
        only = [*((name, value) for name, value in only if name != "only"), *(("only", value) for value in [COUNTS.get(cell)] if value)]
    fixed = {name: ",".join(value for one, value in only if one == name) for name, _ in only}
    kept = [f"${{{name}:queryparam}}" for name in variables if name not in {*chosen, *fixed} and name in panel.variables]
    named = [f"var-{name}=${{{expression}:percentencode}}" for name, expression in chosen.items()]
    parts = [*kept, *(f"var-{name}={value}" for name, value in fixed.items()), *named]
    return f"/d/{EXPLORER}?" + "&".join([SPANS[panel.calls.span if panel.calls else "range"][0], *parts])


def cell_links(column: Column, panel: Panel, variables: Sequence[str]) -> list[dict[str, object]]:
    """Give the links of a table's column; "calls" takes the row's app, model … along, or its session alone, which may have several."""
    if column.link == "calls":
        row = {FILTER_OF[other.name]: f"__data.fields.{_field(other)}" for other in panel.columns if other.name in FILTER_OF}
        row = {"session": row["session"]} if "session" in row else row
        cell = "" if panel.kind == "stat" and column.name in ALL_OF_ROW else column.name
        return [link("Show these calls", explorer_url(panel, variables, row, cell))]
    if column.link in _OF_LINK:
        return [link("Show its calls", explorer_url(panel, variables, {_OF_LINK[column.link]: "__value.raw"}))]
    return []


def series_links(panel: Panel, labels: Iterable[Column], variables: Sequence[str]) -> list[dict[str, object]]:
    """Give the links of a point of a series: its calls, filtered by its labels."""
    if not panel.calls:
        return []
    chosen = {FILTER_OF[label.name]: f"__field.labels.{label.name}" for label in labels if label.name in FILTER_OF}
    return [link("Show these calls", explorer_url(panel, variables, chosen))]


def link(title: str, url: str) -> dict[str, object]:
    """Give a data link as it stands in a field's configuration."""
    return {"title": title, "url": url, "targetBlank": False}


def _field(column: Column) -> str:
    return column.name if column.name.isidentifier() else f'["{column.name}"]'
