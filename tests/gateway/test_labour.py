"""Large bodies are converted in another process: the same comes of them, and its death, or ours, is survived."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from llmtower_processors.cli.policy import content_writer
from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.gateway.app import LARGE
from llmtower_processors.gateway.intake import take_spans
from llmtower_processors.gateway.labour import Labour, processes_of
from llmtower_processors.otel.model import UnreadableError
from llmtower_processors.otel.nesting import NOTHING, Earlier
from llmtower_schemas.settings import Settings
from tests.gateway.test_app import JSON, PROTOBUF, Desk
from tests.otel.exports import NOW_NS, TRACE, as_json, span, traces
from tests.otel.test_dialects import SEMCONV_37

MAKE_WRITE = partial(content_writer, Settings())
GIVEN: dict[str, Any] = {"is_json": False, "project": "shop", "now_ns": NOW_NS}
BODY = traces([span(SEMCONV_37, span_id=f"{number:016x}") for number in range(60)]).SerializeToString()


def test_the_same_comes_of_a_body_there_and_here_and_a_killed_process_is_replaced() -> None:
    labour = Labour(MAKE_WRITE, 1)

    async def work() -> None:
        here = take_spans(BODY, is_json=False, project="shop", now_ns=NOW_NS, write=MAKE_WRITE())
        there = await labour.take("spans", BODY, is_json=False, project="shop", now_ns=NOW_NS)
        assert there == here
        assert there.rejected == {"invalid trace or span id": 1}
        around = Earlier(around=frozenset({(TRACE, f"{1:016x}")}))
        assert "step" in {line.kind for line in (await labour.take("spans", BODY, **GIVEN, earlier=around)).lines}
        with pytest.raises(UnreadableError):
            await labour.take("spans", b"no request", is_json=True, project="shop", now_ns=NOW_NS)
        for child in psutil.Process().children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
        with pytest.raises(Refusal) as refused:
            await labour.take("spans", BODY, is_json=False, project="shop", now_ns=NOW_NS)
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
        again = await labour.take("spans", BODY, is_json=False, project="shop", now_ns=NOW_NS)
        assert again == here

    try:
        asyncio.run(work())
    finally:
        labour.close()


ORPHAN = """
import asyncio, os, signal
from functools import partial
from typing import Any
import psutil
from llmtower_processors.cli.policy import content_writer
from llmtower_processors.gateway.labour import Labour
from llmtower_schemas.settings import Settings
async def work():
    await Labour(partial(content_writer, Settings()), 1).take("spans", b"", is_json=False, project="p", now_ns=1)
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

    async def take(self, kind: str, body: bytes, *, is_json: bool, project: str, now_ns: int, earlier: Earlier = NOTHING) -> object:
        self.sizes.append(len(body))
        return take_spans(body, is_json=is_json, project=project, now_ns=now_ns, write=MAKE_WRITE(), earlier=earlier)

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


def test_a_core_is_left_for_the_rest() -> None:
    assert [processes_of(cores) for cores in (1, 2, 4, 64)] == [1, 2, 4, 4]
