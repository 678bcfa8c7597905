"""The prompt library: a promotion to 200 connected clients with 10,000 prompts in the topic; a start with everything down; rendering."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from aiokafka import AIOKafkaProducer

from llmtower.rendering import LoadedPrompt, checked
from llmtower_processors.local.kafka import KafkaProcess
from llmtower_processors.topics import create_topics
from llmtower_schemas import topics
from llmtower_schemas.chains import entry_key
from llmtower_schemas.prompt_store import PromptStore
from llmtower_schemas.prompts import Message, Move, Prompt, Variable, encode_move, encode_prompt
from llmtower_schemas.registry_log import KafkaRegistryLog
from llmtower_schemas.settings import KafkaSettings, RetentionSettings
from tests.benchmarks.figures import Figure, at_most, interleave, main

NAME = "support/answer"
CHAT = Prompt(
    form="chat",
    messages=(
        Message(role="system", content="You are the {{ tone }} support of {{ shop }}.\n" + "Stay with the facts below. " * 20),
        Message(role="user", content="{% for d in documents %}- {{ d }}\n{% endfor %}\nQuestion: {{ question }}"),
    ),
    variables={"tone": Variable(default="friendly"), "shop": Variable(), "documents": Variable(type="list"), "question": Variable()},
)
VALUES = {"shop": "Acme", "documents": ["Parcels take two days.", "Returns are free.", "Open 9 to 17."], "question": "Where is my parcel?"}
_COLD = """
import sys, time, llmtower
llmtower.configure(app="bench", bootstrap_servers="127.0.0.1:1")
began = time.perf_counter()
prompt = llmtower.prompt("support/answer", fallback="Answer {{ question }}")
print(time.perf_counter() - began, prompt.source)
"""


def run(quick: bool) -> list[Figure]:
    """Measure."""
    names, clients, processes = (500, 12, 2) if quick else (10_000, 200, 5)
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-", ignore_cleanup_errors=True) as folder:
        with KafkaProcess(Path(folder) / "kafka") as node:
            waits, whole = _promotion(node.bootstrap_servers, names, clients, processes)
        cold = [_cold(Path(folder) / f"cache{number}") for number in range(3 if quick else 9)]
    p95 = statistics.quantiles(waits, n=20)[-1]
    note = f"{clients} clients in {processes} processes, {names:,} prompts; slowest {max(waits):.2f} s; first read {whole:.2f} s"
    return [
        at_most("promotion → seen by connected clients, p95", p95, "s", 2.0, note),
        at_most("start with a cold cache and Kafka down, to the fallback", statistics.median(cold) * 1e3, "ms", 50),
        *_rendering(quick),
    ]


def _rendering(quick: bool) -> list[Figure]:
    prompt, count = LoadedPrompt(NAME, "1", checked(NAME, CHAT), source="registry"), 2_000

    def render(_: int) -> None:
        for _number in range(count):
            prompt.render(**VALUES)

    render(0)
    taken = interleave({"render": render}, 5 if quick else 21)["render"]
    return [at_most("rendering a chat of two messages and a loop", taken.wall_s / count * 1e6, "µs", 20, taken.spread())]


def _cold(cache: Path) -> float:
    environment = {"LLMTOWER_SDK__PROMPTS_DIR": str(cache), "LLMTOWER_SDK__SPOOL_DIR": str(cache / "spool")}
    ended = subprocess.run([sys.executable, "-c", _COLD], env=environment, capture_output=True, text=True, check=True)
    seconds, source = ended.stdout.split()
    assert source == "fallback"
    return float(seconds)


def _promotion(servers: str, names: int, clients: int, processes: int) -> tuple[list[float], float]:
    """Seconds from the promotion's call to each client; and how long a client takes to read the topic."""
    kafka = KafkaSettings(bootstrap_servers=servers)
    asyncio.run(_fill(kafka, names))
    whole = asyncio.run(_first_read(kafka))
    with _connected(servers, clients, processes) as running:
        for one in running:
            for _ in range(clients // processes):
                assert one.stdout is not None
                assert one.stdout.readline() == b"ready\n"
        time.sleep(2.0)
        began = time.time_ns()
        asyncio.run(_promote(kafka))
        seen = [at for one in running for at in orjson.loads(one.stdout.readline() if one.stdout else b"[]")]
    assert len(seen) == clients // processes * processes
    return [(at - began) / 1e9 for at in seen], whole


@contextmanager
def _connected(servers: str, clients: int, processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "tests.benchmarks.prompt_clients", servers, str(clients // processes), NAME, "2"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    try:
        yield running
    finally:
        for one in running:
            one.kill()
            one.wait()
            if one.stdout:
                one.stdout.close()


async def _fill(kafka: KafkaSettings, names: int) -> None:
    """Write versions and moves as the tools do, without reading back each."""
    await create_topics(kafka, RetentionSettings())
    store = PromptStore(log := KafkaRegistryLog(kafka))
    for prompt in (CHAT, CHAT.model_copy(update={"note": "n", "parameters": {"temperature": 0}})):
        await store.push(NAME, prompt)
    await store.promote(NAME, 1, label="production", by="bench")
    await log.close()
    producer = AIOKafkaProducer(**kafka.client_options(), linger_ms=20)
    await producer.start()
    value, move = encode_prompt(CHAT), encode_move(Move(version=1, by="bench"))
    for number in range(names):
        for chain, what in ((f"prompt/many/{number}", value), (f"label/many/{number}/production", move)):
            await producer.send(topics.REGISTRY, what, key=entry_key(chain, 1, f"{number:032x}").encode())
    await producer.stop()


async def _first_read(kafka: KafkaSettings) -> float:
    log, began = KafkaRegistryLog(kafka), time.perf_counter()
    await log.read()
    await log.close()
    return time.perf_counter() - began


async def _promote(kafka: KafkaSettings) -> None:
    log = KafkaRegistryLog(kafka)
    await PromptStore(log).promote(NAME, 2, label="production", by="bench", seen=1)
    await log.close()


if __name__ == "__main__":
    main(run)
