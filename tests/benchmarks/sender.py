"""The load generator: a process of its own that sends envelopes made beforehand, at a rate or as fast as the store keeps up.

The events' times are set when an envelope is sent, by one replacement of a marker in its bytes; nothing else is computed then but the
compression, with zstd: aiokafka's lz4 (level 9, nothing else to be had) takes 18 µs of CPU per call, four times as much.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from aiokafka import AIOKafkaProducer

from llmtower_schemas.codec import EnvelopeHeaders, encode
from llmtower_schemas.topics import CALLS
from tests.benchmarks.load import calls

MARKER_NS = 1_111_111_111_111_111_111
MARKER = b"%d" % MARKER_NS
PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """One record: where it went and when it was handed to the client (monotonic seconds, the same clock in every process)."""

    partition: int
    offset: int
    at: float


@dataclass(frozen=True, slots=True)
class Job:
    """What to send: a rate in calls a second (0 = as fast as the store keeps up with `ahead` calls in between) for some seconds."""

    bootstrap: str
    rate: float
    seconds: float
    ahead: int = 60_000
    lines: int = 100
    distinct_calls: int = 40_000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sender did: CPU is that of its own process while it sent."""

    calls: int
    seconds: float
    cpu_s: float
    sent: Sequence[Sent]


@dataclass
class Sender:
    """A sender in a process of its own. `sent` counts calls; set `stored` for it, so that it knows how far the store is."""

    job: Job
    sent: "Synchronized[int]" = field(init=False)
    stored: "Synchronized[int]" = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.sent, self.stored = context.Value("q", 0), context.Value("q", 0)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_process, args=(self.job, self.sent, self.stored, theirs), daemon=True)
        self._process.start()
        if not self._pipe.poll(300):
            raise TimeoutError("the sender did not get ready within 300 s")
        self._pipe.recv()

    def start(self) -> None:
        """Let it send; it was ready when it was made."""
        self._pipe.send("go")

    def ended(self) -> bool:
        """It has sent all it was to send, and the broker has it."""
        return self._pipe.poll()

    def result(self) -> Outcome:
        """Wait for its end."""
        outcome: Outcome = self._pipe.recv()
        self._process.join()
        return outcome


def _process(job: Job, sent: Any, stored: Any, pipe: Connection) -> None:
    bodies = make_bodies(job)
    pipe.send("ready")
    pipe.recv()
    pipe.send(asyncio.run(_send(job, bodies, sent, stored)))


def make_bodies(job: Job) -> list[bytes]:
    """Make the envelopes; every event starts at the marker."""
    made = calls(job.distinct_calls, seed=job.seed, start_ns=MARKER_NS, spacing_ns=0)
    lines = [line for call in made for line in (call.request, call.response)]
    return [encode(lines[first : first + job.lines]) for first in range(0, len(lines), job.lines)]


async def _send(job: Job, bodies: list[bytes], sent: Any, stored: Any) -> Outcome:
    calls_each = job.lines / 2
    run = f"bench-{time.time_ns()}"
    records: list[Sent] = []
    began, cpu = time.monotonic(), time.process_time()
    number = 0
    async with AIOKafkaProducer(
        bootstrap_servers=job.bootstrap, compression_type="zstd", linger_ms=5, max_request_size=4 << 20
    ) as producer:
        while time.monotonic() - began < job.seconds:
            await _wait_turn(job, began, number * calls_each, stored)
            body = bodies[number % len(bodies)].replace(MARKER, b"%d" % time.time_ns())
            headers = EnvelopeHeaders(run, number * job.lines, body.count(b"\n") + 1, "bench", "bench").encode()
            future = await producer.send(CALLS, body, partition=number % PARTITIONS, headers=headers)
            future.add_done_callback(partial(_note, at=time.monotonic(), records=records))
            number += 1
            sent.value = int(number * calls_each)
        await producer.flush()
    return Outcome(int(number * calls_each), time.monotonic() - began, time.process_time() - cpu, records)


def _note(done: "asyncio.Future[Any]", at: float, records: list[Sent]) -> None:
    metadata = done.result()
    records.append(Sent(metadata.partition, metadata.offset, at))


async def _wait_turn(job: Job, began: float, so_far: float, stored: Any) -> None:
    if job.rate:
        await asyncio.sleep(max(0.0, so_far / job.rate - (time.monotonic() - began)))
        return
    while so_far - stored.value > job.ahead and time.monotonic() - began < job.seconds:  # noqa: ASYNC110 - another process sets it
        await asyncio.sleep(0.005)
