"""Rows of a panel over time → lines: one per label and value, ordered by size, with gaps where nothing is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.web.theme import HUES

SAID_BESIDE: Final = frozenset({"baseline", "low", "high", "unpriced", "sample"})
"""Columns that say something about the value before them; not lines of their own."""

LABELS: Final = " · "
"""Between the labels of a line that has several."""


@dataclass(frozen=True, slots=True)
class Line:
    """A name and its points (time, value), with an interval where the panel gives one."""

    name: str
    label: str
    dimension: str
    """What the label is (app, model …), "" without one and with several."""
    column: Column
    points: tuple[tuple[datetime, float | None], ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()

    @property
    def last(self) -> float | None:
        """The newest known value."""
        return next((value for _, value in reversed(self.points) if value is not None), None)

    @property
    def size(self) -> float:
        """By what lines are ordered."""
        return sum(abs(value) for _, value in self.points if value is not None)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines that are drawn, biggest first, and how many more there are."""

    drawn: tuple[Line, ...]
    more: int = 0

    @property
    def highs(self) -> list[float]:
        """The upper ends of all known intervals."""
        return [high for line in self.drawn for high in line.high if high is not None]

    @property
    def values(self) -> list[float]:
        """All known values."""
        return [value for line in self.drawn for _, value in line.points if value is not None]


def lines(panel: Panel, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Lines:
    """Split an answer into lines. Eight labels are drawn at most."""
    labels = [at for at, column in enumerate(columns) if column.unit == "text"]
    values = [at for at, column in enumerate(columns) if at and at not in labels and column.name not in SAID_BESIDE]
    groups: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        groups.setdefault(LABELS.join(str(row[at]) or "none" for at in labels), []).append(row)
    found = [
        _line(columns, [columns[one] for one in labels], label, of, at, alone=len(values) == 1)
        for label, of in groups.items()
        for at in values
    ]
    if labels:
        found.sort(key=lambda line: (-line.size, line.name))
    room = HUES * (1 if labels else len(values))
    return Lines(tuple(found[:room]), max(0, len(found) - room))


def filled(line: Line, times: Sequence[datetime]) -> list[tuple[datetime, float | None]]:
    """The line's points at all of these times; None where it has none."""
    known = dict(line.points)
    return [(at, known.get(at)) for at in times]


def _line(columns: Sequence[Column], of: Sequence[Column], label: str, rows: Sequence[Sequence[Any]], at: int, *, alone: bool) -> Line:
    column = columns[at]
    name = column.title if not of else label if alone else f"{label} {column.title}"
    beside = {columns[place].name: place for place in range(at + 1, min(at + 3, len(columns)))}
    low, high = (
        tuple(_number(row[beside[bound]]) for row in rows) if {"low", "high"} <= beside.keys() else () for bound in ("low", "high")
    )
    return Line(name, label, _dimension(of), column, tuple((row[0], _number(row[at])) for row in rows), low, high)


def _dimension(labels: Sequence[Column]) -> str:
    """Two labels together (a prompt and its version) are of no dimension: each pair has a colour of its own."""
    return labels[0].link or labels[0].name if len(labels) == 1 else ""


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(float(value)) else float(value)
