"""The table of the live view: one row per app and model, laid out so that no figure is ever cut, whatever the terminal's size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from .figures import WINDOW_S, Row
from .numbers import UNKNOWN, compact, count, dollars, per_thousand, percent, seconds

BAD, MUTED = "red", "dim"
ERROR_LIMIT = 0.05
"""From this share of failed calls on, a row is marked."""
SLOW_US = 4_000_000
"""From this 95th percentile on, a row is marked."""
NOT_STREAMED = "-"
HEADING_LINES = 2
SHORT_NAME = 16
"""A model's name is cut to this length before a column is left out."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: heading with unit, value of a row, and when it is marked."""

    heading: str
    value: Callable[[Row], str]
    marked: Callable[[Row], bool] = lambda row: False
    spare: int = 0
    """Where the terminal is too narrow, the column with the highest number is left out first; 0 stays."""

    def cell(self, row: Row) -> Text:
        """Give the value as it is shown; a mark is a sign and a colour."""
        value = self.value(row)
        if self.marked(row):
            return Text(f"! {value}", style=f"bold {BAD}")
        return Text(value, style=MUTED if value in {UNKNOWN, NOT_STREAMED} else "")

    def width(self, rows: Sequence[Row]) -> int:
        """Give the characters that its heading and values need."""
        return max(*map(cell_len, self.heading.split("\n")), *(self.cell(row).cell_len for row in rows))


COLUMNS: tuple[Column, ...] = (
    Column("calls", lambda row: count(row.calls)),
    Column("errors\n%", lambda row: percent(failed(row), row.calls), lambda row: failed(row) > ERROR_LIMIT * row.calls),
    Column("rate\nlim. %", lambda row: percent(row.errors.get("rate_limit", 0), row.calls), spare=3),
    Column("time-\nout %", lambda row: percent(row.errors.get("timeout", 0), row.calls), spare=4),
    Column("server\n%", lambda row: percent(row.errors.get("server", 0), row.calls), spare=5),
    Column("p50\ns", lambda row: seconds(row.duration_p50_us)),
    Column("p95\ns", lambda row: seconds(row.duration_p95_us), lambda row: (row.duration_p95_us or 0) > SLOW_US),
    Column("TTFT\np50 s", lambda row: _ttft(row.ttft_p50_us), spare=8),
    Column("TTFT\np95 s", lambda row: _ttft(row.ttft_p95_us)),
    Column("tokens\nin", lambda row: compact(row.input_tokens), spare=7),
    Column("tokens\nout", lambda row: compact(row.output_tokens), spare=2),
    Column("$ per\n1 k", lambda row: per_thousand(row.cost_nano_usd, row.calls - row.unpriced), spare=6),
    Column("cost", lambda row: dollars(row.cost_nano_usd)),
    Column("un-\npriced", lambda row: count(row.unpriced), spare=1),
)
"""The columns after app and model. TTFT: time to the first token, streamed calls only."""


def figures_table(rows: Sequence[Row], *, width: int, height: int) -> Table:
    """Lay out at least one row. App and model stand beside each other if all columns fit; else in one column, if `height` allows."""
    names = max(cell_len(row.app) for row in rows) + 1
    models = max(cell_len(row.model) for row in rows) + 1
    needed = sum(column.width(rows) + 1 for column in COLUMNS)
    apps = len({row.app for row in rows})
    if names + models + needed > width and HEADING_LINES + len(rows) + apps <= height:
        return _nested(rows, _fitting(rows, width - max(names, models + 1)))
    columns = _fitting(rows, width - names - min(models, SHORT_NAME + 1))
    left = width - names - sum(column.width(rows) + 1 for column in columns) - 1
    return _flat(rows, columns, model_width=min(left, models))


def failed(row: Row) -> int:
    """Give how many calls of a row failed."""
    return sum(row.errors.values())


def _fitting(rows: Sequence[Row], width: int) -> list[Column]:
    kept = list(COLUMNS)
    while sum(column.width(rows) + 1 for column in kept) > width:
        least = max(kept, key=lambda column: column.spare)
        if not least.spare:
            break
        kept.remove(least)
    return kept


def _flat(rows: Sequence[Row], columns: Sequence[Column], *, model_width: int) -> Table:
    table = _empty()
    table.add_column("model", no_wrap=True, max_width=model_width, overflow="ellipsis")
    _add_headings(table, columns)
    app = None
    for row in rows:
        table.add_row(Text(row.app, style="bold") if row.app != app else "", row.model, *(column.cell(row) for column in columns))
        app = row.app
    return table


def _nested(rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    table = _empty()
    _add_headings(table, columns)
    app = None
    for row in rows:
        if row.app != app:
            table.add_row(Text(row.app, style="bold"))
        table.add_row(f" {row.model}", *(column.cell(row) for column in columns))
        app = row.app
    return table


def _empty() -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style=MUTED, expand=False)
    table.add_column(f"last {WINDOW_S} s", no_wrap=True)
    return table


def _add_headings(table: Table, columns: Sequence[Column]) -> None:
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)


def _ttft(us: float | None) -> str:
    return NOT_STREAMED if us is None else seconds(us)
