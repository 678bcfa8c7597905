"""Large bodies are converted in another process: the same comes of them, and its death, or ours, is survived."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from llmtower_processors.cli.policy import content_writer
from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.gateway.app import LARGE
from llmtower_processors.gateway.intake import Kind, Taken, take, take_spans
from llmtower_processors.gateway.labour import Labour, processes_of
from llmtower_processors.gateway.packing import Partitions, pack
from llmtower_processors.otel.model import UnreadableError
from llmtower_processors.otel.nesting import Earlier
from llmtower_schemas.settings import Settings
from llmtower_schemas.topics import CALLS, SIGNALS
from tests.gateway.test_app import JSON, PROTOBUF, Desk
from tests.otel.exports import NOW_NS, TRACE, as_json, span, traces
from tests.otel.test_dialects import SEMCONV_37

MAKE_WRITE = partial(content_writer, Settings())
GIVEN: dict[str, Any] = {"is_json": False, "project": "shop", "now_ns": NOW_NS, "partitions": {}}
BODY = traces([span(SEMCONV_37, span_id=f"{number:016x}") for number in range(60)]).SerializeToString()


def test_the_same_comes_of_a_body_there_and_here_and_a_killed_process_is_replaced() -> None:
    labour = Labour(MAKE_WRITE, 1)

    async def work() -> None:
        here = take_spans(BODY, is_json=False, project="shop", now_ns=NOW_NS, write=MAKE_WRITE())
        there = await labour.take("spans", BODY, **GIVEN)
        assert there == here
        assert there.rejected == {"invalid trace or span id": 1}
        around = Earlier(around=frozenset({(TRACE, f"{1:016x}")}))
        assert "step" in {line.kind for line in (await labour.take("spans", BODY, **GIVEN, earlier=around)).lines}
        with pytest.raises(UnreadableError):
            await labour.take("spans", b"no request", **GIVEN | {"is_json": True})
        for child in psutil.Process().children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
        with pytest.raises(Refusal) as refused:
            await labour.take("spans", BODY, **GIVEN)
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
        again = await labour.take("spans", BODY, **GIVEN)
        assert again == here
        packed = await labour.take("spans", BODY, **GIVEN | {"partitions": {CALLS: 3}})
        assert (packed.accepted, packed.lines, packed.rejected) == (here.accepted, [], here.rejected)
        assert {batch[:3] for batch in packed.packed} == {batch[:3] for batch in pack(here.lines, {CALLS: 3})}

    try:
        asyncio.run(work())
    finally:
        labour.close()


ORPHAN = """
import asyncio, os, signal
from functools import partial
from typing import Any
from uuid import UUID
import psutil
from llmtower_processors.cli.policy import content_writer
from llmtower_processors.gateway.labour import Labour
from llmtower_schemas.settings import Settings
async def work():
    await Labour(partial(content_writer, Settings()), 1).take("spans", b"", is_json=False, project="p", now_ns=1, partitions={})
    print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    asyncio.run(work())
"""


def test_processes_that_convert_end_with_a_gateway_that_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    deadline = time.monotonic() + 20
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


class Counting:
    """Counts the bodies that are given away."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.closed = False

    async def take(self, kind: Kind, body: bytes, *, partitions: Partitions, **given: Any) -> Taken:
        self.sizes.append(len(body))
        taken = take(kind, body, write=MAKE_WRITE(), **given)
        return replace(taken, lines=[], packed=pack(taken.lines, partitions)) if partitions else taken

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("form", ["protobuf", "JSON"])
def test_only_large_bodies_travel(form: str) -> None:
    elsewhere = Counting()
    desk = Desk(elsewhere=elsewhere, body_bytes=1 << 20)
    for count in (1, 200):
        request = traces([span(SEMCONV_37, span_id=f"{number + 1:016x}") for number in range(count)])
        body, headers = (request.SerializeToString(), PROTOBUF) if form == "protobuf" else (as_json(request), JSON)
        assert desk.post("/v1/traces", body, headers).status_code == 200
    assert len(desk.sink.lines) == 201
    assert [size >= LARGE for size in elsewhere.sizes] == [True]


def test_what_comes_back_packed_is_stored_answered_and_counted() -> None:
    desk = Desk(elsewhere=Counting(), body_bytes=1 << 20)
    desk.sink.partitions = {CALLS: 3, SIGNALS: 1}
    spans = [span(SEMCONV_37, span_id=f"{number:016x}") for number in range(200)]  # the first has no id
    desk.sink.fails = 1
    for status in (503, 200):
        assert desk.post("/v1/traces", traces(spans).SerializeToString(), PROTOBUF).status_code == status
    assert sum(batch.records for batch in desk.sink.batches) == 199
    assert desk.sink.lines == []
    events = b"\n".join([orjson.dumps(EVENT | {"call_id": str(UUID(int=number))}) for number in range(400)])
    assert desk.post("/v1/events", events, {"content-type": "application/x-ndjson"}).json() == {"accepted": 400, "rejected": {}}
    counted = {(sample.labels["path"], sample.labels["outcome"]): sample.value for sample in _samples(desk)}
    assert counted == {("/v1/traces", "accepted"): 199, ("/v1/traces", "rejected"): 1, ("/v1/events", "accepted"): 400}


EVENT = {"type": "request", "started_at_ns": NOW_NS, "app": "a", "request_model": "gpt-4o", "provider": "openai", "tags": {"t": "x" * 100}}


def _samples(desk: Desk) -> list[Any]:
    (family,) = [one for one in desk.gateway.registry.collect() if one.name == "llmtower_gateway_records"]
    return [sample for sample in family.samples if sample.name.endswith("_total")]


def test_as_many_convert_as_there_are_cores_but_four_at_most() -> None:
    assert [processes_of(cores) for cores in (1, 2, 4, 64)] == [1, 2, 4, 4]
