"""Dashboards as Grafana's JSON: rows, filters, marks, links. The same registry gives the same bytes."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    DashboardLink,
    QueryVariable,
    TextBoxVariable,
    TimePicker,
)
from grafana_foundation_sdk.builders.dashboard import Dashboard as DashboardBuilder
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    RowPanel,
    VariableModel,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.dashboard import Panel as GrafanaPanel

from llmtower_dashboards.completeness import COMPLETENESS_SQL
from llmtower_dashboards.grafana.fields import UID_PREFIX
from llmtower_dashboards.grafana.panels import Place, panel_id, panel_model
from llmtower_dashboards.grafana.query import DATASOURCE_UID, ClickHouseQuery, datasource
from llmtower_dashboards.macros import variables_of
from llmtower_dashboards.panel import Column, Dashboard, Panel, Row, Threshold, Variable
from llmtower_dashboards.panels.alerts import FIRING, HISTORY
from llmtower_dashboards.registry import ANNOTATIONS, DASHBOARDS, HOMES, VARIABLES

FOLDER: Final = "Llmtower"
FOLDER_UID: Final = "llmtower"
TAG: Final = "llmtower"
WIDTH: Final = 24
COLOURS: Final = ("blue", "purple", "orange", "green", "yellow")

COMPLETENESS: Final = Panel(
    name="completeness",
    title="How complete this is",
    question="Which share of what producers emitted in this range has arrived, and what is missing?",
    kind="stat",
    unit="ratio",
    sql=(
        "SELECT if(emitted <= 0, NULL, greatest(0, 1 - (dropped + spooled + waiting) / emitted)) AS share, dropped, spooled, waiting,\n"
        f"    behind_s\nFROM (\n{COMPLETENESS_SQL.strip()}\n)"
    ),
    columns=(
        Column("share", "Arrived", "ratio"),
        Column("dropped", "Dropped by producers", "events"),
        Column("spooled", "On producers' disks", "events"),
        Column("waiting", "In Kafka", "events"),
        Column("behind_s", "Behind", "seconds"),
    ),
    no_data="No producer keeps books here (OpenTelemetry exporters and replays do not): completeness cannot be told.",
    thresholds=(Threshold(0.999_9, "warn"), Threshold(0.99, "bad")),
    worse="down",
    calls=None,
    width=WIDTH,
    height=3,
)
"""Stands above every dashboard: all its figures are as complete as this says."""


ALERTS: Final = Row("Alerts", (replace(FIRING, height=6), replace(HISTORY, height=6)))
"""Stands on the overview in Grafana; the live page has a page of its own for them."""
ALSO: Final[Mapping[str, tuple[Row, ...]]] = {"overview": (ALERTS,)}


def rows(dashboard: Dashboard) -> tuple[Row, ...]:
    """Give a dashboard's rows, with what only Grafana shows."""
    return (*dashboard.rows[:1], *ALSO.get(dashboard.name, ()), *dashboard.rows[1:])


def dashboards(uid: str = DATASOURCE_UID) -> dict[str, dict[str, Any]]:
    """Give every dashboard of the registry, by its uid in Grafana."""
    return {f"{UID_PREFIX}{name}": dashboard_json(dashboard, uid) for name, dashboard in DASHBOARDS.items()}


def panel_places() -> dict[str, tuple[str, int]]:
    """Say where each panel of the registry stands: the uid of the dashboard that `HOMES` names, and its number there."""
    return {panel: (f"{UID_PREFIX}{name}", panel_id(panel)) for panel, name in HOMES.items()}


def dashboard_json(dashboard: Dashboard, uid: str = DATASOURCE_UID) -> dict[str, Any]:
    """Give one dashboard as Grafana's JSON."""
    variables = used_variables(dashboard)
    built = (
        DashboardBuilder(dashboard.title)
        .uid(f"{UID_PREFIX}{dashboard.name}")
        .description(dashboard.question)
        .tags([TAG])
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-24h", "now")
        .timepicker(TimePicker().refresh_intervals(["10s", "30s", "1m", "5m"]))
        .links([_menu()])
        .variables([_variable(VARIABLES[name], uid) for name in variables])
        .annotations(list(_annotations(uid)) if dashboard.annotations else [])
        .build()
    )
    built.panels = list(_laid_out(dashboard, variables, uid))
    plain: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    placed: dict[str, Any] = _without_placement(plain)
    return placed


def text(value: Mapping[str, Any]) -> str:
    """Write JSON the same way every time."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def used_variables(dashboard: Dashboard) -> tuple[str, ...]:
    """Name the dashboard's filters and every other variable that its SQL uses: `$__conditionalAll` needs each to exist."""
    panels = [COMPLETENESS, *(panel for row in rows(dashboard) for panel in row.panels)]
    queries = [panel.sql for panel in panels] + [mark.sql for mark in ANNOTATIONS.values() if dashboard.annotations]
    used = [name for sql in queries for name in variables_of(sql)]
    listed = [name for known in dict.fromkeys([*dashboard.variables, *used]) for name in [*variables_of(VARIABLES[known].sql), known]]
    return tuple(dict.fromkeys(listed))


def _menu() -> DashboardLink:
    link = DashboardLink(FOLDER).type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(False).include_vars(True).keep_time(True)


def _variable(variable: Variable, uid: str) -> Builder[VariableModel]:
    if not variable.sql:
        empty = VariableOption(selected=True, text="", value="")
        return TextBoxVariable(variable.name).label(variable.title).default_value("").current(empty).options([empty])
    query: dict[str, object] = {**ClickHouseQuery(variable.sql, "table", f"variable-{variable.name}", uid).to_json()}
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    listed = QueryVariable(variable.name).label(variable.title).datasource(datasource(uid)).query(query).definition(variable.sql)
    return listed.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True).current(everything)


def _annotations(uid: str) -> Iterator[AnnotationQuery]:
    for number, (name, mark) in enumerate(ANNOTATIONS.items()):
        query = ClickHouseQuery(mark.sql, "table", f"annotation-{name}", uid)
        shown = AnnotationQuery().name(mark.title).enable(True).icon_color(COLOURS[number % len(COLOURS)])
        yield shown.datasource(datasource(uid)).target(query)


def _laid_out(dashboard: Dashboard, variables: Sequence[str], uid: str) -> Iterator[GrafanaPanel | RowPanel]:
    """From left to right, a new line where a panel does not fit; a line is as high as its highest panel."""
    yield panel_model(COMPLETENESS, Place(GridPos(COMPLETENESS.height, WIDTH, 0, 0), variables, uid))
    top = COMPLETENESS.height
    for row in rows(dashboard):
        yield RowPanel(title=row.title, id_val=panel_id(f"{dashboard.name}/{row.title}"), grid_pos=GridPos(1, WIDTH, 0, top))
        top += 1
        for line in _lines(row.panels):
            left = 0
            for panel in line:
                yield panel_model(panel, Place(GridPos(panel.height, panel.width, left, top), variables, uid))
                left += panel.width
            top += max(panel.height for panel in line)


def _lines(panels: Iterable[Panel]) -> Iterator[list[Panel]]:
    line: list[Panel] = []
    for panel in panels:
        if line and sum(one.width for one in line) + panel.width > WIDTH:
            yield line
            line = []
        line.append(panel)
    if line:
        yield line


def _without_placement(value: Any) -> Any:
    """The SDK puts every link and mark into a menu; they belong where people see them."""
    if isinstance(value, dict):
        return {key: _without_placement(one) for key, one in value.items() if (key, one) != ("placement", "inControlsMenu")}
    return [_without_placement(one) for one in value] if isinstance(value, list) else value
