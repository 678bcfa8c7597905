import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from llmtower_processors.local.errors import ChildFailedError
from llmtower_processors.local.supervisor import Backoff, ChildSpec, Supervisor, describe_exit

PYTHON = (sys.executable, "-I", "-S", "-c")
# Notes its pid once its signal handlers stand, and appends its name to the list of the stopped.
OBEDIENT = """
import os, signal, sys, time
folder, name = sys.argv[1:]
def stop(*_):
    open(folder + "/stopped", "a").write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open(folder + "/" + name + ".pid", "w").write(str(os.getpid()))
time.sleep(600)
"""
STUBBORN = OBEDIENT.replace("signal.signal(signal.SIGTERM, stop)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
QUICK = Backoff(first_s=0.05, most_s=0.4)


def written(path: Path) -> Callable[[int], Awaitable[bool]]:
    def names(pid: int) -> bool:
        return path.exists() and path.read_text() == str(pid)

    async def ready(pid: int) -> bool:
        return names(pid)

    return ready


def child(folder: Path, name: str, program: str = OBEDIENT, *, ready_timeout_s: float = 20, stop_timeout_s: float = 20) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=(*PYTHON, program, str(folder), name),
        env=os.environ.copy(),
        log_path=folder / f"{name}.log",
        ready=written(folder / f"{name}.pid"),
        ready_timeout_s=ready_timeout_s,
        stop_timeout_s=stop_timeout_s,
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is waited for happens in another process)
            await asyncio.sleep(0.02)


def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    async def scenario() -> dict[str, int]:
        supervisor = Supervisor(say=lambda _line: None)
        for name in ("first", "second", "third"):
            await supervisor.start(child(tmp_path, name))
        pids = supervisor.pids
        await supervisor.stop()
        assert supervisor.pids == {}
        return pids

    pids = asyncio.run(scenario())
    assert (tmp_path / "stopped").read_text().split() == ["third", "second", "first"]
    assert not any(is_alive(pid) for pid in pids.values())


def test_a_killed_child_is_restarted_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    seen: list[dict[str, int]] = []

    async def scenario() -> tuple[int, int]:
        supervisor = Supervisor(say=said.append, changed=lambda: seen.append(supervisor.pids), backoff=QUICK)
        await supervisor.start(child(tmp_path, "worker"))
        before = supervisor.pids["worker"]
        os.kill(before, signal.SIGKILL)
        await until(lambda: any("ready again" in line for line in said))
        after = supervisor.pids["worker"]
        await supervisor.stop()
        return before, after

    before, after = asyncio.run(scenario())
    assert before != after
    assert said[0] == f"worker was killed by SIGKILL (see {tmp_path / 'worker.log'}); starting it again in 0.1 s"
    assert said[1] == f"worker is ready again (pid {after})"
    assert seen == [{"worker": before}, {}, {"worker": after}, {}]


def test_a_child_that_keeps_dying_is_given_more_and_more_time(tmp_path: Path) -> None:
    said: list[str] = []
    program = OBEDIENT.replace("time.sleep(600)", "time.sleep(0.1); sys.exit(7)")

    async def scenario() -> None:
        supervisor = Supervisor(say=said.append, backoff=QUICK)
        await supervisor.start(child(tmp_path, "worker", program))
        await until(lambda: sum("starting it again" in line for line in said) >= 5)
        await supervisor.stop()

    asyncio.run(scenario())
    deaths = [line for line in said if "starting it again" in line]
    assert all(line.startswith("worker ended with status 7 (it logged nothing; see ") for line in deaths)
    assert [line.partition(" again in ")[2].removesuffix(" s") for line in deaths[:5]] == ["0.1", "0.1", "0.2", "0.4", "0.4"]


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.5), (2, 1.0), (6, 16.0), (7, 30.0), (5000, 30.0)])
def test_backoff_doubles_to_its_bound(failures: int, delay_s: float) -> None:
    assert Backoff().delay_s(failures) == delay_s


def test_a_first_start_that_fails_is_an_error_with_the_end_of_the_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = Supervisor(say=lambda _line: None)
        try:
            await supervisor.start(child(tmp_path, "engine", "import sys; sys.exit('the disk is full')"))
        finally:
            await supervisor.stop()

    with pytest.raises(ChildFailedError, match=r"^engine ended with status 1 while it started \(the disk is full; see .*engine\.log\)$"):
        asyncio.run(scenario())


def test_a_child_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    pids: list[int] = []

    async def scenario() -> None:
        supervisor = Supervisor(say=lambda _line: None, changed=lambda: pids.extend(supervisor.pids.values()))
        await supervisor.start(child(tmp_path, "engine", "import time; time.sleep(600)", ready_timeout_s=0.3))

    with pytest.raises(ChildFailedError, match=r"engine was not ready after 0\.3 s"):
        asyncio.run(scenario())
    assert len(pids) == 1
    assert not is_alive(pids[0])


@pytest.mark.parametrize("frozen", [False, True], ids=["ignores SIGTERM", "frozen"])
def test_a_child_that_does_not_stop_is_killed_after_its_time(tmp_path: Path, frozen: bool) -> None:
    said: list[str] = []

    async def scenario() -> int:
        supervisor = Supervisor(say=said.append)
        await supervisor.start(child(tmp_path, "engine", STUBBORN, stop_timeout_s=0.3))
        pid = supervisor.pids["engine"]
        if frozen:
            os.kill(pid, signal.SIGSTOP)
        await supervisor.stop()
        return pid

    pid = asyncio.run(scenario())
    assert said == ["engine did not stop within 0.3 s: killed"]
    assert not is_alive(pid)


def test_a_frozen_child_still_stops_cleanly(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = Supervisor(say=lambda _line: None)
        await supervisor.start(child(tmp_path, "engine"))
        os.kill(supervisor.pids["engine"], signal.SIGSTOP)
        await supervisor.stop()

    asyncio.run(scenario())
    assert (tmp_path / "stopped").read_text() == "engine\n"


def test_a_child_that_waits_for_its_restart_is_not_started_after_the_stop(tmp_path: Path) -> None:
    said: list[str] = []

    async def scenario() -> None:
        supervisor = Supervisor(say=said.append, backoff=Backoff(first_s=0.3))
        await supervisor.start(child(tmp_path, "worker"))
        os.kill(supervisor.pids["worker"], signal.SIGKILL)
        await until(lambda: bool(said))
        await supervisor.stop()
        await asyncio.sleep(0.5)
        assert supervisor.pids == {}

    asyncio.run(scenario())
    assert len(said) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child's life to its parent's")
def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_supervisor import Supervisor, child\n"
        "async def main():\n"
        "    supervisor = Supervisor(say=print)\n"
        "    for name in ('first', 'second'):\n"
        "        await supervisor.start(child(Path(sys.argv[1]), name))\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "ready\n"
        pids = [int((tmp_path / f"{name}.pid").read_text()) for name in ("first", "second")]
        assert all(is_alive(pid) for pid in pids)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(is_alive(pid) for pid in pids)
    assert not (tmp_path / "stopped").exists()


@pytest.mark.parametrize(("status", "words"), [(0, "ended with status 0"), (3, "ended with status 3"), (-15, "was killed by SIGTERM")])
def test_exits_are_told_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words
