"""Loopback ports that stay ours between two runs of a child."""

import contextlib
import socket

from llmtower_processors.local.errors import PortTakenError

LOOPBACK = "127.0.0.1"


class PortReservation:
    """A bound socket that never listens: no other program is given the port, yet our child may listen on it.

    Linux lets two SO_REUSEADDR sockets share an address as long as at most one listens; Java and uvicorn set that option.
    """

    def __init__(self, port: int, *, purpose: str, option: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise PortTakenError(_refusal(port, purpose, option, error)) from error
        self.port: int = self._socket.getsockname()[1]

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{LOOPBACK}:{self.port}"

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()


def _refusal(port: int, purpose: str, option: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        reason = "may only be used by root"
    elif isinstance(error, OverflowError):
        reason = "is not a port number (0-65535)"
    else:
        reason = "is in use by another program"
    return f"port {port} for {purpose} {reason}: stop that program or choose another one with {option} (0 = any free port)"


def accepts(port: int) -> bool:
    """Whether something on this machine accepts connections on the loopback port."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False
