"""Keep child processes alive: start and wait for readiness, restart with back-off, stop in reverse order."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from llmtower_processors.local.bound_exec import bind
from llmtower_processors.local.errors import ChildFailedError
from llmtower_processors.local.logs import bound_log, last_line, open_log

READY_INTERVAL_S = 0.05
LOG_INTERVAL_S = 30.0


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """A long-running child: how to start it, when it counts as ready, and how long it may take to stop.

    `ready` is given the child's pid and asked every 50 ms; `log_path` gets its output.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path
    ready: Callable[[int], Awaitable[bool]]
    cwd: Path | None = None
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 20.0


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Seconds between restarts: doubling from `first_s` to `most_s`, from the start again after `healthy_s` of life."""

    first_s: float = 0.5
    most_s: float = 30.0
    healthy_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """Return the wait before the restart that follows `failures` (>= 1) deaths in a row."""
        return min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 64))


class Supervisor:
    """Several children under one care. `say` gets a line for people; `changed` is called when a pid came or went."""

    def __init__(self, *, say: Callable[[str], None], changed: Callable[[], None] = lambda: None, backoff: Backoff | None = None) -> None:
        self._say = say
        self._changed = changed
        self._backoff = backoff or Backoff()
        self._children: list[_Child] = []
        self._log_task: asyncio.Task[None] | None = None

    @property
    def pids(self) -> dict[str, int]:
        """The pid of each living child by name."""
        return {child.spec.name: child.pid for child in self._children if child.pid is not None}

    async def start(self, spec: ChildSpec) -> None:
        """Start a child and return once it is ready; raises ChildFailedError when its first start fails."""
        child = _Child(spec, say=self._say, changed=self._changed, backoff=self._backoff)
        self._children.append(child)
        await child.launch()
        child.keep()
        self._log_task = self._log_task or asyncio.create_task(self._bound_logs())

    async def stop(self) -> None:
        """Stop every child, the last started first."""
        if self._log_task:
            self._log_task.cancel()
        for child in self._children:
            await child.let_go()
        for child in reversed(self._children):
            await child.stop()

    def kill(self) -> None:
        """Kill every child at once; a `stop` under way then returns."""
        for child in self._children:
            child.kill()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_INTERVAL_S)
            for child in self._children:
                bound_log(child.spec.log_path)


class _Child:
    def __init__(self, spec: ChildSpec, *, say: Callable[[str], None], changed: Callable[[], None], backoff: Backoff) -> None:
        self.spec = spec
        self._say = say
        self._changed = changed
        self._backoff = backoff
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def launch(self) -> None:
        with open_log(self.spec.log_path) as log:
            self._process = await asyncio.create_subprocess_exec(
                *bind(self.spec.argv),
                env=dict(self.spec.env),
                cwd=self.spec.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal must reach the supervisor alone, or the order of stopping is lost
            )
        self._changed()
        try:
            async with asyncio.timeout(self.spec.ready_timeout_s):
                await self._until_ready(self._process)
        except TimeoutError:
            self.kill()
            await self._process.wait()
            raise ChildFailedError(f"{self.spec.name} was not ready after {self.spec.ready_timeout_s:g} s ({self._hint()})") from None

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        while not await self.spec.ready(process.pid):
            if process.returncode is not None:
                raise ChildFailedError(f"{self.spec.name} {describe_exit(process.returncode)} while it started ({self._hint()})")
            await asyncio.sleep(READY_INTERVAL_S)

    def keep(self) -> None:
        self._keeper = asyncio.create_task(self._keep_alive(), name=f"keep {self.spec.name}")

    async def _keep_alive(self) -> None:
        failures = 0
        while self._process:
            since = time.monotonic()
            status = await self._process.wait()
            self._changed()
            failures = 1 if time.monotonic() - since >= self._backoff.healthy_s else failures + 1
            event = f"{self.spec.name} {describe_exit(status)} ({self._hint() if status > 0 else f'see {self.spec.log_path}'})"
            while not await self._revive(event, failures):
                failures += 1
                event = f"{self.spec.name} could not be started ({self._hint()})"

    async def _revive(self, event: str, failures: int) -> bool:
        delay = self._backoff.delay_s(failures)
        self._say(f"{event}; starting it again in {delay:.1f} s")
        await asyncio.sleep(delay)
        try:
            await self.launch()
        except (ChildFailedError, OSError):
            self._changed()
            return False
        self._say(f"{self.spec.name} is ready again (pid {self.pid})")
        return True

    async def let_go(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(self._process.wait(), self.spec.stop_timeout_s)
        except TimeoutError:
            self._say(f"{self.spec.name} did not stop within {self.spec.stop_timeout_s:g} s: killed")
            self.kill()
            await self._process.wait()
        self._changed()

    def kill(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _hint(self) -> str:
        return f"{last_line(self.spec.log_path) or 'it logged nothing'}; see {self.spec.log_path}"


def describe_exit(status: int) -> str:
    """Say in words how a process ended."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
