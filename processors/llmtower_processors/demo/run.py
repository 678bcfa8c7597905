"""`llmtower demo` from start to end: stack and children in parallel, live traffic and history, the view, the closing books."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from llmtower_processors.local.errors import LocalStackError
from llmtower_processors.local.stack import Stack, StackOptions

from .accounts import Accounts
from .play import Ending, Play
from .processes import DemoError, Process, start
from .runs import read_runs
from .summary import print_books

PLAIN_SECONDS = 60
"""Length of a demo without a terminal, unless another one is asked for."""
SEED = 7
INTERRUPTED = 130
Result = TypeVar("Result")


def run(
    *,
    data_dir: Path,
    kafka_port: int,
    clickhouse_port: int,
    web_port: int,
    seconds: float | None,
    rate: float,
    history: bool,
    json_file: Path | None,
) -> int:
    """Run the demo; gives 0 when the books balance, 1 when they do not or something failed, 130 when it was stopped before it was live."""
    console = Console()
    if seconds is None and not console.is_terminal:
        seconds = PLAIN_SECONDS
    options = StackOptions(data_dir=data_dir, kafka_port=kafka_port, clickhouse_port=clickhouse_port, web_port=web_port)
    try:
        if json_file is not None and not json_file.absolute().parent.is_dir():
            raise DemoError(f"there is no folder {json_file.parent} for --json: make it, or name another file")
        stack = Stack(options, say=lambda line: _tell(console, f"  {line}"))
        accounts = Accounts(data_dir, read_runs(data_dir))
        return asyncio.run(_demo(stack, accounts, console, seconds=seconds, rate=rate, history=history, json_file=json_file))
    except (DemoError, LocalStackError, ValueError) as error:
        sys.stderr.write(f"llmtower demo: {error}\n")
        return 1
    except asyncio.CancelledError:
        _tell(console, "ended at once; the books are not closed")
        return INTERRUPTED


async def _demo(
    stack: Stack, accounts: Accounts, console: Console, *, seconds: float | None, rate: float, history: bool, json_file: Path | None
) -> int:
    ending = Ending()
    _on_signals(ending)
    sends = history and not accounts.runs.has_history
    async with contextlib.AsyncExitStack() as stack_exit, contextlib.AsyncExitStack() as children:
        with _busy(console, "starting Kafka, the ClickHouse engine, the worker, a provider and four apps"):
            standin = await _child(children, accounts.data_dir, "standin", "--bound", "--seed", str(SEED))
            apps = await _child(children, accounts.data_dir, "apps")
            sender = await _child(children, accounts.data_dir, "sender") if sends else None
            endpoints = await _or_interrupted(stack_exit.enter_async_context(stack), ending)
        if endpoints is None:
            _tell(console, "stopped before anything was sent")
            return INTERRUPTED
        play = Play(accounts, console, ending, seconds=seconds, rate=rate, seed=SEED)
        accounts.open(history=sends, began=datetime.now(UTC).isoformat(timespec="seconds"))
        await play.perform(endpoints, standin=standin, apps=apps, sender=sender)
        code = await _close(accounts, play, console, json_file)
        _tell(console, "stopping the worker, the engine and Kafka; the data stays where it is")
        return code


async def _close(accounts: Accounts, play: Play, console: Console, json_file: Path | None) -> int:
    accounts.close(play.said)
    await play.drain()
    overall = await asyncio.to_thread(accounts.books, play.client, accounts.runs.said)
    summary = overall.summary()
    if len(accounts.runs.runs) > 1:
        this = await asyncio.to_thread(accounts.books, play.client, play.said)
        print_books(console, "This run", this)
        summary["run"] = this.summary()
        print_books(console, f"All {len(accounts.runs.runs)} demos on this data directory", overall)
    else:
        print_books(console, "The books", overall)
    for note in accounts.notes():
        _tell(console, note)
    if json_file is not None:
        await asyncio.to_thread(json_file.write_text, json.dumps(summary, indent=2) + "\n", "utf-8")
    return 0 if overall.balanced else 1


async def _child(children: contextlib.AsyncExitStack, data_dir: Path, name: str, *arguments: str) -> Process:
    """Start a part of the demo with none of the user's `LLMTOWER_*` settings; its spool is in the data directory."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LLMTOWER_")}
    environment["LLMTOWER_SDK__SPOOL_DIR"] = str((data_dir / "demo-spool").absolute())
    child = await start(name, (f"llmtower_processors.demo.{name}", *arguments), log_dir=data_dir / "logs", environment=environment)
    children.push_async_callback(child.end)
    return child


async def _or_interrupted(work: Coroutine[Any, Any, Result], ending: Ending) -> Result | None:
    """Await the work unless the user ends the demo first."""
    task = asyncio.create_task(work)
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
