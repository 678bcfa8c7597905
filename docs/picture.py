"""Draw the picture of the live view that the README shows.

Run `make demo` in a tmux pane of 120 by 40, wait for the error burst, then from another terminal:
`tmux capture-pane -e -p -t PANE | .venv/bin/python docs/picture.py docs/demo.svg`
"""

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

WIDTH = 120
FIRST, LAST = "Llmtower demo", "Kafka "
"""The view's first line begins with the one, its last line with the other; what is above (paths, shell) is left out."""
SVG = re.sub(r"(?s)@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", "Menlo, Consolas, monospace")
"""Rich's own drawing without its web fonts: the picture asks nothing of any server."""


def view(lines: Sequence[Text]) -> Text:
    """Cut the view out of a captured screen. Raises ValueError when it is not there."""
    starts = [line.plain.startswith(FIRST) for line in lines]
    if True not in starts:
        raise ValueError(f"no line of the screen begins with {FIRST!r}: is the demo live in that pane?")
    first = starts.index(True)
    last = next(number for number, line in enumerate(lines) if number > first and line.plain.startswith(LAST))
    return Text("\n").join(lines[first : last + 1])


def draw(screen: str, path: Path) -> None:
    """Write the captured screen as SVG."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(view(list(Text.from_ansi(screen).split("\n"))), highlight=False)
    path.write_text(console.export_svg(title="llmtower demo", unique_id="llmtower-demo", code_format=SVG), "utf-8")


if __name__ == "__main__":
    draw(sys.stdin.read(), Path(sys.argv[1]))
