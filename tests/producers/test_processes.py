"""Whole processes: exits, signals, forks, kills, and brokers that are dead or swallow everything (no Kafka needed)."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmtower.spool import Spool

PRELUDE = """
import os, sys, time, signal, threading
import llmtower
address, folder = sys.argv[1:3]
llmtower.configure(app="shop", bootstrap_servers=address, spool_dir=folder)
def emit(count):
    for _ in range(count):
        with llmtower.call(provider="openai", model="m", input="hello") as call:
            call.finish(output="world")
def say(word):
    print(word, flush=True)
def books():
    s = llmtower.stats()
    say(f"{s.emitted} {s.delivered} {s.spooled} {s.dropped} {s.queued}")
"""


@pytest.fixture(params=["dead", "black hole"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """A port where nobody listens, and one where somebody accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "black hole":
            listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


SERVED = """
import asyncio, os, signal, sys, threading
import llmtower, uvicorn
address, folder, besides = sys.argv[1:4]
own = uvicorn.Server.handle_exit
if besides == "a handler over uvicorn's":
    uvicorn.Server.handle_exit = lambda *given: own(*given)
async def app(scope, receive, send):
    for stage in ("startup", "shutdown"):
        await receive()
        if stage == "startup":
            llmtower.configure(app="shop", bootstrap_servers=address, spool_dir=folder)
            for _ in range(20):
                with llmtower.call(provider="openai", model="m"):
                    pass
            if besides == "a thread":
                threading.Thread(target=threading.Event().wait).start()
            if besides == "a worker":
                asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
            os.kill(os.getpid(), signal.SIGTERM)
        await send({"type": f"lifespan.{stage}.complete"})
uvicorn.run(app, port=0, ws="none", log_level="warning")
"""


def script(body: str, address: str, folder: Path, prelude: str = PRELUDE, *more: str) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LLMTOWER", "PYTEST"))}
    command = [sys.executable, "-W", "error", "-c", prelude + body, address, str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(process: "subprocess.Popen[str]", seconds: float = 30) -> str:
    """Give what it printed; that it ends at all is half of each test: nobody answers it, and a wait for an answer takes a minute."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert "Traceback" not in err, err
    return out


def on_disk(folder: Path) -> Counter[str]:
    """Give the events in the spool by producer, read as the next process would."""
    counts: Counter[str] = Counter()
    for place in folder.iterdir():
        spool = Spool(place, run="reader", max_bytes=1 << 30)
        spool.adopt()
        for ref in spool.pending():
            envelope = spool.read(ref)
            assert envelope is not None
            assert envelope.value.count(b"\n") + 1 == envelope.count
            counts[envelope.producer] += envelope.count if envelope.counted else 0
        spool.close()
    return counts


def test_a_short_script_leaves_its_events_on_the_disk(address: str, tmp_path: Path) -> None:
    process = script("emit(50)", address, tmp_path)
    finished(process)

    assert process.returncode == 0
    assert list(on_disk(tmp_path).values()) == [100]


def test_close_comes_back_and_the_books_balance(address: str, tmp_path: Path) -> None:
    body = "emit(500); time.sleep(1.5); emit(5); llmtower.close(); books()"

    assert finished(script(body, address, tmp_path)).splitlines() == ["1010 0 1010 0 0"]
    assert on_disk(tmp_path).total() == 1_010


def test_the_caller_touches_neither_disk_nor_network(address: str, tmp_path: Path) -> None:
    """How long a call takes is measured by `bench_sdk`; what could hold it up is seen by an audit hook on the caller's thread."""
    body = """
emit(1)
caller, seen = threading.get_ident(), set()
def hook(event, arguments):
    if threading.get_ident() == caller and event.startswith(("open", "os.", "socket.", "subprocess.", "fcntl.", "import")):
        seen.add(event)
sys.addaudithook(hook)
for _ in range(600):
    emit(1)
    time.sleep(0.003)
say(sorted(seen))
open(os.devnull).close()
say(sorted(seen))
os._exit(0)
"""
    assert finished(script(body, address, tmp_path)).splitlines() == ["[]", "['open']"]


def test_sigterm_delivers_and_then_kills(address: str, tmp_path: Path) -> None:
    process = script("emit(20); say('ready'); time.sleep(30)", address, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    finished(process)

    assert process.returncode == -signal.SIGTERM
    assert on_disk(tmp_path).total() == 40


@pytest.mark.parametrize("besides", ["nothing", "a thread", "a worker", "a handler over uvicorn's"])
def test_uvicorn_ends_and_nothing_is_lost(tmp_path: Path, besides: str) -> None:
    """Configured while uvicorn runs (lifespan, LiteLLM's proxy), which dies of the signal at last, whatever thread never ends.

    sse_starlette, which LiteLLM's proxy loads, puts a handler of its own over uvicorn's.
    """
    process = script("", "127.0.0.1:9", tmp_path, SERVED, besides)
    finished(process)

    assert process.returncode == -signal.SIGTERM
    assert on_disk(tmp_path).total() == 40


UNDER_UVICORN = """
import asyncio, os, signal, sys
import llmtower, uvicorn
signal.signal(signal.SIGTERM, lambda *_: (llmtower.record({"type": "deploy", "version": "2"}), sys.exit(7)))
async def app(scope, receive, send):
    for stage in ("startup", "shutdown"):
        await receive()
        if stage == "startup":
            llmtower.configure(app="shop", bootstrap_servers=sys.argv[1], spool_dir=sys.argv[2])
            os.kill(os.getpid(), signal.SIGTERM)
        await send({"type": f"lifespan.{stage}.complete"})
uvicorn.run(app, port=0, ws="none", log_level="warning")
"""


def test_a_handler_from_before_uvicorn_may_still_record(tmp_path: Path) -> None:
    process = script("", "127.0.0.1:9", tmp_path, UNDER_UVICORN)
    finished(process)

    assert process.returncode == 7
    assert on_disk(tmp_path).total() == 1


def test_an_applications_own_handler_is_left_alone(tmp_path: Path) -> None:
    body = """
signal.signal(signal.SIGTERM, lambda *_: (say("mine"), sys.exit(7)))
llmtower.configure(app="again", bootstrap_servers=address, spool_dir=folder)
emit(3); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)
"""
    process = script(body, "127.0.0.1:9", tmp_path)

    assert finished(process) == "mine\n"
    assert process.returncode == 7
    assert on_disk(tmp_path).total() == 6


def test_configured_outside_the_main_thread_no_handler_is_installed(tmp_path: Path) -> None:
    body = """
llmtower.close(); signal.signal(signal.SIGTERM, signal.SIG_DFL)
def work(): llmtower.configure(app="other", bootstrap_servers=address, spool_dir=folder); emit(2)
thread = threading.Thread(target=work); thread.start(); thread.join()
say(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
    assert finished(script(body, "127.0.0.1:9", tmp_path)) == "True\n"


def test_what_is_on_the_disk_survives_kill_9(tmp_path: Path) -> None:
    body = """
emit(300)
while llmtower.stats().spooled < 600: time.sleep(0.01)
books(); time.sleep(30)
"""
    process = script(body, "127.0.0.1:9", tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "600 0 600 0 0\n"
    assert on_disk(tmp_path).total() == 0, "a live process owns its segments"
    process.kill()
    finished(process)

    assert on_disk(tmp_path).total() == 600


def test_a_forked_child_has_a_run_of_its_own(tmp_path: Path) -> None:
    body = """
emit(10)
first = llmtower.stats().producer
child = os.fork()
if child == 0:
    emit(5)
    assert llmtower.stats().producer != first
    assert llmtower.stats().emitted == 10
    sys.exit(0)
_, status = os.waitpid(child, 0)
say(status)
emit(1)
say(llmtower.stats().producer == first)
"""
    process = script(body, "127.0.0.1:9", tmp_path)

    assert finished(process) == "0\nTrue\n"
    assert sorted(on_disk(tmp_path).values()) == [10, 22]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_a_pool_deliver_too(tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        PRELUDE
        + f"""
import multiprocessing
def work(number): emit(4)
if __name__ == "__main__":
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        pool.map(work, range(9), chunksize=1)
        pool.close(); pool.join()
"""
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LLMTOWER", "PYTEST"))}
    command = [sys.executable, str(program), "127.0.0.1:9", str(tmp_path / "spool")]
    subprocess.run(command, check=True, timeout=60, env=environment)

    assert on_disk(tmp_path / "spool").total() == 72


def test_memory_is_bounded_while_the_broker_is_away(address: str, tmp_path: Path) -> None:
    body = """
os.environ["LLMTOWER_SDK__QUEUE_BYTES"] = str(1 << 20); os.environ["LLMTOWER_SDK__SPOOL_BYTES"] = str(1 << 20)
llmtower.configure(app="small", bootstrap_servers=address, spool_dir=folder)
def rss():
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * 4096
def load(count):
    for number in range(count):
        with llmtower.call(model="m", input=f"{number:04}" * 4000) as call: call.finish(output="x" * 4000)
        if number % 20 == 0: time.sleep(0.002)
load(1000); before = rss(); load(4000); say(rss() - before)
s = llmtower.stats(); say(s.emitted == s.delivered + s.spooled + s.dropped + s.queued); say(s.dropped > 1000)
"""
    grown, balanced, dropped = finished(script(body, address, tmp_path), 60).splitlines()

    assert int(grown) < 24 << 20
    assert (balanced, dropped) == ("True", "True")


def test_importing_is_light() -> None:
    code = """
import sys
import llmtower, llmtower.openai
heavy = {"aiokafka", "pydantic", "pydantic_settings", "openai", "llmtower_schemas.events", "asyncio", "pytest", "numpy"}
print(sorted(heavy & set(sys.modules)))
llmtower.configure()
with llmtower.call(model="m") as call: call.finish(output="x")
print("aiokafka" in sys.modules, call.id != "")
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LLMTOWER", "PYTEST"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout == "[]\nFalse True\n"
    assert done.stderr.count("LLMTOWER_KAFKA__BOOTSTRAP_SERVERS") == 1


def test_switched_off_nothing_is_loaded_or_said() -> None:
    code = """
import sys, threading
import llmtower
llmtower.configure(app="a", bootstrap_servers="127.0.0.1:9")
with llmtower.context(user_id="u"), llmtower.step("s", kind="tool"), llmtower.call(model="m") as call: call.finish(output="x")
llmtower.record({"type": "deploy", "version": "1"})
print("pydantic" in sys.modules, threading.active_count(), llmtower.flush(1).complete, llmtower.stats().emitted)
llmtower.close()
"""
    environment = {**os.environ, "LLMTOWER_ENABLED": "false"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert (done.stdout, done.stderr) == ("False 1 True 0\n", "")
