"""`llmtower demo` from start to end: stack and children in parallel, live traffic and history, the view, the closing books."""

import asyncio
import contextlib
import importlib
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from llmtower_processors.local.errors import LocalStackError
from llmtower_processors.local.stack import Stack, StackOptions

from .processes import DemoError, Process, start
from .runs import Runs, read_runs
from .staging import Ending, Parts, Wishes
from .told import Inbox, receiving

PLAIN_SECONDS = 60
"""Length of a demo without a terminal, unless another one is asked for."""
INTERRUPTED = 130
Result = TypeVar("Result")


def run(
    options: StackOptions,
    *,
    seconds: float | None,
    rate: float,
    history: bool,
    json_file: Path | None,
) -> int:
    """Run the demo; gives 0 when the books balance, 1 when they do not or something failed, 130 when it was stopped before it was live."""
    console = Console()
    wishes = Wishes(
        data_dir=options.data_dir, seconds=length(seconds, on_terminal=console.is_terminal), rate=rate, history=history, json_file=json_file
    )
    try:
        _check(wishes)
        with receiving() as inbox:
            stack = Stack(replace(options, environment=inbox.environment()), say=lambda line: _tell(console, f"  {line}"))
            return asyncio.run(_demo(stack, read_runs(options.data_dir), wishes, console, inbox))
    except (DemoError, LocalStackError) as error:
        sys.stderr.write(f"llmtower demo: {error}\n")
        return 1
    except asyncio.CancelledError:
        _tell(console, "ended at once; the books are not closed")
        return INTERRUPTED


def length(seconds: float | None, *, on_terminal: bool) -> float | None:
    """Give how long the demo lasts; None: until Ctrl-C."""
    return PLAIN_SECONDS if seconds is None and not on_terminal else seconds


async def _demo(stack: Stack, runs: Runs, wishes: Wishes, console: Console, inbox: Inbox) -> int:
    ending = Ending()
    _on_signals(ending)
    async with contextlib.AsyncExitStack() as stack_exit, contextlib.AsyncExitStack() as children:
        with _busy(console, "starting Kafka, the ClickHouse engine, the worker, a provider and four apps"):
            entering = asyncio.create_task(stack_exit.enter_async_context(stack))
            standin = await _child(children, wishes, "standin", "--bound")
            apps = await _child(children, wishes, "apps")
            sender = await _child(children, wishes, "sender") if wishes.history and not runs.has_history else None
            await asyncio.to_thread(importlib.import_module, f"{__package__}.performance")
            endpoints = await _or_interrupted(entering, ending)
        if endpoints is None:
            _tell(console, "stopped before anything was sent")
            return INTERRUPTED
        from .performance import perform

        parts = Parts(endpoints=endpoints, standin=standin, apps=apps, sender=sender, inbox=inbox)
        code = await perform(parts, runs, wishes=wishes, console=console, ending=ending)
        _tell(console, f"stopping the worker, the engine and Kafka; the data stays in {wishes.data_dir}")
        return code


def _check(wishes: Wishes) -> None:
    """Find out now what would fail at the end."""
    if wishes.json_file is not None and not wishes.json_file.absolute().parent.is_dir():
        raise DemoError(f"there is no folder {wishes.json_file.parent} for --json: make it, or name another file")


async def _child(children: contextlib.AsyncExitStack, wishes: Wishes, name: str, *arguments: str) -> Process:
    """Start a part of the demo with none of the user's `LLMTOWER_*` settings; its spool is in the data directory."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LLMTOWER_")}
    environment["LLMTOWER_SDK__SPOOL_DIR"] = str(wishes.data_dir.absolute() / "demo-spool")
    child = await start(name, (f"llmtower_processors.demo.{name}", *arguments), log_dir=wishes.data_dir / "logs", environment=environment)
    children.push_async_callback(child.end)
    return child


async def _or_interrupted(task: asyncio.Task[Result], ending: Ending) -> Result | None:
    """Await a task unless the user ends the demo first."""
    interrupted = asyncio.create_task(ending.interrupted.wait())
    await asyncio.wait({task, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    interrupted.cancel()
    if task.done():
        return task.result()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return None


def _on_signals(ending: Ending) -> None:
    """The first Ctrl-C closes cleanly, the second at once."""
    main = asyncio.current_task()

    def on_signal() -> None:
        if ending.interrupted.is_set() and main is not None:
            main.cancel()
        ending.interrupt()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)


def _tell(console: Console, line: str) -> None:
    console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)


def _busy(console: Console, what: str) -> contextlib.AbstractContextManager[object]:
    """Say what is being done while it lasts: a spinner on a terminal, one line elsewhere."""
    if console.is_terminal:
        return console.status(what, spinner_style="cyan")
    _tell(console, f"Llmtower demo: {what}")
    return contextlib.nullcontext()
