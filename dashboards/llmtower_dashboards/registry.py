"""Every dashboard, panel, variable and annotation: literal tables, from which the page, Grafana's JSON and the documentation are made."""

from typing import Final

from llmtower_dashboards.panel import Dashboard, Panel
from llmtower_dashboards.panels.changes import DEPLOY_MARKS, MODEL_MARKS, MOVE_MARKS, PROMPT_MARKS, SNAPSHOT_MARKS
from llmtower_dashboards.panels.cost import COST_DASHBOARD
from llmtower_dashboards.panels.drift import DRIFT
from llmtower_dashboards.panels.explorer import EXPLORER
from llmtower_dashboards.panels.latency import LATENCY
from llmtower_dashboards.panels.models import MODELS_DASHBOARD
from llmtower_dashboards.panels.overview import OVERVIEW
from llmtower_dashboards.panels.pipeline import PIPELINE
from llmtower_dashboards.panels.prompts import PROMPTS
from llmtower_dashboards.panels.quality import QUALITY
from llmtower_dashboards.panels.variables import VARIABLES

DASHBOARDS: Final[dict[str, Dashboard]] = {
    dashboard.name: dashboard
    for dashboard in (
        *(OVERVIEW, COST_DASHBOARD, LATENCY, QUALITY, DRIFT),
        *(PROMPTS, MODELS_DASHBOARD, EXPLORER, PIPELINE),
    )
}
"""In the order of the menu."""

PANELS: Final[dict[str, Panel]] = {panel.name: panel for dashboard in DASHBOARDS.values() for row in dashboard.rows for panel in row.panels}
"""A panel that stands on several dashboards is one panel."""

HOMES: Final[dict[str, str]] = {panel.name: name for name, board in DASHBOARDS.items() for row in board.rows for panel in row.panels}
"""The dashboard that alerts and links to a panel lead to: of several the last, as the overview shows panels of the others."""

ANNOTATIONS: Final[dict[str, Panel]] = {
    panel.name: panel for panel in (DEPLOY_MARKS, PROMPT_MARKS, MODEL_MARKS, MOVE_MARKS, SNAPSHOT_MARKS)
}
"""Vertical marks on every time panel: `time`, `title`, `text`."""

__all__ = ["ANNOTATIONS", "DASHBOARDS", "HOMES", "PANELS", "VARIABLES"]
