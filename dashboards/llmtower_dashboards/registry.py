"""Every dashboard, panel, variable and annotation: literal tables, from which the page, Grafana's JSON and the documentation are made."""

from typing import Final

from llmtower_dashboards.panel import Dashboard, Panel
from llmtower_dashboards.panels.overview import OVERVIEW
from llmtower_dashboards.panels.variables import VARIABLES

DASHBOARDS: Final[dict[str, Dashboard]] = {dashboard.name: dashboard for dashboard in (OVERVIEW,)}
"""In the order of the menu."""

PANELS: Final[dict[str, Panel]] = {panel.name: panel for dashboard in DASHBOARDS.values() for row in dashboard.rows for panel in row.panels}

ANNOTATIONS: Final[dict[str, Panel]] = {}

__all__ = ["ANNOTATIONS", "DASHBOARDS", "PANELS", "VARIABLES"]
