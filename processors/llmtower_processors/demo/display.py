"""Where the view is shown: a live terminal, or plain lines every few seconds where there is none."""

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live

from .told import together
from .view import Screen, alert_line, plain_line, render

PLAIN_INTERVAL_S = 5.0


class Display(Protocol):
    """Shows screens."""

    def show(self, screen: Screen) -> None:
        """Show what is known now."""

    def __enter__(self) -> "Display": ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class TerminalDisplay:
    """Redraws in place; what is printed meanwhile appears above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> "TerminalDisplay":
        self._live.start()
        return self

    def show(self, screen: Screen) -> None:
        """Redraw."""
        self._live.update(render(screen, width=self._console.width, height=self._console.height), refresh=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()


class PlainDisplay:
    """Prints a line when the scene changes, when the first figures are there, and every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = 0.0
        self._shown: tuple[str, bool] = ("", False)
        self._told = 0

    def __enter__(self) -> "PlainDisplay":
        return self

    def show(self, screen: Screen) -> None:
        """Print a line for every rule of a new message, and the figures if it is time."""
        for some in together(screen.told[self._told :]):
            self._console.print(alert_line(some, head=f"{screen.elapsed_s:4.0f} s  ALERT  "), highlight=False, soft_wrap=True)
        self._told = len(screen.told)
        state = (screen.phase.name, screen.live is not None and bool(screen.live.rows))
        if state == self._shown and screen.elapsed_s < self._next_s:
            return
        self._shown = state
        self._next_s = screen.elapsed_s + PLAIN_INTERVAL_S
        self._console.print(plain_line(screen), highlight=False, markup=False, soft_wrap=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return


def display_on(console: Console) -> Display:
    """Choose by what the console is."""
    return TerminalDisplay(console) if console.is_terminal else PlainDisplay(console)
