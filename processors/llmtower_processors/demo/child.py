"""How the demo's child processes talk to it: JSON lines on standard output, and the end of standard input means "close"."""

import os
import socket
import sys
import threading
from collections.abc import Callable
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


def listen(port: int) -> socket.socket:
    """Give a listening socket on the loopback interface; 0 = any free port. Raises OSError when the port is taken."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((LOOPBACK, port))
    server.listen(512)
    return server
