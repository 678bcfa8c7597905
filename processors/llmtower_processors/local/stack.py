"""`llmtower up`: start the plan's stages in order, keep the children alive, publish where they are."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from llmtower_processors.installed import is_installed
from llmtower_processors.local.bound_exec import bind
from llmtower_processors.local.endpoints import Endpoints, find_endpoints, remove_endpoints, write_endpoints
from llmtower_processors.local.errors import ChildFailedError
from llmtower_processors.local.logs import last_line, open_log
from llmtower_processors.local.plan import CLI, PLAN, Part, Plan, Site, StackOptions, Step, Track
from llmtower_processors.local.supervisor import Supervisor, describe_exit

__all__ = ["Endpoints", "Stack", "StackOptions", "find_endpoints", "run_up"]

STEP_TIMEOUT_S = 300.0


class Stack:
    """A whole stack as an async context manager: inside the block everything is ready and supervised.

    Making one claims the data directory and the ports and fetches Kafka if need be; do it outside the event loop, so that Ctrl-C
    works meanwhile. Raises LocalStackError (port taken, directory in use, no Java, a part that does not start), all stopped again.
    """

    def __init__(self, options: StackOptions, *, say: Callable[[str], None] | None = None, plan: Plan = PLAN) -> None:
        self._say = say or _say
        self._plan = plan
        self._site = Site(options)
        self._ready = False
        self.supervisor = Supervisor(say=self._say, changed=self._publish)

    async def __aenter__(self) -> Endpoints:
        try:
            for stage in self._plan:
                async with asyncio.TaskGroup() as group:
                    for track in stage:
                        group.create_task(self._follow(track))
        except BaseException as error:
            await self.__aexit__()
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise
        self._ready = True
        self._publish()
        return self.endpoints

    async def __aexit__(self, *_error: object) -> None:
        self._ready = False
        remove_endpoints(self._site.data_dir)
        await self.supervisor.stop()
        self.close()

    def close(self) -> None:
        """Give back what making a stack has claimed; leaving the block does it too."""
        self._site.close()

    def environment(self) -> dict[str, str]:
        """The environment for a process that works with this stack as its own children do."""
        return self._site.environment()

    @property
    def endpoints(self) -> Endpoints:
        """Where everything listens, and the pids of what lives at this moment."""
        parts = [entry for stage in self._plan for track in stage for entry in track if isinstance(entry, Part) and not _missing(entry)]
        addresses = {part.name: part.address(self._site) for part in parts if part.address}
        return Endpoints(**addresses, pids={"up": os.getpid(), **self.supervisor.pids})

    def _publish(self) -> None:
        if self._ready:
            write_endpoints(self._site.data_dir, self.endpoints)

    async def _follow(self, track: Track) -> None:
        for entry in track:
            await self._enter(entry)

    async def _enter(self, entry: Part | Step) -> None:
        began = time.monotonic()
        if isinstance(entry, Step):
            await _run_step(entry, self._site)
            where = ""
        elif entry.wanted is not None and not entry.wanted(self._site):
            return
        elif missing := _missing(entry):
            self._say(f"{entry.name}: left out, {missing} is not installed (pip install 'llmtower[{entry.name}]')")
            return
        else:
            await self.supervisor.start(await asyncio.to_thread(entry.spec, self._site))
            where = f" on {entry.address(self._site)}" if entry.address else ""
        self._say(f"{entry.name}: ready{where} ({time.monotonic() - began:.1f} s)")


def _missing(part: Part) -> str:
    """Name what is not installed of what a part needs."""
    return ", ".join(module for module in part.needs if not is_installed(module))


async def _run_step(step: Step, site: Site) -> None:
    path = site.log_path(step.name)
    with open_log(path) as log:
        process = await asyncio.create_subprocess_exec(
            *bind((*CLI, *step.arguments)),
            env=site.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        status = await asyncio.wait_for(process.wait(), STEP_TIMEOUT_S)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if status:
        raise ChildFailedError(f"{step.name} {describe_exit(status)}: {last_line(path) or 'it logged nothing'} (see {path})")


def run_up(options: StackOptions, plan: Plan = PLAN) -> int:
    """Run the stack until SIGINT, SIGTERM or SIGHUP and return the exit status; raises LocalStackError when it cannot start."""
    asyncio.run(_until_signal(Stack(options, plan=plan), options.data_dir))
    return 0


async def _until_signal(stack: Stack, data_dir: Path) -> None:
    task = asyncio.current_task()
    stopping = False

    def on_signal() -> None:
        nonlocal stopping
        if stopping:
            stack.supervisor.kill()
        elif task:
            stopping = True
            _say("stopping (press Ctrl-C again to kill)")
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        loop.add_signal_handler(signal.SIGHUP, on_signal)
    with contextlib.suppress(asyncio.CancelledError):
        async with stack:
            _say(f"everything is ready; addresses in {data_dir / 'endpoints.json'}; Ctrl-C stops")
            await asyncio.Event().wait()
    _say("stopped")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
