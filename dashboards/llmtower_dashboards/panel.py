"""What a panel is: one definition, from which Grafana's dashboards, the live page and the documentation are made.

A panel's SQL uses the macros of Grafana's ClickHouse plugin (`$__timeFilter(column)`, `$__timeInterval(column)`, `$__interval_s`,
`$__fromTime`, `$__toTime`, `$__conditionalAll(condition, $variable)`) and its variables (`${app:singlequote}`); the live page expands
them itself (`macros.py`).
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from llmtower_schemas.metrics import Unit

Kind = Literal["stat", "timeseries", "bars", "table", "heatmap"]
"""stat: one row, its first column is the figure · timeseries: `time`, optional label columns (unit "text"), values · bars: one label
column, values, biggest first · table: any columns · heatmap: `time`, `bucket_start`, `bucket_end` (in the panel's unit), `calls`.

Columns with these names mean the same everywhere: `baseline` the figure in the same hours of the trailing seven days (beyond a day: in the
period before), per period; `low` and `high` (or `<name>_low`, `<name>_high`) the 95 % interval of the column before them; `unpriced` calls
that are missing from the sum of money beside it; `sample` what the figure rests on. An empty answer or a NULL is "no data", never 0."""

State = Literal["ok", "warn", "bad"]
Span = Literal["range", "rows", "hours", "last_hour", "six_hours", "day", "month", "ever", "last_day"]
PanelUnit = Unit | Literal["text", "time", "records", "records/s", "percent_points", "calls/min", "tokens/min", "usd/h", "rows", ""]


_FINE: Final = re.compile(r"toUnixTimestamp\(\$__fromTime\)\) <= (\d+) AND minute >= ")
"""Up to how many seconds of range the minutes are asked, by the condition that `sql.Resolution` writes."""
_BACK: Final = "intDiv((toUnixTimestamp($__toTime) - 1 - "
"""How SQL numbers the ranges before, by which a figure is compared with them."""
_LIMIT: Final = re.compile(r"\nLIMIT (\d\d+)[\s)]*\Z")
"""Smaller limits stand where no more rows can be (one call, its lines of cost)."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From this value on (upwards, or downwards where small values are bad) the figure has this state."""

    value: float
    state: State


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a panel's result: what it is called for people, and its unit."""

    name: str
    title: str
    unit: PanelUnit = ""
    link: Literal["", "call", "calls", "app", "model", "prompt", "user", "trace"] = ""
    """What a click on a cell opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Which calls are behind a panel: those of its range and of the filters it follows, narrowed by variables of the call explorer."""

    only: tuple[tuple[str, str], ...] = ()
    """Variable and value; several of one variable are its several values."""
    span: Span = "range"
    """Of what: the range in the buckets that its SQL sums up, to the second (of single events), in whole hours; the last hour(s) of it, the
    day or month (UTC) of its end, everything before."""
    listed: Literal["", "slowest", "dearest"] = ""
    """Which of them are shown first; "" the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A question, the SQL that answers it, and how the answer is to be shown and read."""

    name: str
    """Unique over all dashboards; stable: it is part of links."""
    title: str
    question: str
    kind: Kind
    unit: PanelUnit
    sql: str
    columns: tuple[Column, ...]
    """Every column of the result, in order."""
    no_data: str
    """What an empty answer (or a NULL value) means, and what to do."""
    thresholds: tuple[Threshold, ...] = ()
    worse: Literal["up", "down", ""] = ""
    variables: tuple[str, ...] = ()
    """Names of the variables that its SQL uses."""
    calls: Behind | None = field(default_factory=Behind)
    """Where "show calls" leads; None where no calls are behind the figures."""
    trend: str = ""
    """Of a stat: the timeseries panel whose first value is this figure over time (for a sparkline)."""
    stacked: bool = False
    """Of a timeseries: whether the values add up to a whole."""
    reader: Literal["dashboards", "content"] = "dashboards"
    """Who may ask it: texts of calls need the content reader."""
    width: int = 12
    """Of 24 columns."""
    height: int = 8
    """In Grafana's grid units of 30 px."""

    def bucket_s(self, range_s: int) -> int:
        """Seconds of the buckets that its SQL sums up over so long a range: a minute or an hour; 0 where it reads single events."""
        fine = [int(found) for found in _FINE.findall(self.sql)]
        return 0 if not fine else 60 if range_s <= min(fine) else 3_600

    @property
    def compared(self) -> bool:
        """Whether it is compared with whole days before: it then begins no earlier than so many days before the end."""
        return _BACK in self.sql

    @property
    def most(self) -> int | None:
        """How many rows an answer has at most, by the limit that its SQL ends with: there may be more. None where nothing is cut."""
        found = _LIMIT.search(self.sql)
        return int(found[1]) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A filter that dashboards share: the column it stands for, and the SQL (macros allowed) that lists its values.

    Without SQL it is a text that is typed or linked to (one call, one session), "" until then.
    """

    name: str
    title: str
    column: str
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One page of panels; `name` is its uid in Grafana (with the prefix `llmtower-`) and its path on the live page."""

    name: str
    title: str
    question: str
    rows: tuple[Row, ...]
    annotations: bool = True
    """Whether deploys, new prompt versions and new models are marked on the time panels."""
    variables: tuple[str, ...] = field(default=("project", "environment", "app", "model", "provider", "prompt", "user"))
