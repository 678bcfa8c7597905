"""A stand-in provider in a thread, for the tests of the demo."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from llmtower_processors.demo.child import listen
from llmtower_processors.demo.standin import application


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Serve a stand-in; gives its address."""
    server_socket = listen(0)
    server = uvicorn.Server(uvicorn.Config(application(seed=3), log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([server_socket],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server_socket.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    server_socket.close()
