"""The processes of one run: real Kafka, the real engine, workers and producers, each of them to be killed, frozen and started again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from llmtower_processors.local.kafka import KafkaProcess
from llmtower_processors.local.ports import PortReservation

SESSION_TIMEOUT_MS = 3_000


class Child:
    """One Python process of ours."""

    def __init__(self, *arguments: str, log: Path, env: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", *arguments]
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; start() comes first."""
        assert self._process is not None
        return self._process

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def replace(self, old: str, new: str) -> None:
        """Change a word of the command, for its next start."""
        self._command = [new if word == old else word for word in self._command]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        if self.running:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9 and reap."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout_s: float = 20.0) -> int | None:
        """SIGTERM and wait; None when it had to be killed."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class ProxiedKafka(KafkaProcess):
    """A broker with listeners of their own for workers and senders, advertised at proxies, so that everything passes through these."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.inner = {name: PortReservation(0, purpose=f"Kafka's listener {name}", option="-") for name in ("WORKERS", "SENDERS")}
        self.proxy_ports: dict[str, int] = {}

    def prepare(self) -> list[str]:
        """Add the listeners to the settings."""
        command = super().prepare()
        path = self.data_dir / "server.properties"
        lines = dict(line.partition("=")[::2] for line in path.read_text("ascii").splitlines() if line)
        mapping = lines.get("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT")
        for name, reserved in self.inner.items():
            lines["listeners"] += f",{name}://127.0.0.1:{reserved.port}"
            lines["advertised.listeners"] += f",{name}://127.0.0.1:{self.proxy_ports[name]}"
            mapping += f",{name}:PLAINTEXT"
        lines["listener.security.protocol.map"] = mapping
        lines.setdefault("inter.broker.listener.name", "PLAINTEXT")
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), "ascii")
        return command


class Engine(Child):
    """The ClickHouse engine behind HTTP."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.full = data_dir / "full"
        words = ("--data-dir", str(data_dir), "--port", str(port))
        super().__init__("tests.faults.engine", *words, log=data_dir / "engine.log", env={"FAULTS_FULL": str(self.full)})
        self.data_dir = data_dir
        self.port = port

    def start(self) -> None:
        """Start it and wait until it serves."""
        super().start()
        wait_for("the engine", lambda: self._pid() == self.process.pid, 60)

    def password(self, role: str) -> str:
        """Give the password of a role."""
        return str(json.loads((self.data_dir / "credentials.json").read_text())[role])

    def _pid(self) -> int | None:
        try:
            return int(json.loads((self.data_dir / "engine.json").read_text())["pid"])
        except (OSError, ValueError):
            return None


class Worker(Child):
    """One worker on its own health port."""

    def __init__(self, number: int, data_dir: Path, env: Mapping[str, str], processors: Sequence[str]) -> None:
        self._web = PortReservation(0, purpose="a worker", option="-")
        own = {"LLMTOWER_WORKER__WEB_PORT": str(self._web.port), "LLMTOWER_WORKER__SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS)}
        self.clock = data_dir / f"clock-{number}"
        own |= {"FAULTS_CLOCK": str(self.clock), "PYTHONFAULTHANDLER": "1"}
        words = ("worker", "--processors", ",".join(processors))
        super().__init__("tests.faults.worker", *words, log=data_dir / f"worker-{number}.log", env={**env, **own})

    def ready(self) -> bool:
        """Its /readyz says so."""
        return self.page("/readyz")[0] == 200

    def page(self, path: str) -> tuple[int, str]:
        """Give status and text of a page; (0, why) when there is no answer."""
        try:
            with urllib.request.urlopen(f"http://{self._web.address}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def close(self) -> None:
        """Kill it and give its port back."""
        self.kill()
        self._web.release()

    def rss_mib(self) -> float:
        """Resident memory, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float) -> None:
    """Poll until it is so. Raises TimeoutError naming what did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(0.05)
