"""The page that documents every panel is current."""

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
