"""Ranges that tests look at."""

from datetime import UTC, datetime, timedelta
from typing import Final

from llmtower_dashboards.macros import Frame

END: Final = datetime(2025, 11, 20, 12, tzinfo=UTC)
HOUR: Final = Frame(END - timedelta(hours=1), END, 60)
DAY: Final = Frame(END - timedelta(days=1), END, 900)
