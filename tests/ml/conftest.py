"""These tests run in an environment of their own, with PyTorch, Detoxify and sentence-transformers (`make test`); no hub is asked."""

import os
import socket
from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]

os.environ |= {"HF_HUB_OFFLINE": "0", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "2"}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails: models load from local folders, whatever the hub's own switch says."""

    def refuse(*_: object) -> None:
        raise AssertionError("a test of the models opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
