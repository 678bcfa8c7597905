"""What is needed to tell a worker that hangs from one that is slow, said when a run does not come to rest."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3

from llmtower_schemas.topics import CALLS, TOPICS
from tests.faults.children import Child, Worker
from tests.faults.oracle import judge

if TYPE_CHECKING:
    from tests.faults.run import Stack

LOG_LINES = 40
_TELLING = ("lag_events", "paused_partitions", "retries_total", "_rows_total", "replays_total", "commit_seconds_count")
_FLOORS = "SELECT processor, topic, partition, incarnation, max(offset) FROM ledger GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3"


def report(stack: "Stack") -> str:
    """Describe Kafka's groups, the tables, and each process with the end of its log; the workers are aborted to see where they are."""
    lines: list[str] = []
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "attacks": lambda: iter(stack.events),
        "tables": lambda: _tables(stack),
        "group offsets": lambda: iter(asyncio.run(_groups(stack.kafka.bootstrap_servers))),
        "workers": lambda: _workers(stack),
        "engine": lambda: _process(stack.engine, stack.folder / "engine.log"),
        "Kafka": lambda: _tail(stack.folder / "kafka" / "kafka.log", 10),
    }
    for title, part in parts.items():
        lines.append(f"--- {title}")
        try:
            lines += part()
        except Exception as error:
            lines.append(f"cannot be told: {error!r}"[:500])
    return "\n".join(lines)


def _tables(stack: "Stack") -> Iterator[str]:
    verdict = judge(stack.client(), stack.journals)
    yield f"{verdict.acknowledged} acknowledged, {verdict.stored} stored"
    yield from verdict.faults
    for processor, topic, partition, incarnation, offset in stack.client().query(_FLOORS).result_rows:
        yield f"ledger: {processor} {topic}[{partition}] up to {offset} of {incarnation}"


async def _groups(bootstrap: str) -> list[str]:
    """Give each partition's end and what each group has committed of it, metadata included, then the groups' members."""
    DescribeGroupsRequest_v3.RESPONSE_TYPE = DescribeGroupsResponse_v3  # aiokafka 0.14 names version 2's, and cannot read the answer
    async with asyncio.timeout(20):
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(CALLS, number) for number in range(TOPICS[CALLS].partitions)])
        await consumer.stop()
        lines = [f"{topic}[{partition}] ends at {end}" for (topic, partition), end in ends.items()]
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            groups = [group for group, _ in await admin.list_consumer_groups()]
            for group in groups:
                for (topic, partition), found in (await admin.list_consumer_group_offsets(group)).items():
                    lines.append(f"{group} {topic}[{partition}] committed {found.offset} {found.metadata}")
            for answer in await admin.describe_consumer_groups(groups):
                for _, name, state, _, _, members, *_ in answer.groups:
                    lines.append(f"{name} is {state}, members: {', '.join(str(member[0]) for member in members)}")
        finally:
            await admin.close()
    return lines


def _workers(stack: "Stack") -> Iterator[str]:
    for worker in stack.workers:
        yield from _process(worker, worker.log)
        if worker.running:
            yield from _pages(worker)
            worker.signal(signal.SIGABRT)  # PYTHONFAULTHANDLER: the stack of every thread goes to its log
            time.sleep(0.5)
            yield from _stacks(worker.log)


def _pages(worker: Worker) -> Iterator[str]:
    yield f"{worker.log.stem} /readyz: {worker.page('/readyz')[1]}"
    for line in worker.page("/metrics")[1].splitlines():
        if not line.startswith("#") and any(word in line for word in _TELLING) and not line.endswith(" 0.0"):
            yield f"  {line}"


def _process(child: Child, path: Path) -> Iterator[str]:
    yield f"{path.stem}: {'runs' if child.running else f'ended with {child.process.returncode}'}"
    yield from _tail(path, LOG_LINES)


def _stacks(path: Path) -> Iterator[str]:
    """Where each thread is: the innermost five of its frames."""
    for stack in path.read_text(errors="replace").rpartition("Fatal Python error")[2].split("\n\n"):
        if "most recent call first" in stack:
            yield from stack.splitlines()[:6]


def _tail(path: Path, lines: int) -> Iterator[str]:
    for line in path.read_text(errors="replace").splitlines()[-lines:]:
        yield f"  {line[:400]}"
