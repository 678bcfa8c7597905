"""The page that documents every panel is current."""

import re
from pathlib import Path

from llmtower_dashboards.document import page
from llmtower_dashboards.registry import PANELS

PAGE = Path(__file__).parent.parent.parent / "docs" / "panels.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m llmtower_dashboards.document docs/panels.md"


def test_every_panel_is_there_with_what_no_data_means() -> None:
    text = page()
    for panel in PANELS.values():
        assert f"(`{panel.name}`): {panel.question}" in text
        assert f"No data: {panel.no_data}" in text


def test_a_limit_that_can_cut_an_answer_is_said() -> None:
    """A LIMIT at the end of a question is known as `Panel.most`, except where one call has no more rows anyway."""
    cut = {panel.name: panel.most for panel in PANELS.values() if panel.most is not None}
    assert (cut["cost_by_user"], cut["calls_recent"], cut["experiments"]) == (20, 100, 200)
    unsaid = {panel.name for panel in PANELS.values() if "LIMIT" in panel.sql.rpartition("ORDER BY")[2] and panel.name not in cut}
    assert unsaid == {"call_facts", "call_cost", "call_content"}
    assert set(re.findall(r"\n- At most (\d+) rows", page())) == {str(most) for most in cut.values()}
