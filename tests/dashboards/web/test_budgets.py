"""The cost of today stands beside the budget of exactly what is looked at, as the alert rules have it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from llmtower_dashboards.registry import PANELS
from llmtower_dashboards.web import cards
from llmtower_dashboards.web.budgets import Budgets
from llmtower_dashboards.web.format import figure
from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.cli.stack import _budgets
from tests.dashboards.web.test_words import LOOK, answer

BUDGETS = Budgets(project=250.0, app=40.0)


@pytest.mark.parametrize(
    ("chosen", "projects", "budget"),
    [
        ({}, 1, 250.0),
        ({}, 2, None),
        ({}, 0, None),
        ({"project": ("a",)}, 2, 250.0),
        ({"project": ("a", "b")}, 2, None),
        ({"app": ("chat",)}, 1, 40.0),
        ({"app": ("chat",)}, 2, None),
        ({"app": ("chat", "search")}, 1, None),
        ({"app": ("chat",), "model": ("m",)}, 1, None),
        ({"environment": ("production",)}, 1, None),
        ({"environment": ()}, 1, 250.0),
    ],
)
def test_a_budget_is_shown_only_where_it_is_of_what_is_looked_at(
    chosen: Mapping[str, Sequence[str]], projects: int, budget: float | None
) -> None:
    assert BUDGETS.of(chosen, projects) == budget


def test_the_cost_of_today_says_how_much_of_its_budget_is_gone() -> None:
    panel = PANELS["cost_today"]
    found = answer(panel, {"value": 184.2, "forecast": 240.0, "unpriced": 0, "sample": 900})
    html = cards.tile(panel, found, None, replace(LOOK, budget_usd=250.0))
    assert f"{figure(184.2, 'usd')} of {figure(250.0, 'usd')}" in html
    assert "<meter" not in cards.tile(panel, found, None, LOOK)


def test_budgets_are_those_of_the_rules_and_a_broken_file_stops_no_page(tmp_path: Path) -> None:
    assert _budgets(None) == Budgets(project=500.0, app=200.0)
    file = tmp_path / "alerts.yaml"
    rule = "{name: a, metric: cost, group_by: [project], except: {}, budget: {amount: 30, period: %s}, levels: {critical: {above: 1}}}"
    file.write_text(f"rules:\n  - {rule % 'day'}\n")
    assert parse_rules(file.read_text())
    assert _budgets(file) == Budgets(project=30.0)
    file.write_text(f"rules:\n  - {rule.replace('[project]', '[app, project]') % 'day'}\n")
    assert _budgets(file) == Budgets(app=30.0), "in whatever order the dimensions stand"
    file.write_text(f"rules:\n  - {rule.replace('except: {}, ', '') % 'day'}\n")
    assert _budgets(file) == Budgets(), "a rule that leaves calls out is no budget of all that is shown"
    file.write_text(f"rules:\n  - {rule % 'month'}\n")
    assert _budgets(file) == Budgets()
    file.write_text("rules: [")
    assert _budgets(file) == Budgets()
