"""One seeded run: start everything, attack it while producers send, let it come to rest, judge."""

import asyncio
import contextlib
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import clickhouse_connect
from aiokafka.admin import AIOKafkaAdminClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from llmtower_processors.local.ports import PortReservation
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.roles import PIPELINE
from llmtower_processors.topics import create_topics
from llmtower_schemas.settings import KafkaSettings, RetentionSettings
from llmtower_schemas.topics import CALLS
from tests.faults.attacks import ATTACKS
from tests.faults.children import Child, Engine, ProxiedKafka, Worker, wait_for
from tests.faults.oracle import Verdict, expected, judge, stored
from tests.faults.proxy import Proxy
from tests.faults.report import report
from tests.faults.scores import judge_scores, processors_of, stored_scores, wanted

LOAD_S = 10.0
REST_S = 90.0
RSS_MIB = 600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed did and how it ended."""

    seed: int
    attacks: tuple[str, ...]
    verdict: Verdict
    phases: dict[str, float]
    rss_mib: float

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return sum(self.phases.values())


class Stack:
    """Everything one run needs, on a folder of its own."""

    def __init__(self, folder: Path, rng: random.Random, processors: tuple[str, ...] = PIPELINE) -> None:
        self.folder = folder
        self._processors = processors
        self.hold_restarts = False
        self.events: list[str] = []
        self._began = time.monotonic()
        self._closing = False
        self._rng = rng
        self._exits = contextlib.ExitStack()
        self._number = 0

    def note(self, what: str) -> str:
        """Keep what happened, with its time, for the report of a failure."""
        self.events.append(f"{time.monotonic() - self._began:5.1f} s  {what}")
        return self.events[-1]

    def start(self, workers: int, producers: int, rate: float) -> None:
        """Start Kafka, engine, tables, topics, workers and producers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kafka = ProxiedKafka(self.folder / "kafka")
        self._exits.callback(self.kafka.close)
        self.log_proxy = self._proxy("WORKERS")
        self.send_proxy = self._proxy("SENDERS")
        port = PortReservation(0, purpose="the engine", option="-")
        self._exits.callback(port.release)
        self.engine = Engine(self.folder, port.port)
        starting = threading.Thread(target=self.kafka.start)
        starting.start()
        self.engine.start()
        self._exits.callback(self.engine.stop)
        starting.join()
        self.store_proxy = Proxy(("127.0.0.1", self.engine.port))
        self._exits.callback(self.store_proxy.close)
        create_database(self.client("default"), "llmtower")
        migrate(self.client(), RetentionSettings())
        asyncio.run(create_topics(KafkaSettings(bootstrap_servers=self.kafka.bootstrap_servers), RetentionSettings()))
        self.workers = [self.new_worker() for _ in range(workers)]
        for worker in self.workers:
            worker.start()
        self.producers: list[Child] = []
        self.journals: dict[str, Path] = {}
        self.add_producers(producers, rate)
        wait_for("a worker", lambda: any(worker.ready() for worker in self.workers), 60)
        self._keeper = threading.Thread(target=self._keep_workers, daemon=True)
        self._keeper.start()

    @property
    def scores(self) -> bool:
        """Whether the workers score, too."""
        return self._processors != PIPELINE

    @property
    def senders(self) -> str:
        """The producers' way to Kafka, through a proxy of their own."""
        return f"127.0.0.1:{self.send_proxy.port}"

    def client(self, database: str = "llmtower") -> Client:
        """Connect to the engine itself, past the proxy."""
        password = self.engine.password("writer")
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=self.engine.port, username="writer", password=password, database=database
        )

    def new_worker(self) -> Worker:
        """Make one more worker; its Kafka and its ClickHouse are behind the proxies."""
        self._number += 1
        env = {
            "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{self.log_proxy.port}",
            "LLMTOWER_KAFKA__REQUEST_TIMEOUT_MS": "3000",
            "LLMTOWER_CLICKHOUSE__HOST": "127.0.0.1",
            "LLMTOWER_CLICKHOUSE__PORT": str(self.store_proxy.port),
            "LLMTOWER_CLICKHOUSE__USER": "writer",
            "LLMTOWER_CLICKHOUSE__PASSWORD": self.engine.password("writer"),
            "LLMTOWER_CLICKHOUSE__TIMEOUT_S": "5",
            "LLMTOWER_DATA_DIR": str(self.folder),
        }
        worker = Worker(self._number, self.folder, env, self._processors)
        self._exits.callback(worker.close)
        return worker

    def add_producers(self, number: int, rate: float, seconds: float = LOAD_S) -> None:
        """Start producers that send for a while, `rate` events per second together."""
        names = [f"{self._rng.getrandbits(48):012x}" for _ in range(number)]
        self.producers += [self._producer(name, rate / number, seconds) for name in names]

    def recreate_topic(self) -> None:
        """Delete the topic and create it again: its offsets start at 0 once more."""
        asyncio.run(recreate(self.kafka.bootstrap_servers))

    def rest(self) -> None:
        """Let the producers deliver everything and the workers store it. Raises TimeoutError with all that may tell why."""
        try:
            for producer in self.producers:
                wait_for("a producer", lambda producer=producer: self._delivered(producer), REST_S)  # type: ignore[misc]
            self.note("all is sent")
            paths = list(self.journals.values())
            wait_for("the workers", lambda: self._ask(stored) >= expected(paths), REST_S)
            if self.scores:
                wait_for("the scores", lambda: self._ask(stored_scores) >= wanted(paths), REST_S)
            self.note("all is stored")
        except TimeoutError as error:
            self.note(str(error))
            raise TimeoutError(f"{error}\n{report(self)}") from None
        time.sleep(2.0)

    def close(self) -> None:
        """End every process."""
        self._closing = True
        self.hold_restarts = True
        self._exits.close()

    def _proxy(self, listener: str) -> Proxy:
        reserved = self.kafka.inner[listener]
        self._exits.callback(reserved.release)
        proxy = Proxy(("127.0.0.1", reserved.port))
        self._exits.callback(proxy.close)
        self.kafka.proxy_ports[listener] = proxy.port
        return proxy

    def _producer(self, name: str, rate: float, seconds: float) -> Child:
        path = self.folder / f"journal-{name}"
        self.journals[name] = path
        options = {"--bootstrap": self.senders, "--producer": name, "--journal": str(path), "--rate": str(rate)}
        options |= {"--seconds": str(seconds), "--seed": str(self._rng.getrandbits(32))}
        words = [word for option in options.items() for word in option]
        child = Child("tests.faults.load", *words, log=self.folder / "producer.log")
        child.start()
        self._exits.callback(child.kill)
        return child

    def _delivered(self, producer: Child) -> bool:
        if producer.running:
            return False
        if producer.process.returncode != 0:
            producer.start()
            return False
        return True

    def _ask(self, count: Callable[[Client], int]) -> int:
        if not self.engine.running:
            self.note(f"the engine has ended with {self.engine.process.returncode}")
            self.engine.start()
        try:
            return count(self.client())
        except ClickHouseError:
            return 0

    def _keep_workers(self) -> None:
        """What a supervisor does: start again what has ended."""
        while not self._closing:
            for worker in self.workers:
                if not worker.running and not self.hold_restarts:
                    self.note(f"{worker.log.stem} has ended with {worker.process.returncode}")
                    worker.start()
            time.sleep(0.3)


async def recreate(bootstrap: str) -> None:
    """Delete `llmtower.calls`, wait until it is gone, create it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([CALLS])
    for _ in range(200):
        if CALLS not in await admin.list_topics():
            break
        await asyncio.sleep(0.1)
    await admin.close()
    await create_topics(KafkaSettings(bootstrap_servers=bootstrap), RetentionSettings())


def attack(seed: int, folder: Path, *, names: tuple[str, ...] = (), say: bool = False) -> Outcome:
    """Run one seed; `names` fixes the attacks instead of drawing them. The folder is removed when all is well."""
    rng = random.Random(seed)
    chosen = names or tuple(rng.choices(list(ATTACKS), k=rng.randint(3, 5)))
    workers = max(rng.randint(1, 3), 2 if "zombie whose rivals died" in chosen else 1)
    shutil.rmtree(folder, ignore_errors=True)
    stack = Stack(folder, rng, processors_of(seed))
    phases: dict[str, float] = {}
    try:
        with _timed(phases, "start"):
            stack.start(workers, producers=2, rate=rng.choice((500, 2_000)))
        with _timed(phases, "attacks"):
            for name in chosen:
                time.sleep(rng.uniform(0.2, 1.5))
                entry = stack.note(name)
                if say:
                    print(f"  {entry}", flush=True)
                ATTACKS[name](stack, rng)
        with _timed(phases, "rest"):
            stack.rest()
        with _timed(phases, "judge"):
            verdict = judge(stack.client(), stack.journals)
            if stack.scores:
                verdict = replace(verdict, faults=(*verdict.faults, *judge_scores(stack.client(), stack.journals)))
        rss = max((worker.rss_mib() for worker in stack.workers if worker.running), default=0.0)
        if rss > RSS_MIB:
            verdict = Verdict(verdict.acknowledged, verdict.stored, (*verdict.faults, f"a worker holds {rss:.0f} MiB"))
    finally:
        with _timed(phases, "stop"):
            stack.close()
    if verdict.ok:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(seed, chosen, verdict, phases, rss)


@contextlib.contextmanager
def _timed(phases: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        phases[name] = time.monotonic() - began
