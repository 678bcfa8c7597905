"""The live terminal view: a pure function from what is known at one moment to something rich can print, at any width from 80 columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .figures import WINDOW_S, Live, Row
from .numbers import count, dollars, percent, significant
from .scenario import NORMAL, Phase
from .scored import behind_line
from .table import BAD, MUTED, failed, figures_table
from .told import Told, together

ACCENT, WARN = "cyan", "yellow"
OTHER_LINES = 5
"""Lines of the view beside the table and the footer."""
ALERT_LINES = 3
"""Alerts in the view at once, the latest."""
NAMED_ERRORS = {"rate_limit": "rate limit", "timeout": "time-out", "server": "server"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of the history has been handed to Kafka."""

    sent: int
    total: int
    seconds: float
    """Time it has taken so far."""

    @property
    def done(self) -> bool:
        """True when nothing is left to send."""
        return self.sent >= self.total


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything the view shows."""

    elapsed_s: float = 0.0
    left_s: float | None = None
    """Seconds until the demo ends by itself; None = it stays until Ctrl-C."""
    phase: Phase = NORMAL
    next_scene_s: float | None = None
    questions: int = 0
    in_flight: int = 0
    live: Live | None = None
    history: Progress | None = None
    history_note: str = ""
    addresses: Sequence[tuple[str, str]] = ()
    told: Sequence[Told] = ()
    """Alerts that the demo's own webhook was told of, the latest last."""
    trouble: str = ""
    """What could not be read just now, in one sentence."""


def render(screen: Screen, *, width: int, height: int = 24) -> RenderableType:
    """Compose the view for a terminal of this size."""
    parts: list[RenderableType] = [_heading(screen), _scene(screen), Text()]
    footer = _footer(screen, width)
    if screen.live is None or not screen.live.rows:
        parts.append(Text("  Waiting for the first call to arrive in ClickHouse …", style=MUTED))
    else:
        parts += [figures_table(screen.live.rows, width=width, height=height - len(footer) - OTHER_LINES), _errors(screen.live.rows)]
    parts += [Text(), *footer]
    return Group(*parts)


def plain_line(screen: Screen) -> str:
    """Say the same in one line, for where no terminal is."""
    live = screen.live
    if live is None or not live.rows:
        return f"{screen.elapsed_s:4.0f} s  waiting for the first call to arrive in ClickHouse"
    calls, failures = sum(row.calls for row in live.rows), sum(failed(row) for row in live.rows)
    parts = [
        f"{screen.elapsed_s:4.0f} s  {screen.phase.name}",
        f"last {WINDOW_S} s: {count(calls)} calls, {percent(failures, calls)} % errors",
        f"stored {count(live.calls)} calls, {dollars(live.cost_nano_usd)} + {count(live.unpriced)} unpriced",
        f"newest {_age(live)}",
    ]
    if live.scored.behind > 0:
        parts.append(f"scores {count(live.scored.behind)} events behind")
    if screen.history and not screen.history.done:
        parts.append(f"history {count(screen.history.sent)} of {count(screen.history.total)} calls")
    if screen.trouble:
        parts.append(screen.trouble)
    return " · ".join(parts)


def _heading(screen: Screen) -> RenderableType:
    minutes, rest = divmod(int(screen.elapsed_s), 60)
    ends = "Ctrl-C ends it" if screen.left_s is None else f"{screen.left_s:.0f} s left" if screen.left_s > 0 else "finishing"
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    line.add_row(Text("Llmtower demo", style=f"bold {ACCENT}"), Text(f"live for {minutes}:{rest:02d} · {ends}", style=MUTED))
    return line


def _scene(screen: Screen) -> RenderableType:
    if screen.phase is NORMAL:
        soon = "" if screen.next_scene_s is None else f" The script's next scene starts in {screen.next_scene_s:.0f} s."
        return Text.assemble("○ ", (f"{screen.phase.says}{soon}", MUTED), no_wrap=True, overflow="ellipsis")
    return Text.assemble((f"● Script: {screen.phase.name}. ", f"bold {WARN}"), screen.phase.says, no_wrap=True, overflow="ellipsis")


def _errors(rows: Iterable[Row]) -> Text:
    sums: dict[str, int] = {}
    for row in rows:
        for name, number in row.errors.items():
            sums[name] = sums.get(name, 0) + number
    if not sums:
        return Text("Errors by class: none", style=MUTED)
    listed = ", ".join(f"{NAMED_ERRORS.get(name, name.replace('_', ' '))} {number}" for name, number in _by_size(sums))
    return Text(f"Errors by class: {listed}", no_wrap=True, overflow="ellipsis")


def _footer(screen: Screen, width: int) -> list[RenderableType]:
    lines: list[RenderableType] = [*_history(screen, width)]
    lines.append(Text(f"Live     {count(screen.questions)} questions asked, {count(screen.in_flight)} in flight", no_wrap=True))
    live = screen.live
    if live is not None:
        lines.append(Text(f"Stored   {count(live.calls)} calls{_newest(live)}, {count(live.dead_letters)} dead letters", no_wrap=True))
        lines.append(behind_line(live.scored))
        lines.append(Text(f"Cost     {dollars(live.cost_nano_usd)}{_unpriced(live.unpriced)}", no_wrap=True))
    lines += [alert_line(some, head="Alert    ") for some in together(screen.told)[-ALERT_LINES:]]
    if screen.trouble:
        lines.append(Text(f"Trouble  {screen.trouble}", style=BAD, no_wrap=True, overflow="ellipsis"))
    if screen.addresses:
        where = "   ".join(f"{name} {address}" for name, address in screen.addresses)
        lines.append(Text(where, style=MUTED, no_wrap=True, overflow="ellipsis"))
    return lines


def alert_line(some: Sequence[Told], *, head: str = "") -> Text:
    """Say what a message told of one rule: of whom, how much, and when its window ended: at the watermark, which waits for the history."""
    one = some[0]
    style = BAD if one.firing and one.critical else WARN if one.firing else "green"
    late = f"told {max(each.behind_s for each in some):.1f} s after its window's end"
    groups = {each.group: each for each in some}
    if len(groups) == 1:
        rest = f"  {one.measured}, {late}" if one.firing else ""
        return Text.assemble(head, (one.title, style), rest, no_wrap=True, overflow="ellipsis")
    each = ", ".join(f"{each.group} {each.value}" if each.firing else each.group for each in groups.values())
    rest = f", {late}" if one.firing else ""
    return Text.assemble(
        head, (one.title.partition(" (")[0], style), f"  {len(groups)} groups: {each}{rest}", no_wrap=True, overflow="ellipsis"
    )


def _history(screen: Screen, width: int) -> list[RenderableType]:
    progress = screen.history
    if progress is None:
        return [Text(f"History  {screen.history_note}", style=MUTED)] if screen.history_note else []
    if progress.done:
        return [Text(f"History  {count(progress.total)} calls of seven days, sent in {significant(progress.seconds)} s", no_wrap=True)]
    bar = ProgressBar(total=progress.total, completed=progress.sent, width=min(40, width - 50), complete_style=ACCENT)
    line = Table.grid(padding=(0, 1))
    line.add_row(Text("History "), bar, Text(f"{count(progress.sent)} of {count(progress.total)} calls sent"))
    return [line]


def _by_size(sums: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))


def _unpriced(calls: int) -> str:
    return f" + {count(calls)} calls of unknown cost" if calls else ""


def _newest(live: Live) -> str:
    return f", newest {_age(live)}" if live.calls else ""


def _age(live: Live) -> str:
    return "more than 600 s old" if live.newest_age_s is None else f"{significant(max(0.0, live.newest_age_s))} s old"
