"""Replace this process by a command that dies with its parent: `bound_exec.py PARENT_PID COMMAND…`.

Standard library only; run with `python -I -S`. On Linux the kernel sends SIGKILL to the command when the thread that
started it ends, also after kill -9 of the parent (prctl(2), PR_SET_PDEATHSIG; it survives execve). Elsewhere (macOS) a small process
beside the command looks twice a second whether the parent is still there, and kills the command when it is not.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
LOOK_S = 0.5


def bind(command: Sequence[str]) -> list[str]:
    """Return the command line that ties `command` to this process; unchanged off the main thread, whose end would end the child."""
    if threading.current_thread() is not threading.main_thread():
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def watch(parent: int) -> None:
    """Fork a process that kills this one (and what it executes later) once `parent` is gone, and ends with it."""
    command = os.getpid()
    if os.fork():
        return
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        while os.getppid() == command:
            if not _is_alive(parent):
                os.kill(command, signal.SIGKILL)
            time.sleep(LOOK_S)
    finally:
        os._exit(0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main(arguments: list[str]) -> None:
    """Bind this process to the parent's life, then execute the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        watch(parent)
    if os.getppid() != parent:
        sys.exit("the parent ended before its child started")
    os.execvp(command[0], command)  # noqa: S606  (the command is the supervisor's own literal)


if __name__ == "__main__":
    main(sys.argv[1:])
