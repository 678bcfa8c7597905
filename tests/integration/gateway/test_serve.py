"""The gateway as a process on a real socket, with a real Kafka: slow senders, keys that come and go, and being killed."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from tests.integration.gateway.topics import read_all
from tests.otel.exports import span, traces
from tests.otel.test_dialects import SEMCONV_37

from llmtower_processors.local.kafka import KafkaProcess
from llmtower_processors.local.ports import PortReservation
from llmtower_schemas.topics import CALLS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
CLI = (sys.executable, "-m", "llmtower_processors.cli")
PROTOBUF = {"content-type": "application/x-protobuf"}


LARGE_TEXT = "a text " * 10_000
"""A body of this is converted in another process."""


class Place:
    """A Kafka of its own, because the gateway's topics have fixed names, and a gateway that can be killed and started again."""

    def __init__(self, kafka: KafkaProcess, folder: Path) -> None:
        self.kafka, self._log = kafka, folder / "gateway.log"
        self.reserved = PortReservation(0, purpose="the gateway", option="")
        self.environment = {
            **os.environ,
            "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "LLMTOWER_GATEWAY__PORT": str(self.reserved.port),
            "LLMTOWER_GATEWAY__BODY_S": "1",
            "LLMTOWER_GATEWAY__ACK_S": "4",
            "LLMTOWER_DATA_DIR": str(folder),
        }
        self.cli("topics", "create")
        self.process = self.start()

    def cli(self, *words: str) -> str:
        done = subprocess.run([*CLI, *words], env=self.environment, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*CLI, "gateway"], env=self.environment, stdout=log, stderr=log)
        until(lambda: self.get("/readyz") == 200)
        return self.process

    def get(self, path: str) -> int:
        return self._ask("GET", path, b"", {})

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        return self._ask("POST", "/v1/traces", body, PROTOBUF | (headers or {}))

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.reserved.port, timeout=15)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def stored(self) -> list[str]:
        values = asyncio.run(read_all(self.kafka.bootstrap_servers, CALLS, 4))
        return [orjson.loads(value)["span_id"] for value in values]


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def export(span_id: str, text: str = "hi") -> bytes:
    now_ns = time.time_ns()
    given = SEMCONV_37 | {"gen_ai.input.messages": text}
    return traces([span(given, span_id=span_id, start_ns=now_ns - 10**9, end_ns=now_ns)]).SerializeToString()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("gateway")
    with KafkaProcess(folder / "kafka") as kafka:
        made = Place(kafka, folder)
        yield made
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(30) == 0
        made.reserved.release()


@contextmanager
def connection(place: Place) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", place.reserved.port), timeout=20) as made:
        yield made


def test_senders_that_never_finish_are_cut_off_and_the_others_served(place: Place) -> None:
    with connection(place) as headers, connection(place) as body:
        headers.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-A: ")
        body.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nab")
        assert place.post(export("0000000000000001")) == 200
        assert headers.recv(100) == b""
        assert body.recv(100).startswith(b"HTTP/1.1 408")


def test_keys_come_and_go_within_seconds(place: Place) -> None:
    key = place.cli("keys", "create", "--scope", "emit", "--project", "shop", "--name", "test")
    bearer = {"authorization": f"Bearer {key}"}
    until(lambda: place.post(export("0000000000000002")) == 401, 10)
    assert place.post(export("0000000000000003"), bearer) == 200
    key_id = key.split("_")[1]
    assert key_id in place.cli("keys", "list")
    assert key not in place.cli("keys", "list", "--format", "json")
    place.cli("keys", "revoke", key_id)
    until(lambda: place.post(export("0000000000000004"), bearer) == 401, 10)


def test_what_was_accepted_is_in_kafka_however_often_gateway_and_broker_are_killed(place: Place) -> None:
    key = place.cli("keys", "create", "--scope", "emit")
    bearer = {"authorization": f"Bearer {key}"}
    until(lambda: place.post(export("0000000000000005"), bearer) == 200, 10)
    accepted: list[str] = []
    refused = 0
    stop = threading.Event()

    def send(sender: int) -> None:
        nonlocal refused
        number = 0
        while not stop.is_set():
            number += 1
            span_id = f"{sender:08x}{number:08x}"
            if place.post(export(span_id, LARGE_TEXT if sender > 6 else "hi"), bearer) == 200:
                accepted.append(span_id)
            else:
                refused += 1
                time.sleep(0.1)

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(1, 9)]
    for sender in senders:
        sender.start()
    until(lambda: len(accepted) > 50)
    place.process.kill()
    place.process.wait()
    place.start()
    before = len(accepted)
    until(lambda: len(accepted) > before + 50)
    for child in psutil.Process(place.process.pid).children():
        child.kill()
    before = len(accepted)
    until(lambda: len(accepted) > before + 50)
    place.kafka.kill()
    time.sleep(1)
    place.kafka.restart()
    before = len(accepted)
    until(lambda: len(accepted) > before + 50)
    stop.set()
    for sender in senders:
        sender.join()
    assert refused
    assert set(accepted) <= set(place.stored())
