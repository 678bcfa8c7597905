"""Charts in words, for readers that cannot see them: the newest figure, how far it moved, and since when. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.panel import Panel, PanelUnit
from llmtower_dashboards.web.format import THIN, figure, scale_of
from llmtower_dashboards.web.lines import LABELS, Line, lines
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.setting import Mark

SPOKEN: Final = 4
"""Lines of a chart that are read out; of the others their number is."""
_POINTS: Final = "percentage points"


@dataclass(frozen=True, slots=True)
class Movement:
    """The newest known value of a line, and the one it is held against: the last whole bucket before an event, else the first value."""

    value: float
    at: datetime
    before: float | None
    """None where there is no other value."""
    since: datetime
    event: str = ""
    """What happened then; "" where the range or the line just begins."""


def movement(line: Line, marks: Sequence[Mark], bucket_s: int) -> Movement | None:
    """Hold a line's newest value against what was there before the last event that it has values on both sides of; None without values."""
    known = [(at, value) for at, value in line.points if value is not None]
    if not known:
        return None
    at, value = known[-1]
    for mark in sorted(marks, key=lambda one: one.at, reverse=True):
        earlier = [one for start, one in known if start + timedelta(seconds=bucket_s) <= mark.at]
        if earlier and at + timedelta(seconds=bucket_s) > mark.at:
            return Movement(value, at, earlier[-1], mark.at, mark.title)
    return Movement(value, at, known[0][1] if len(known) > 1 else None, known[0][0])


def words(panel: Panel, answer: Answer, look: Look, marks: Sequence[Mark] = ()) -> str:
    """A chart in words: "Duration: p95 2.31 s, up 0.9 s since 10:42 (prompt 7)"; of a heat map where most calls lie."""
    if panel.kind == "heatmap":
        return _heat(panel, answer)
    found = lines(panel, answer.columns, answer.rows)
    scale = scale_of(found.values) if panel.unit == "seconds" else ""
    bucket_s = look.frame.interval_s
    moved = [(line, movement(line, _concerning(line, answer, marks), bucket_s)) for line in found.drawn]
    end = max((at for line in found.drawn for at, _ in line.points), default=look.frame.start)
    said = [_sentence(line, one, panel, scale, (look, end)) for line, one in moved[:SPOKEN] if one]
    more = sum(one is not None for _, one in moved[SPOKEN:]) + found.more
    said += [f"and {more} more"] if more and said else []
    return f"{panel.title}: {'; '.join(said)}.".replace(THIN, " ") if said else f"{panel.title}: no data."


def _concerning(line: Line, answer: Answer, marks: Sequence[Mark]) -> Sequence[Mark]:
    """The events of the line's own app; where a line stands for several apps, all events, each with the name of its app."""
    labels = [column.link or column.name for column in answer.columns if column.unit == "text"]
    if "app" in labels:
        app = line.label.split(LABELS)[labels.index("app")]
        return [mark for mark in marks if mark.app == app]
    return [replace(mark, title=f"{mark.app}: {mark.title}") if mark.app else mark for mark in marks]


def _sentence(line: Line, one: Movement, panel: Panel, scale: str, shown: tuple[Look, datetime]) -> str:
    """One line; `shown` is how the page is looked at, and the chart's newest bucket."""
    look, end = shown
    unit = line.column.unit or panel.unit
    now = f"{line.name} {figure(one.value, unit, scale=scale)}"
    now += f" (last known at {look.at(one.at)})" if one.at < end else ""
    if one.before is None:
        return f"{now}, the only value"
    event = f" ({one.event})" if one.event else ""
    return f"{now}, {_change(one.value, one.before, unit, scale)} since {look.at(one.since)}{event}"


def _change(now: float, before: float, unit: PanelUnit, scale: str) -> str:
    """The direction and the size, in the line's own unit; shares in percentage points."""
    if figure(now, unit, scale=scale) == figure(before, unit, scale=scale):
        return "unchanged"
    size: Any = abs(now - before)
    written = f"{figure(100 * size, '')} {_POINTS}" if unit == "ratio" else str(figure(size, unit, scale=scale))
    return f"{'up' if now > before else 'down'} {written}"


def _heat(panel: Panel, answer: Answer) -> str:
    calls: dict[tuple[float, float], float] = {}
    for _, low, high, count in answer.rows:
        step = (float(low), float(high))
        calls[step] = calls.get(step, 0.0) + float(count or 0)
    if not calls:
        return f"{panel.title}: no data."
    (low, high), most = max(calls.items(), key=lambda item: item[1])
    share = figure(most / (sum(calls.values()) or 1.0), "ratio")
    between = f"{figure(low, panel.unit)} and {figure(high, panel.unit)}"
    return f"{panel.title}: most calls, {share}, lie between {between}.".replace(THIN, " ")
