"""Where the kernel does not tie a child to its parent, a watcher does: here on any system."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from llmtower_processors.local import bound_exec

WATCHED = """
import os, runpy, sys
names = runpy.run_path(sys.argv[1])
names["watch"](int(sys.argv[2]))
open(sys.argv[3], "w").write(str(os.getpid()))
os.execvp(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(float(" + repr(sys.argv[4]) + "))"])
"""
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", sys.argv[1], sys.argv[2], str(os.getpid()), sys.argv[3], sys.argv[4]])
child.wait()
"""


def _start(note: Path, seconds: float) -> tuple[subprocess.Popen[bytes], int]:
    arguments = (WATCHED, bound_exec.__file__, str(note), str(seconds))
    parent = subprocess.Popen((sys.executable, "-I", "-S", "-c", PARENT, *arguments), start_new_session=True)
    deadline = time.monotonic() + 20
    while not note.exists() or not note.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return parent, int(note.read_text())


def _members(group: int) -> list[str]:
    listed = subprocess.run(("ps", "-A", "-o", "pgid=,stat="), capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [state for number, state in rows if int(number) == group and not state.startswith("Z")]


def _until_nobody_is_left(group: int) -> None:
    deadline = time.monotonic() + 20
    while _members(group):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_command_is_killed_when_its_parent_was(tmp_path: Path) -> None:
    parent, pid = _start(tmp_path / "pid", 600)
    assert len(_members(parent.pid)) == 3
    assert bound_exec._is_alive(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    _until_nobody_is_left(parent.pid)


def test_the_watcher_ends_with_the_command(tmp_path: Path) -> None:
    parent, _ = _start(tmp_path / "pid", 0.2)
    assert parent.wait(20) == 0
    _until_nobody_is_left(parent.pid)
