"""`llmtower demo`: the whole system on one machine, with history, live traffic, a scripted incident and books that must balance."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmtower_processors.local.plan import StackOptions


def run_demo(options: "StackOptions", *, seconds: float | None, rate: float, history: bool, json_file: Path | None) -> int:
    """Run the demo and give its exit status; see `run.py`, loaded here and not before, because the child processes need little of it."""
    from .run import run

    return run(options, seconds=seconds, rate=rate, history=history, json_file=json_file)
