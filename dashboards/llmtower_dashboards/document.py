"""Every panel in words, as one page of Markdown: `python -m llmtower_dashboards.document docs/panels.md` writes it anew."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from llmtower_dashboards.panel import Dashboard, Panel, PanelUnit, Threshold
from llmtower_dashboards.registry import ANNOTATIONS, DASHBOARDS, VARIABLES

_HEAD: Final = """# Panels

Made from the definitions in `dashboards/llmtower_dashboards/panels` by `python -m llmtower_dashboards.document docs/panels.md`; a test
compares both. The same definitions make the dashboards in Grafana (`llmtower dashboards build`) and the live page.

How to read any of them:

- Ranges are half-open, [start, end), in UTC. Up to a day sums come from minutes, beyond it from hours; percentiles from six hours on.
- An empty answer, or an empty cell, means "no data" and never 0. What it means for a panel stands beside it.
- Money is exact to the nano-dollar. What has no known price is in no sum and is counted beside it as unpriced calls.
- `Low` and `High` are the ends of a 95 % interval. Shares: Wilson. Percentiles: order statistics. Means: ratio estimator over buckets of
  time. Scores: each counts by the inverse of the probability with which it was picked; Wilson's interval for the effective sample.
- `Same hours before` is the mean of the same hours of the trailing seven days (beyond a day: the period before).
- Every dashboard begins with how complete its range is: what producers say they emitted, and what of that is dropped, on their disks, or
  in Kafka and not stored yet.
"""


def page() -> str:
    """Give the whole page."""
    names = ", ".join(f"`{name}`" for name in VARIABLES)
    marks = "; ".join(f"{mark.title.lower()} ({mark.question.rstrip('?').lower()})" for mark in ANNOTATIONS.values())
    parts = [_HEAD, f"Variables: {names}. A panel says which of them it follows.\n", f"Marks on time panels: {marks}.\n"]
    return "\n".join([*parts, *(line for dashboard in DASHBOARDS.values() for line in _dashboard(dashboard))]).rstrip() + "\n"


def _dashboard(dashboard: Dashboard) -> Iterator[str]:
    yield f"## {dashboard.title}\n"
    yield f"{dashboard.question}\n"
    for row in dashboard.rows:
        yield f"### {dashboard.title}: {row.title}\n"
        for panel in row.panels:
            yield from _panel(panel)


def _panel(panel: Panel) -> Iterator[str]:
    yield f"**{panel.title}** (`{panel.name}`): {panel.question}\n"
    yield f"- {_KINDS[panel.kind]}; {_unit(panel.unit)}. Columns: {', '.join(_column(panel))}."
    if panel.most is not None:
        yield f"- At most {panel.most} rows, the first in its order."
    if panel.thresholds:
        yield f"- Thresholds: {', '.join(_threshold(one, panel) for one in panel.thresholds)}."
    if panel.variables:
        yield f"- Follows: {', '.join(panel.variables)}."
    if panel.reader == "content":
        yield "- Holds texts: only for readers with the scope `content`, never in Grafana."
    yield f"- No data: {panel.no_data}\n"


_KINDS: Final = {
    "stat": "One figure",
    "timeseries": "Over time",
    "bars": "One row per group, biggest first",
    "table": "A table",
    "heatmap": "Calls by time and size",
}


def _unit(unit: PanelUnit) -> str:
    return f"in {_WORDS.get(unit, unit)}" if unit else "every column has its unit"


_WORDS: Final = {
    "usd": "US dollars",
    "usd/h": "US dollars an hour",
    "ratio": "shares of 1 (shown in %)",
    "calls/min": "calls a minute",
    "tokens/min": "tokens a minute",
    "tokens/s": "tokens a second",
    "records/s": "records a second",
    "text": "text",
    "time": "time",
}


def _column(panel: Panel) -> Iterator[str]:
    for column in panel.columns:
        plain = column.unit in ("", "text", "time", panel.unit) or column.unit in column.title.lower()
        yield column.title if plain else f"{column.title} ({_WORDS.get(column.unit, column.unit)})"


def _threshold(threshold: Threshold, panel: Panel) -> str:
    return f"{threshold.state} {'up to' if panel.worse == 'down' else 'from'} {threshold.value:g}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
