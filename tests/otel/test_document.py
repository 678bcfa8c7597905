"""The page about OpenTelemetry is what the dialects say."""

from pathlib import Path

from llmtower_processors.otel.document import page

PAGE = Path(__file__).parents[2] / "docs" / "opentelemetry.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m llmtower_processors.otel.document docs/opentelemetry.md"
