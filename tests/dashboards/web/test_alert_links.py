"""Alerts lead somewhere: every shipped rule names a panel that stands on a page."""

from llmtower_dashboards.web.chrome import PANEL_PATHS
from llmtower_processors.alerts.load import load_rules


def test_every_shipped_rule_names_a_panel_that_exists() -> None:
    named = {rule.name: rule.panel for rule in load_rules().rules if rule.panel}
    assert named
    assert {name: panel for name, panel in named.items() if panel not in PANEL_PATHS} == {}
