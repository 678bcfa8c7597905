"""Start the engine as a child process and wait until it answers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from llmtower_processors.engine import credentials
from llmtower_processors.engine.credentials import Credentials

ENDPOINT_FILE: Final = "engine.json"
_POLL_SECONDS: Final = 0.05


class EngineStartError(RuntimeError):
    """The engine ended or stayed silent before it was ready; the message ends with its last lines."""


class EngineProcess:
    """A running engine on one data directory.

    Use it as a context manager, or call `start` and `stop`; `kill` is for tests of crashes, `start` works again afterwards.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, timeout: float = 60.0, extra: Sequence[str] = ()) -> None:
        self.data_dir = data_dir
        self.host = "127.0.0.1"
        self.port = port
        self._timeout = timeout
        self._extra = tuple(extra)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running engine."""
        return self._child().pid

    @property
    def url(self) -> str:
        """Address of the HTTP interface, without credentials."""
        return f"http://{self.host}:{self.port}"

    @property
    def credentials(self) -> Credentials:
        """The passwords of the three roles."""
        return credentials.load(self.data_dir)

    @property
    def log_file(self) -> Path:
        """Where the engine's own log lines go."""
        return self.data_dir / "engine.log"

    def start(self) -> Self:
        """Start the child and wait until it serves; raises EngineStartError."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        arguments = ["--data-dir", str(self.data_dir), "--port", str(self.port), *self._extra]
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - fixed arguments
                [sys.executable, "-m", "llmtower_processors.engine", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.port = self._wait_until_ready(self._process)
        return self

    def stop(self, timeout: float = 60.0) -> int:
        """Ask it to end (SIGTERM), wait, give its exit status."""
        child = self._child()
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """kill -9, without any goodbye."""
        child = self._child()
        child.kill()
        child.wait()

    def _child(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("The engine is not started: call start() first.")
        return self._process

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            port = _published_port(self.data_dir / ENDPOINT_FILE, process.pid)
            if port is not None:
                return port
            if process.poll() is not None:
                raise EngineStartError(f"The engine ended with status {process.returncode}: {self._last_lines()}")
            time.sleep(_POLL_SECONDS)
        process.kill()
        process.wait()
        raise EngineStartError(f"The engine was not ready within {self._timeout} s: {self._last_lines()}")

    def _last_lines(self) -> str:
        return " | ".join(self.log_file.read_text(errors="replace").splitlines()[-5:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _published_port(endpoint: Path, pid: int) -> int | None:
    try:
        found = json.loads(endpoint.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return int(found["port"]) if found["pid"] == pid else None
