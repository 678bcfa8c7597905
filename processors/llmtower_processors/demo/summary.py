"""The closing summary, for people: the books by app, and in words whether they balance."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .books import AppBooks, Books
from .numbers import count, dollars, seconds
from .told import Told, behind, scenes_told, together
from .view import alert_line

WIDE = 120


def render_books(title: str, books: Books, *, width: int) -> RenderableType:
    """Compose the summary for a terminal of this width. Calls are response events; events are all a producer emits."""
    wide = width >= WIDE
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", title=title, title_justify="left", title_style="bold", expand=False)
    table.add_column("app", no_wrap=True)
    headings = ["calls\nemitted", "calls\nstored", "miss-\ning", "dupli-\ncated", "events\nemitted", "events\nstored"]
    headings += ["provider\nsaw", "dead\nletters", "p50\ns", "p95\ns", "TTFT\np50 s", "TTFT\np95 s"] if wide else []
    for heading in (*headings, "un-\npriced", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for app, entry in books.apps.items():
        table.add_row(app, *_cells(entry, wide=wide))
    table.add_section()
    table.add_row(Text("total", style="bold"), *_cells(books.total, wide=wide), style="bold")
    return Group(table, Text(), *_verdict(books))


def print_books(console: Console, title: str, books: Books) -> None:
    """Print the summary; where no terminal is, wide enough for every figure."""
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    console.print()
    console.print(render_books(title, books, width=console.width), highlight=False)


def render_alerts(told: Sequence[Told], began: Mapping[str, float]) -> RenderableType:
    """Say what the demo's webhook was told, and how soon."""
    times = behind(told)
    if times is None:
        return Text("Alerts: the webhook was told of none.", style="dim")
    begun = sum(one.firing for one in told)
    soon = f"{times[0]:.1f} s after its window's end at the median, {times[1]:.1f} s at most"
    messages = len({one.message for one in told})
    over = f"{len(told) - begun} of them are over" if begun < len(told) else "none of them is over"
    head = Text(
        f"Alerts: the demo's webhook was told of {begun} in {count(messages)} message{'s' * (messages > 1)}, {soon}; {over}.", style="bold"
    )
    scenes = (f"  {name}: {_soon(seconds)}" for name, seconds in scenes_told(told, began).items())
    return Group(
        head,
        *(alert_line(some, head="  ") for some in together([one for one in told if one.firing], whatever_message=True)),
        *(Text(line, style="dim") for line in scenes),
    )


def print_alerts(console: Console, told: Sequence[Told], began: Mapping[str, float]) -> None:
    """Print it below the books. `began`: seconds since the epoch by scene."""
    console.print()
    console.print(render_alerts(told, began), highlight=False)


def _soon(seconds: float | None) -> str:
    return "no alert before the demo ended" if seconds is None else f"told {seconds:.1f} s after it began"


def _cells(entry: AppBooks, *, wide: bool) -> Iterable[str]:
    calls, events, stored = entry.calls, entry.events, entry.stored
    yield from (count(calls.emitted), count(calls.stored))
    yield from (count(max(calls.missing, events.missing)), count(max(calls.duplicated, events.duplicated)))
    yield from (count(events.emitted), count(events.stored))
    if wide:
        yield "-" if entry.provider_saw is None else count(entry.provider_saw)
        yield count(stored.dead_letters)
        yield seconds(stored.duration_p50_us)
        yield seconds(stored.duration_p95_us)
        yield "-" if stored.ttft_p50_us is None else seconds(stored.ttft_p50_us)
        yield "-" if stored.ttft_p95_us is None else seconds(stored.ttft_p95_us)
    yield from (count(stored.unpriced_calls), dollars(stored.cost_nano_usd))


def _verdict(books: Books) -> list[Text]:
    total = books.total
    if not books.balanced:
        lines = [Text("✗ The books do not balance:", style="bold red")]
        return [*lines, *(Text(f"  {fault}", style="red") for fault in books.faults)]
    unpriced = f" + {count(total.stored.unpriced_calls)} calls of unknown cost" if total.stored.unpriced_calls else ""
    return [
        Text("✓ The books balance: every emitted event is stored exactly once.", style="bold green"),
        Text(f"  Total cost {dollars(total.stored.cost_nano_usd)}{unpriced}; the rollups agree."),
    ]
