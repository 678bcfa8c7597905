"""A producer with a journal: what it has begun to send is on disk before it is sent, what Kafka acknowledged is on disk after.

Started again with the same name (after kill -9, say) it first sends what has no acknowledgement once more: the same bytes, the same
headers, to the same partition, exactly as the SDK's spool does; then it goes on with the next number.
"""

import argparse
import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from llmtower_schemas.codec import EnvelopeHeaders
from llmtower_schemas.topics import CALLS, TOPICS

APP = "faults"
BROKEN_EVERY = 37
REQUEST_EVERY = 3
DAYS_APART = 14
"""Calls of one envelope lie in three weeks, mostly of two months: blocks touch several partitions of their tables."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One envelope as journalled; `at_ns` fixes its bytes."""

    seq: int
    count: int
    partition: int
    at_ns: int


def cost(seq: int) -> int:
    """What call `seq` cost, in nano-USD: any sum tells which calls are in it."""
    return (seq * 7919) % 1_000_003


def kind(seq: int) -> str:
    """Which table event `seq` belongs to."""
    if seq % BROKEN_EVERY == 0:
        return "dead_letters"
    return "requests" if seq % REQUEST_EVERY == 0 else "calls"


def line(producer: str, seq: int, at_ns: int) -> bytes:
    """Give event `seq`: a call, the start of one, or a line that is no event."""
    if kind(seq) == "dead_letters":
        return b'{"type":"response","app":'
    base = {
        "app": APP,
        "project": "p",
        "call_id": f"{seq:08x}-0000-7000-8000-{producer[-12:]}",
        "provider": "openai",
        "request_model": f"model-{seq % 5}",
        "started_at_ns": at_ns - (seq % 3) * DAYS_APART * 86_400_000_000_000,
        "user_id": f"u{seq % 11}",
    }
    if kind(seq) == "requests":
        return orjson.dumps({"type": "request", **base})
    call = {"duration_us": seq + 1, "reported_cost_nano_usd": cost(seq), "input": f"question {seq}", "output": f"answer {seq}"}
    usage = {"input_tokens": seq % 1000, "output_tokens": seq % 100}
    return orjson.dumps({"type": "response", **base, **call, "usage": usage, "usage_source": "provider"})


def journal(path: Path) -> tuple[list[Sent], set[int]]:
    """Read back what was begun and which first numbers were acknowledged; a torn last line does not count."""
    begun: list[Sent] = []
    acknowledged: set[int] = set()
    text = path.read_bytes() if path.exists() else b""
    for entry in text[: text.rfind(b"\n") + 1].splitlines():
        word, *numbers = entry.split()
        if word == b"B":
            begun.append(Sent(*map(int, numbers)))
        else:
            acknowledged.add(int(numbers[0]))
    return begun, acknowledged


class Load:
    """One run of the producer."""

    def __init__(self, bootstrap: str, producer: str, path: Path, *, rate: float, seed: int) -> None:
        self._bootstrap = bootstrap
        self._producer = producer
        self._path = path
        self._rate = rate
        self._random = random.Random(seed)
        self._stop = asyncio.Event()

    async def run(self, seconds: float) -> None:
        """Send for a while, then until all is acknowledged."""
        begun, acknowledged = journal(self._path)
        _mend(self._path)
        kafka = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, enable_idempotence=True, compression_type="lz4", request_timeout_ms=5_000, linger_ms=5
        )
        await _start(kafka)
        with self._path.open("ab", buffering=0) as file:
            tasks = [asyncio.create_task(self._deliver(kafka, file, sent)) for sent in begun if sent.seq not in acknowledged]
            seq = begun[-1].seq + begun[-1].count if begun else 0
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                sent = Sent(seq, self._random.choice((1, 1, 5, 20, 60)), self._random.randrange(TOPICS[CALLS].partitions), time.time_ns())
                file.write(b"B %d %d %d %d\n" % (sent.seq, sent.count, sent.partition, sent.at_ns))
                tasks.append(asyncio.create_task(self._deliver(kafka, file, sent)))
                seq += sent.count
                await asyncio.sleep(sent.count / self._rate)
            await asyncio.gather(*tasks)
        await kafka.stop()

    async def _deliver(self, kafka: AIOKafkaProducer, file: BinaryIO, sent: Sent) -> None:
        headers = EnvelopeHeaders(self._producer, sent.seq, sent.count, "p", APP).encode()
        value = b"\n".join(line(self._producer, seq, sent.at_ns) for seq in range(sent.seq, sent.seq + sent.count))
        while True:
            try:
                await kafka.send_and_wait(CALLS, value, partition=sent.partition, headers=headers)
            except KafkaError:
                await asyncio.sleep(0.2)
            else:
                file.write(b"A %d\n" % sent.seq)
                return


def _mend(path: Path) -> None:
    """Cut a torn last line off, as the spool does."""
    if path.exists():
        text = path.read_bytes()
        os.truncate(path, text.rfind(b"\n") + 1)


async def _start(kafka: AIOKafkaProducer) -> None:
    while True:
        try:
            await kafka.start()
            return
        except KafkaError:
            await asyncio.sleep(0.2)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    for name in ("--bootstrap", "--producer", "--journal"):
        parser.add_argument(name, required=True)
    for name in ("--rate", "--seconds"):
        parser.add_argument(name, type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    load = Load(options.bootstrap, options.producer, Path(options.journal), rate=options.rate, seed=options.seed)
    asyncio.run(load.run(options.seconds))


if __name__ == "__main__":
    main()
