"""The gateway with a real Kafka: spans a second that are acknowledged, and its memory under 200 concurrent senders.

Senders are threads of another process with keep-alive connections; a request is an export of 500 spans of 18 attributes with a prompt and
an answer (1.7 kB of protobuf each), as a Collector's batch processor sends it; ids, counts, texts and sessions differ from span to span.
Nothing but Kafka, gateway and senders runs.
"""

import http.client
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]  # no types

from llmtower_processors.cli.policy import content_writer
from llmtower_processors.gateway.intake import take_spans
from llmtower_processors.gateway.packing import pack
from llmtower_processors.local.kafka import KafkaProcess
from llmtower_processors.local.ports import PortReservation
from llmtower_processors.otel import protobuf
from llmtower_processors.otel.convert import Converted, convert
from llmtower_processors.otel.model import Span
from llmtower_schemas.settings import Settings
from llmtower_schemas.topics import CALLS
from tests.benchmarks.figures import Figure, at_least, at_most, main
from tests.benchmarks.prose import documents
from tests.benchmarks.stand import cpu_seconds, wait_until
from tests.otel.exports import span, traces
from tests.otel.test_dialects import OPENLLMETRY

SPANS = 500
MARK = b"(number)"
HEADERS = {"content-type": "application/x-protobuf"}


def run(quick: bool) -> list[Figure]:
    """Measure."""
    seconds = 5.0 if quick else 15.0
    with (
        tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder,
        KafkaProcess(Path(folder) / "kafka") as kafka,
        gateway(kafka, Path(folder)) as (process, port),
    ):
        _send(port, senders=8, seconds=2.0)  # the process that converts starts with the first large body
        before = _used(process.pid, kafka.pid)
        sent = [_send(port, senders=8, seconds=seconds / 3) for _ in range(3)]
        after = _used(process.pid, kafka.pid)
        spans = sum(one.spans for one in sent)
        cpu_s = {name: after[name] - before[name] for name in before} | {"the senders": sum(one.cpu_s for one in sent)}
        _send(port, senders=200, seconds=seconds / 2)
        peak = _peak_mib(process.pid)
    rates = [one.spans / one.took_s for one in sent]
    rate, took_s = statistics.median(rates), sum(one.took_s for one in sent)
    note = f"samples {', '.join(f'{one:,.0f}' for one in rates)}"
    return [
        at_least("gateway, spans acknowledged by Kafka", rate, "per second", 20_000, note),
        at_most("gateway, peak memory under 200 concurrent senders", peak, "MiB", 400 / 1.048576, "0.8 MB a body; all its processes"),
        *(Figure(f"gateway, {name}", used_s * 1e6 / spans, "µs of CPU per span") for name, used_s in cpu_s.items()),
        Figure("gateway, cores in use", sum(cpu_s.values()) / took_s, "cores", note=f"of {os.cpu_count()}; senders included"),
        *(Figure(f"gateway, {name}", us, "µs of CPU per span") for name, us in _stages().items()),
    ]


def _used(gateway_pid: int, kafka_pid: int) -> dict[str, float]:
    """CPU seconds so far."""
    times = psutil.Process(gateway_pid).cpu_times()
    serving = times.user + times.system
    return {"serving": serving, "converting": cpu_seconds(gateway_pid) - serving, "Kafka beside it": cpu_seconds(kafka_pid)}


def _stages() -> dict[str, float]:
    """CPU of each step in this process, the least of five."""
    body, write, now_ns = make_body(), content_writer(Settings()), time.time_ns()
    spans = [found for found in protobuf.read_spans(body) if isinstance(found, Span)]
    events = [made.event for found in spans if isinstance(made := convert(found, "p", now_ns), Converted) and made.event is not None]
    lines = take_spans(body, is_json=False, project="p", now_ns=now_ns, write=write).lines
    bodies = itertools.count()

    return {
        "reading protobuf": _least_us(lambda: list(protobuf.read_spans(anew(body, next(bodies))))),
        "attributes into an event": _least_us(lambda: [convert(found, "p", now_ns) for found in spans]),
        "redaction and JSON": _least_us(lambda: [write(event) for event in events]),
        "Kafka's batch": _least_us(lambda: pack(lines, {CALLS: 4})),
    }


def _least_us(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(5):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken) * 1e6 / SPANS


@contextmanager
def gateway(kafka: KafkaProcess, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run the gateway on a Kafka with our topics."""
    reserved = PortReservation(0, purpose="the gateway", option="")
    environment = {
        **os.environ,
        "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "LLMTOWER_GATEWAY__PORT": str(reserved.port),
        "LLMTOWER_DATA_DIR": str(folder),
    }
    command = [sys.executable, "-m", "llmtower_processors.cli"]
    subprocess.run([*command, "topics", "create"], env=environment, check=True, stdout=subprocess.DEVNULL)
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen([*command, "gateway"], env=environment, stdout=log, stderr=log)
    try:
        wait_until("the gateway", lambda: _ready(reserved.port), 60, every_s=0.2)
        yield process, reserved.port
    finally:
        process.terminate()
        process.wait(30)
        reserved.release()


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Sent(NamedTuple):
    """What senders have achieved: spans acknowledged, seconds, and their own CPU, which the two cores have to bear as well."""

    spans: int
    took_s: float
    cpu_s: float


def _send(port: int, *, senders: int, seconds: float) -> Sent:
    """Send from another process."""
    context = get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_senders, args=(port, senders, seconds, answers))
    process.start()
    sent = Sent(*answers.get(timeout=120))
    process.join()
    return sent


def _senders(port: int, senders: int, seconds: float, answers: "object") -> None:
    body = make_body()
    accepted = [0] * senders
    begun, cpu_s = time.monotonic(), time.process_time()

    def work(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for request in itertools.count():
            if time.monotonic() - begun >= seconds:
                break
            connection.request("POST", "/v1/traces", anew(body, number * 1_000 + request), HEADERS)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                accepted[number] += SPANS
            else:
                time.sleep(0.2)
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put((sum(accepted), time.monotonic() - begun, time.process_time() - cpu_s))  # type: ignore[attr-defined]


def make_body() -> bytes:
    """Make an export of SPANS spans."""
    now_ns = time.time_ns()
    texts = documents(2 * SPANS, size=500, seed=7)
    given = [
        span(
            OPENLLMETRY
            | _own(number)
            | {"gen_ai.prompt.0.content": texts[2 * number], "gen_ai.completion.0.content": texts[2 * number + 1]},
            span_id=os.urandom(8).hex(),
            trace_id=os.urandom(16).hex(),
            start_ns=now_ns - 10**9,
            end_ns=now_ns,
        )
        for number in range(SPANS)
    ]
    return traces(given).SerializeToString()


def anew(body: bytes, request: int) -> bytes:
    """Give the body with response ids that no other request has."""
    return body.replace(MARK, b"%08d" % request)


def _own(number: int) -> dict[str, object]:
    """Give what differs from span to span beside the texts."""
    asked, answered = 100 + number * 7 % 900, 50 + number * 3 % 400
    return {
        "gen_ai.response.id": f"chatcmpl-{MARK.decode()}-{os.urandom(8).hex()}",
        "gen_ai.usage.input_tokens": asked,
        "gen_ai.usage.output_tokens": answered,
        "gen_ai.usage.cache_read_input_tokens": asked // 2,
        "llm.usage.total_tokens": asked + answered,
        "traceloop.association.properties.session_id": f"s-{number // 4}",
    }


def _peak_mib(pid: int) -> float:
    """Peaks of the gateway and of the processes that convert for it, added up; what they share is counted in each."""
    every = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    statuses = [Path(f"/proc/{one}/status").read_text("utf-8") for one in every]
    return sum(int(status.partition("VmHWM:")[2].split()[0]) for status in statuses) / 1024


if __name__ == "__main__":
    main(run)
