"""A real Apache Kafka (KRaft, one node) as a child process: usable alone by tests and tools, and by the stack."""

import base64
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from llmtower_processors.local.bound_exec import bind
from llmtower_processors.local.errors import KafkaFailedError, LocalStackError
from llmtower_processors.local.jars import ensure_jars, jar_dir
from llmtower_processors.local.java import Java, find_java
from llmtower_processors.local.kafka_config import JVM_OPTIONS, server_properties
from llmtower_processors.local.logs import last_line, open_log
from llmtower_processors.local.ports import LOOPBACK, PortReservation

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
REAP_TIMEOUT_S = 2.0
PROBE_INTERVAL_S = 0.05
_AOT_CACHE_SINCE = 25
_UNSAFE_WARNINGS_SINCE = 23
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


@dataclass(frozen=True)
class KafkaRuntime:
    """The verified jars and the Java that runs them."""

    java: Java
    jars: tuple[Path, ...]

    def command(self, main_class: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command line of one of Kafka's main classes."""
        version_options: list[str] = []
        if self.java.major >= _UNSAFE_WARNINGS_SINCE:
            version_options += ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"]
        if self.java.major >= _AOT_CACHE_SINCE and not options and self.aot_cache.exists():
            version_options += [f"-XX:AOTCache={self.aot_cache}", "-Xlog:disable"]
        class_path = os.pathsep.join(map(str, self.jars))
        return [str(self.java.command), *JVM_OPTIONS, *version_options, *options, "-cp", class_path, main_class, *arguments]

    @property
    def aot_cache(self) -> Path:
        """Java's ahead-of-time cache of Kafka's classes (JEP 483, 515): halves start time and its CPU. Absent = ordinary start."""
        return jar_dir() / f"java-{self.java.version}.aot"


def kafka_runtime() -> KafkaRuntime:
    """Find Java, fetch the jars that are missing, verify all of them."""
    java = find_java()
    jars, fetched = ensure_jars()
    runtime = KafkaRuntime(java, tuple(jars))
    if os.pathsep in str(jar_dir()):
        raise LocalStackError(f"Java cannot read from {jar_dir()} (it holds a '{os.pathsep}'): set LLMTOWER_CACHE_DIR to another folder")
    if fetched:
        runtime.aot_cache.unlink(missing_ok=True)  # Java refuses one that is older than its jars
    return runtime


def record_start(runtime: KafkaRuntime) -> None:
    """Start and stop Kafka once on a scratch folder while Java records its start, unless that is done or this Java cannot."""
    if runtime.java.major < _AOT_CACHE_SINCE or runtime.aot_cache.exists():
        return
    print("preparing Kafka's start-up cache (once, about 10 s)", file=sys.stderr, flush=True)  # noqa: T201  (a slow step says what it does)
    with tempfile.TemporaryDirectory(dir=jar_dir().parent, prefix="record-") as scratch:
        recorded = Path(scratch, "kafka.aot")
        options = (f"-XX:AOTCacheOutput={recorded}", "-Xlog:disable")
        try:
            with KafkaProcess(Path(scratch, "node"), runtime=runtime, options=options) as node:
                node.stop(timeout_s=120)  # Java writes what it has recorded when it ends
        except LocalStackError as error:
            print(f"left out: {error}", file=sys.stderr, flush=True)  # noqa: T201  (only a faster start is lost)
        if recorded.exists():
            recorded.replace(runtime.aot_cache)


def answers(port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether a broker answers an ApiVersions request on the loopback port (it listens only once it may serve)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as connection:
            connection.sendall(_API_VERSIONS)
            connection.settimeout(timeout_s)
            head = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">iih", head)[1:] == (1, 0)


class KafkaProcess:
    """One Kafka node on `data_dir` (its own folder) and `port` (0 = any free one, kept for this object's life).

    `start` returns when the broker serves; data and port stay the same over `stop`, `kill` and `restart`. `options` are Java's,
    `format_options` those of the tool that makes a new data folder (`--add-scram=…`: who may come in).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        runtime: KafkaRuntime | None = None,
        log_path: Path | None = None,
        options: tuple[str, ...] = (),
        format_options: tuple[str, ...] = (),
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = log_path or self.data_dir / "kafka.log"
        self._options = options
        self._format_options = format_options
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.ExitStack() as undo:
            self._reservation = PortReservation(port, purpose="Kafka", option="--kafka-port")
            undo.callback(self._reservation.release)
            self._controller = PortReservation(0, purpose="Kafka's controller", option="--kafka-port")
            undo.callback(self._controller.release)
            self._runtime = runtime or kafka_runtime()
            self._ports = undo.pop_all()

    @property
    def port(self) -> int:
        """The port clients connect to."""
        return self._reservation.port

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:<port>`."""
        return self._reservation.address

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        if self._process is None:
            raise KafkaFailedError("Kafka is not started: call start() first")
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the Java process: UTF-8 file names, no options from outside."""
        dropped = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
        return {**{name: value for name, value in os.environ.items() if name not in dropped}, "LC_ALL": "C.UTF-8"}

    def prepare(self) -> list[str]:
        """Write the settings, format the storage if it is new, and return the command that runs in `data_dir`."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = server_properties(port=self.port, controller_port=self._controller.port)
        (self.data_dir / "server.properties").write_text(settings, "ascii")
        if not (self.data_dir / "data" / "meta.properties").exists():
            self._format()
        return self._runtime.command("kafka.Kafka", "server.properties", options=self._options)

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the broker and wait until it serves; raises KafkaFailedError with the end of its log."""
        self._reap()
        command = bind(self.prepare())
        with open_log(self.log_path) as log:
            self._process = subprocess.Popen(  # noqa: S603  (our own command)
                command, cwd=self.data_dir, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + timeout_s
        while not answers(self.port):
            if self._process.poll() is not None:
                raise KafkaFailedError(f"Kafka ended with status {self._process.returncode} while it started ({self._hint()})")
            if time.monotonic() > deadline:
                self.kill()
                raise KafkaFailedError(f"Kafka did not serve within {timeout_s:.0f} s ({self._hint()})")
            time.sleep(PROBE_INTERVAL_S)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the broker cleanly (SIGTERM, then SIGKILL after `timeout_s`); does nothing when it is not running."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the broker with SIGKILL and reap it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stop cleanly if it runs, then start on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the broker and give its ports back."""
        self.stop()
        self._ports.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _reap(self) -> None:
        """Collect a broker that somebody else has killed."""
        if self._process is not None:
            try:
                self._process.wait(REAP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                raise KafkaFailedError(f"Kafka runs already (pid {self._process.pid}): stop it first") from None

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ("format", "--ignore-formatted", f"--cluster-id={cluster}", "--config=server.properties", *self._format_options)
        command = self._runtime.command("kafka.tools.StorageTool", *arguments)
        with open_log(self.log_path) as log:
            done = subprocess.run(command, cwd=self.data_dir, env=self.environment, stdout=log, stderr=log, timeout=60, check=False)  # noqa: S603
        if done.returncode:
            raise KafkaFailedError(f"Kafka could not format {self.data_dir / 'data'} ({self._hint()})")

    def _hint(self) -> str:
        return f"{last_line(self.log_path) or 'nothing was logged'}; see {self.log_path}"
