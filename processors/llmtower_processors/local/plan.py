"""What a stack is made of: one literal table of children and steps, and the place they share."""

import asyncio
import contextlib
import http.client
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llmtower_processors.engine.credentials import load_or_create
from llmtower_processors.local.endpoints import DataDirLock, read_credentials, remove_endpoints
from llmtower_processors.local.errors import LocalStackError
from llmtower_processors.local.kafka import KafkaProcess, answers
from llmtower_processors.local.ports import LOOPBACK, PortReservation
from llmtower_processors.local.supervisor import ChildSpec
from llmtower_processors.roles import PIPELINE, SCORING

# After kill -9 of the worker its successor gets the partitions when the old session has ended: 10 s is enough on one machine.
_DEFAULTS = {"LLMTOWER_WORKER__SESSION_TIMEOUT_MS": "10000"}
# One that steps back can be kept from the machine for long, and nobody waits for its successor.
_SCORING_DEFAULTS = {"LLMTOWER_WORKER__SESSION_TIMEOUT_MS": "60000"}
_REPLACED = ("LLMTOWER_KAFKA__", "LLMTOWER_CLICKHOUSE__")


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """Where the stack keeps its data and listens; 0 = any free port (the command line has defaults of its own)."""

    data_dir: Path
    kafka_port: int = 0
    clickhouse_port: int = 0
    web_port: int = 0
    gateway_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Settings of our own children; they go before those of this process."""


class Site:
    """What the parts of one stack share: folder, lock, reserved ports, environment of the children."""

    def __init__(self, options: StackOptions) -> None:
        self.data_dir = options.data_dir.absolute()
        self._environment = dict(options.environment)
        with contextlib.ExitStack() as undo:
            self._lock = DataDirLock(self.data_dir)
            undo.callback(self._lock.release)
            remove_endpoints(self.data_dir)
            _make_credentials(self.data_dir)
            self.clickhouse = PortReservation(options.clickhouse_port, purpose="the ClickHouse engine", option="--clickhouse-port")
            undo.callback(self.clickhouse.release)
            self.worker_web = PortReservation(0, purpose="the worker's health page", option="LLMTOWER_WORKER__WEB_PORT")
            undo.callback(self.worker_web.release)
            self.web = PortReservation(options.web_port, purpose="the live page", option="--web-port")
            undo.callback(self.web.release)
            self.gateway = PortReservation(options.gateway_port, purpose="the gateway", option="--gateway-port")
            undo.callback(self.gateway.release)
            self.scoring_web = PortReservation(0, purpose="the scoring worker's health page", option="LLMTOWER_WORKER__WEB_PORT")
            undo.callback(self.scoring_web.release)
            kafka_dir = self.data_dir / "kafka"
            self.kafka = KafkaProcess(kafka_dir, port=options.kafka_port, log_path=self.log_path("kafka"))
            self._undo = undo.pop_all()

    def log_path(self, name: str) -> Path:
        """The log file of one part."""
        return self.data_dir / "logs" / f"{name}.log"

    def environment(self, defaults: Mapping[str, str] = _DEFAULTS) -> dict[str, str]:
        """The environment of our own children: the stack's addresses instead of any the user has set."""
        own = {
            "LLMTOWER_DATA_DIR": str(self.data_dir),
            "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "LLMTOWER_CLICKHOUSE__HOST": LOOPBACK,
            "LLMTOWER_CLICKHOUSE__PORT": str(self.clickhouse.port),
            "LLMTOWER_CLICKHOUSE__USER": "writer",
            "LLMTOWER_CLICKHOUSE__PASSWORD": read_credentials(self.data_dir)["writer"],
            "LLMTOWER_WORKER__WEB_PORT": str(self.worker_web.port),
            "LLMTOWER_GATEWAY__HOST": LOOPBACK,
            "LLMTOWER_GATEWAY__PORT": str(self.gateway.port),
        }
        return {
            **defaults,
            **{name: value for name, value in os.environ.items() if not name.startswith(_REPLACED)},
            **self._environment,
            **own,
        }

    def reading_environment(self) -> dict[str, str]:
        """The environment of the live page: a reader's login, and that for texts, which it shows to who has the content key only."""
        passwords = read_credentials(self.data_dir)
        own = {
            "LLMTOWER_CLICKHOUSE__USER": "dashboards",
            "LLMTOWER_CLICKHOUSE__PASSWORD": passwords["dashboards"],
            "LLMTOWER_WEB__CONTENT_PASSWORD": passwords["content"],
            "LLMTOWER_WEB__PORT": str(self.web.port),
        }
        return {"LLMTOWER_WEB__CONTENT_KEY": passwords["content"], **self.environment(), **own}

    def close(self) -> None:
        """Give back the ports and the data directory."""
        self.kafka.close()
        self._undo.close()


def _make_credentials(data_dir: Path) -> None:
    """Before anything starts: Kafka's track needs the environment, which names them, perhaps before the engine runs."""
    try:
        load_or_create(data_dir)
    except ValueError as error:
        raise LocalStackError(str(error)) from error


@dataclass(frozen=True)
class Part:
    """A long-running child: its name (the role in `endpoints.json`), its specification, the address it is known by."""

    name: str
    spec: Callable[[Site], ChildSpec]
    address: Callable[[Site], str] | None = None
    needs: tuple[str, ...] = ()
    """Modules of an extra; without them the stack goes on without this part, and says so."""
    wanted: Callable[[Site], bool] | None = None
    """Whether the settings ask for it at all."""


@dataclass(frozen=True)
class Step:
    """A command of the `llmtower` CLI that runs once and must succeed."""

    name: str
    arguments: tuple[str, ...]


Track = tuple[Part | Step, ...]
Plan = tuple[tuple[Track, ...], ...]


def _kafka(site: Site) -> ChildSpec:
    return ChildSpec(
        name="kafka",
        argv=tuple(site.kafka.prepare()),
        env=site.kafka.environment,
        cwd=site.kafka.data_dir,
        log_path=site.kafka.log_path,
        ready=_in_thread(lambda _pid: answers(site.kafka.port)),
    )


def _clickhouse(site: Site) -> ChildSpec:
    return ChildSpec(
        name="clickhouse",
        argv=(*_PYTHON, "llmtower_processors.engine", "--data-dir", str(site.data_dir), "--port", str(site.clickhouse.port)),
        env=os.environ.copy(),
        log_path=site.log_path("clickhouse"),
        ready=_in_thread(lambda pid: _names_pid(site.data_dir / "engine.json", pid)),
    )


def _worker(site: Site) -> ChildSpec:
    return ChildSpec(
        name="worker",
        argv=(*CLI, "worker", "--processors", ",".join(PIPELINE)),
        env=site.environment(),
        log_path=site.log_path("worker"),
        ready=_in_thread(lambda _pid: _processors_are_ready(site.worker_web.port)),
        ready_timeout_s=120.0,  # after an unclean end it waits for its predecessor's session
    )


def _web(site: Site) -> ChildSpec:
    return ChildSpec(
        name="web",
        argv=(*CLI, "web"),
        env=site.reading_environment(),
        log_path=site.log_path("web"),
        ready=_in_thread(lambda _pid: _answers(site.web.port, "/livez")),
    )


def _gateway(site: Site) -> ChildSpec:
    return ChildSpec(
        name="gateway",
        argv=(*CLI, "gateway"),
        env=site.environment(),
        log_path=site.log_path("gateway"),
        ready=_in_thread(lambda _pid: _answers(site.gateway.port, "/readyz")),
    )


def _scoring(site: Site) -> ChildSpec:
    """Nobody waits for scores: the stack is ready before this child is, and a child that cannot start is started again."""
    own = {"LLMTOWER_WORKER__WEB_PORT": str(site.scoring_web.port), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return ChildSpec(
        name="scoring",
        argv=(*CLI, "worker", "--processors", ",".join(SCORING)),
        env=site.environment(_SCORING_DEFAULTS) | own,
        log_path=site.log_path("scoring"),
        ready=_in_thread(lambda _pid: True),
    )


def _judge(site: Site) -> ChildSpec:
    """Nobody waits for it, and it waits for what it needs."""
    return ChildSpec(
        name="judge",
        argv=(*CLI, "judge", "run"),
        env=site.environment(),
        log_path=site.log_path("judge"),
        ready=_in_thread(lambda _pid: True),
    )


def _has_endpoint(site: Site) -> bool:
    return bool(site.environment().get("LLMTOWER_JUDGE__BASE_URL"))


_PYTHON = (sys.executable, "-P", "-m")
CLI = (*_PYTHON, "llmtower_processors.cli")

# Started stage by stage, the tracks of a stage side by side, the entries of a track one after the other; stopped in reverse order.
# A new child or step is one more entry. Kafka takes longest to start: the tables are made meanwhile.
PLAN: Plan = (
    (
        (Part("kafka", _kafka, lambda site: site.kafka.bootstrap_servers), Step("topics", ("topics", "create"))),
        (Part("clickhouse", _clickhouse, lambda site: f"http://{site.clickhouse.address}"), Step("migrations", ("migrate",))),
    ),
    (
        (Part("worker", _worker),),
        (Part("web", _web, lambda site: f"http://{site.web.address}", needs=("nicegui",)),),
        (Part("gateway", _gateway, lambda site: f"http://{site.gateway.address}", needs=("fastapi", "opentelemetry", "uvicorn")),),
    ),
    ((Part("scoring", _scoring),), (Part("judge", _judge, needs=("openai", "opentelemetry"), wanted=_has_endpoint),)),
)


def _in_thread(check: Callable[[int], bool]) -> Callable[[int], Awaitable[bool]]:
    async def ready(pid: int) -> bool:
        return await asyncio.to_thread(check, pid)

    return ready


def _names_pid(path: Path, pid: int) -> bool:
    try:
        return bool(json.loads(path.read_bytes())["pid"] == pid)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _answers(port: int, path: str) -> bool:
    """Ask a child's page whether all is well."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _processors_are_ready(port: int) -> bool:
    """Ask the worker's /readyz; a partition that waits for a person (`worker --resume`) does not keep the stack from starting."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        state = json.loads(connection.getresponse().read())
        return all(processor["ready"] for processor in state["processors"].values())
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return False
    finally:
        connection.close()
