"""A panel as Grafana draws it. Bars are a table with gauges, so that unpriced calls stay beside every sum."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import common, heatmap, stat, table, text, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DynamicConfigValue, GridPos
from grafana_foundation_sdk.models.dashboard import Panel as GrafanaPanel
from grafana_foundation_sdk.models.text import TextMode

from llmtower_dashboards.grafana.fields import SPANS, UNITS, cell_links, display, explorer_url, series_links, thresholds
from llmtower_dashboards.grafana.query import DATASOURCE_UID, ClickHouseQuery, Format, datasource
from llmtower_dashboards.panel import Column, Kind, Panel

MAX_POINTS: Final = 240
"""Points of a series that Grafana asks for; buckets are never finer than a minute, because the rollups are not."""

TECHNICAL: Final = frozenset({"group_json", "window_start", "window_end", "panel", "corrected"})
"""Columns that are there for the live page to act on; a table in Grafana does not show them."""

_Any = TypeVar("_Any", stat.Panel, timeseries.Panel, table.Panel, heatmap.Panel, text.Panel)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel stands: its grid, the variables of its dashboard, the data source it asks."""

    grid: GridPos
    variables: Sequence[str]
    uid: str = DATASOURCE_UID


def panel_id(name: str) -> int:
    """Give the number of a panel: made of its name, so that links to it outlive any reordering."""
    return zlib.crc32(name.encode()) & 0x7FFF_FFFF


def panel_model(panel: Panel, place: Place) -> GrafanaPanel:
    """Give a panel as Grafana knows it. Texts of calls never come to Grafana: it asks as the dashboards reader."""
    if panel.reader == "content":
        return _hidden(panel, place)
    return _KINDS[panel.kind](panel, place)


def _common(builder: _Any, panel: Panel, place: Place) -> _Any:
    asked = panel.question if panel.most is None else f"{panel.question} (At most {panel.most} rows.)"
    said = f"{asked} {SPANS[panel.calls.span][1]}".strip() if panel.calls else asked
    named = builder.id(panel_id(panel.name)).title(panel.title).description(said).grid_pos(place.grid)
    links = [_link("Show the calls behind this", explorer_url(panel, place.variables, {}))] if panel.calls else []
    return named.datasource(datasource(place.uid)).links(list(links)).no_value(panel.no_data)


def _link(title: str, url: str) -> DashboardLink:
    return DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(False)


def _query(panel: Panel, place: Place, answer: Format, sql: str = "") -> ClickHouseQuery:
    return ClickHouseQuery(sql or panel.sql, answer, uid=place.uid)


def _stat(panel: Panel, place: Place) -> GrafanaPanel:
    builder = _common(stat.Panel(), panel, place).unit(UNITS[panel.unit]).thresholds(thresholds(panel))
    shown = common.ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields("/.*/")
    builder = builder.with_target(_query(panel, place, "table")).reduce_options(shown).color_mode(common_models.BigValueColorMode.VALUE)
    builder = builder.graph_mode(common_models.BigValueGraphMode.NONE).text_mode(
        common_models.BigValueTextMode.VALUE_AND_NAME if len(panel.columns) > 1 else common_models.BigValueTextMode.VALUE
    )
    for number, column in enumerate(panel.columns):
        plain = [DynamicConfigValue("thresholds", {"mode": "absolute", "steps": [{"color": "text", "value": None}]})] if number else []
        builder = builder.override_by_name(column.name, display(column, panel) + plain + _links(cell_links(column, panel, place.variables)))
    return builder.build()


def _timeseries(panel: Panel, place: Place) -> GrafanaPanel:
    labels = [column for column in panel.columns if column.unit == "text"]
    values = [column for column in panel.columns if column.unit != "text" and column.name != "time"]
    builder = _common(timeseries.Panel(), panel, place).unit(UNITS[panel.unit]).thresholds(thresholds(panel))
    builder = builder.with_target(_query(panel, place, "series")).interval("1m").max_data_points(MAX_POINTS).fill_opacity(8)
    builder = builder.legend(common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM).calcs([]))
    builder = builder.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)).axis_label(panel.unit)
    if panel.thresholds:
        builder = builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED))
    if panel.stacked:
        builder = builder.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL)).fill_opacity(30)
    for column in values:
        builder = builder.override_by_regexp(_series_of(column, labels), _series(column, panel, place, labels, alone=len(values) == 1))
    return builder.build()


def _series_of(column: Column, labels: Sequence[Column]) -> str:
    """Match the names that Grafana gives the series of a column: its own, with the labels behind it."""
    return f"/^{column.name}( .*|{{.*)?$/" if labels else f"/^{column.name}$/"


def _series(column: Column, panel: Panel, place: Place, labels: Sequence[Column], *, alone: bool) -> list[DynamicConfigValue]:
    by_label = " · ".join(f"${{__field.labels.{label.name}}}" for label in labels)
    title = by_label if labels and alone else f"{column.title} {by_label}".strip()
    properties = display(column, panel)
    properties[0] = DynamicConfigValue("displayName", title)
    return properties + _links(series_links(panel, labels, place.variables))


def _links(links: Sequence[Mapping[str, object]]) -> list[DynamicConfigValue]:
    return [DynamicConfigValue("links", list(links))] if links else []


def _table(panel: Panel, place: Place) -> GrafanaPanel:
    builder = _common(table.Panel(), panel, place).with_target(_query(panel, place, "table")).thresholds(thresholds(panel))
    for column in panel.columns:
        properties = display(column, panel) + _links(cell_links(column, panel, place.variables))
        if panel.kind == "bars" and column.unit == panel.unit and column.unit != "text":
            gauge = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
            properties += [DynamicConfigValue("custom.cellOptions", gauge), DynamicConfigValue("min", 0)]
        if column.name in TECHNICAL:
            properties.append(DynamicConfigValue("custom.hidden", True))
        builder = builder.override_by_name(column.name, [*properties, *_unit(column, panel)])
    return builder.build()


def _unit(column: Column, panel: Panel) -> list[DynamicConfigValue]:
    """A table has no unit of its own: every column says its."""
    return [DynamicConfigValue("unit", UNITS[column.unit])] if column.unit == panel.unit and UNITS[column.unit] else []


def _heatmap(panel: Panel, place: Place) -> GrafanaPanel:
    """Grafana wants one numeric field per row of the map, named by the row's upper end."""
    sql = (
        "SELECT time, toString(bucket_end) AS le, toFloat64(sum(calls)) AS Value\n"
        f"FROM (\n{panel.sql}\n)\nGROUP BY time, bucket_end ORDER BY time, bucket_end"
    )
    axis = heatmap.YAxisConfig().unit(UNITS[panel.unit]).axis_placement(common_models.AxisPlacement.LEFT)
    builder = _common(heatmap.Panel(), panel, place).with_target(_query(panel, place, "series", sql)).interval("1m")
    builder = builder.max_data_points(MAX_POINTS).calculate(False).y_axis(axis)
    return builder.rows_frame(heatmap.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.LE).value("calls")).build()


def _hidden(panel: Panel, place: Place) -> GrafanaPanel:
    note = f"**{panel.question}**\n\nTexts of calls are not shown in Grafana, whose data source may not read them. Open the live page."
    builder = text.Panel().id(panel_id(panel.name)).title(panel.title).description(panel.question).grid_pos(place.grid)
    return builder.mode(TextMode.MARKDOWN).content(note).build()


_KINDS: Final[Mapping[Kind, Callable[[Panel, Place], GrafanaPanel]]] = {
    "stat": _stat,
    "timeseries": _timeseries,
    "bars": _table,
    "table": _table,
    "heatmap": _heatmap,
}
