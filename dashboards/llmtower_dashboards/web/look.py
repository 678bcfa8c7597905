"""How a page is looked at: the view, the zone, the moment; and the addresses that lead on from it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.web.behind import calls_behind
from llmtower_dashboards.web.format import THIN, Figure, figure, moment, per_thousand
from llmtower_dashboards.web.state import View
from llmtower_dashboards.web.tags import Html, join, tag

CALLS_PATH: Final = "/calls"
PER_CALL: Final = ("cost_per_call", "cost_per_success")
"""Columns whose tiny prices are written per 1,000 calls."""


@dataclass(frozen=True, slots=True)
class Look:
    """What all panels of a page share while it is drawn."""

    path: str
    view: View
    frame: Frame
    now: datetime
    zone: tzinfo = UTC
    budget_usd: float | None = None
    """What may be spent on a day of what is looked at, where a rule says so."""

    def at(self, moment_: datetime) -> str:
        """Write a time in the page's zone."""
        return moment(moment_, self.zone, now=self.now)

    def exactly(self, moment_: datetime) -> str:
        """Write a time in the page's zone, to the second."""
        return moment(moment_, self.zone, now=self.now, seconds=True)

    def calls(self, panel: Panel, columns: Sequence[Column] = (), row: Sequence[Any] = (), cell: str = "") -> str:
        """The address of the calls behind a panel, a row of it, or one figure of a row."""
        return calls_behind(self.view, self.frame, panel, columns, row, cell).link(CALLS_PATH)

    def session(self, session: str) -> str:
        """The address of a session's calls."""
        return self.view.choosing(list="", rule="").having("call", ()).having("session", (session,)).link(CALLS_PATH)

    def call(self, call_id: str) -> str:
        """The address of one call."""
        return self.view.having("call", (call_id,)).link(CALLS_PATH)

    def filtered(self, name: str, value: str) -> str:
        """The address of this page with one more filter."""
        return self.view.having(name, (value,)).link(self.path)

    def permalink(self, anchor: str) -> str:
        """The address that shows this panel over this very range."""
        return f"{self.view.fixed(self.frame).link(self.path)}#{anchor}"


def shown(value: Any, column: Column, look: Look) -> Figure:
    """Write one value of a table."""
    if isinstance(value, datetime):
        return Figure(look.at(value))
    if column.name in PER_CALL and column.unit == "usd":
        return per_thousand(value)
    return figure(value, column.unit)


def number(value: Figure) -> Html:
    """A figure with its unit set smaller."""
    if not value.unit:
        return join(value.number)
    return join(value.number, tag("small", f"{THIN}{value.unit}"))
