"""How the demo's child processes talk to it: JSON lines on standard output, and the end of standard input means "close"."""

import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import orjson

LOOPBACK = "127.0.0.1"


def announce(value: dict[str, Any]) -> None:
    """Write one JSON line at once; short enough to be one write, so lines of several processes never mix."""
    os.write(sys.stdout.fileno(), orjson.dumps(value) + b"\n")


def on_end_of_input(stop: Callable[[], None]) -> None:
    """Call `stop` in a thread when standard input closes: the parent asks for the end, or is gone."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop()

    threading.Thread(target=wait, name="end-of-input", daemon=True).start()


def fork_each(names: Sequence[str], work: Callable[[str], None]) -> int:
    """Run `work` for each name in a process of its own, forked from this one; gives 1 when one of them failed, else 0."""
    children = [_fork(name, work) for name in names]
    return int(any(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))


def _fork(name: str, work: Callable[[str], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work(name)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def read_setup() -> dict[str, Any]:
    """Read the one JSON line that says what to do; empty when standard input closes first. Never reads beyond the line."""
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) not in {b"", b"\n"}:
        line += byte
    return dict(orjson.loads(line)) if line else {}


def listen(port: int) -> socket.socket:
    """Give a listening socket on the loopback interface; 0 = any free port. Raises OSError when the port is taken."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((LOOPBACK, port))
    server.listen(512)
    return server
