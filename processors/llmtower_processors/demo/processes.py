"""The demo's side of its child processes: start one, talk to it in JSON lines, end it by closing its standard input."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from llmtower_processors.local.logs import open_log

END_S = 40.0
"""A child that has not ended this long after its input was closed is killed."""


class DemoError(Exception):
    """The demo cannot go on: one plain sentence for the user."""


class Process:
    """A child of the demo; its log file has what it writes to standard error."""

    def __init__(self, name: str, child: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._child = child
        self._log = log
        if child.stdin is None or child.stdout is None:
            raise ValueError("a child of the demo needs pipes for its standard input and output")
        self._input, self._output = child.stdin, child.stdout

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    async def say(self, value: Mapping[str, Any]) -> None:
        """Write one JSON line to its standard input. Raises DemoError when it has ended."""
        try:
            self._input.write(orjson.dumps(value) + b"\n")
            await self._input.drain()
        except ConnectionError as error:
            raise self.ended() from error

    async def lines(self) -> AsyncIterator[dict[str, Any]]:
        """Give its JSON lines until it closes its output."""
        async for line in self._output:
            yield orjson.loads(line)

    async def line(self, timeout_s: float) -> dict[str, Any]:
        """Give its next line. Raises DemoError when it ends or says nothing in time."""
        try:
            line = await asyncio.wait_for(self._output.readline(), timeout_s)
        except TimeoutError:
            raise DemoError(f"{self.name} said nothing for {timeout_s:.0f} s; see {self._log}") from None
        if not line:
            raise self.ended()
        return dict(orjson.loads(line))

    def close_input(self) -> None:
        """Ask it to end."""
        self._input.close()

    async def end(self) -> int:
        """Close its input and wait for it, with force at the end of patience; gives its exit status."""
        self.close_input()
        try:
            return await asyncio.wait_for(self._child.wait(), END_S)
        except TimeoutError:
            self._child.kill()
            return await self._child.wait()

    def ended(self) -> DemoError:
        """Say that it ended, with the last line of its log."""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return DemoError(f"{self.name} ended: {lines[-1] if lines else 'it logged nothing'} (see {self._log})")


async def start(name: str, arguments: Sequence[str], *, log_dir: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Start `python -m <arguments>` in a session of its own, so that the terminal's Ctrl-C reaches only the demo."""
    log = log_dir / f"{name}.log"
    with open_log(log) as errors:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Process(name, child, log)
