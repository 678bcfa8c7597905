"""For tests of applications: calls are captured in memory, nothing leaves the process.

    def test_summary(captured_calls):
        summarise("…")
        assert captured_calls[0]["request_model"] == "gpt-4o"

The fixture comes with the package (a pytest plugin); without pytest use `capture()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import llmtower

if TYPE_CHECKING:
    from llmtower.transport import MemoryTransport

__all__ = ["CapturedCalls", "MemoryTransport", "capture", "captured_calls"]


class CapturedCalls:
    """What was recorded so far, as plain dictionaries in the form of the event contract; reads like a list of `response` events."""

    def __init__(self, transport: "MemoryTransport") -> None:
        self.transport = transport

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Give all events, or those of one type, in the order of their numbers."""
        import orjson

        llmtower.flush()
        records = sorted(self.transport.records, key=lambda envelope: (envelope.topic, envelope.seq))
        every = [orjson.loads(line) for envelope in records for line in envelope.value.split(b"\n")]
        return [event for event in every if event["type"] != "heartbeat" and kind in (None, event["type"])]

    def clear(self) -> None:
        """Forget what was recorded so far."""
        llmtower.flush()
        self.transport.records.clear()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.events("response"))

    def __len__(self) -> int:
        return len(self.events("response"))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.events("response")[index]


@contextmanager
def capture(**configuration: Any) -> Iterator[CapturedCalls]:
    """Record into memory while the block runs; takes what `llmtower.configure` takes."""
    from llmtower.transport import MemoryTransport

    transport = MemoryTransport()
    llmtower.configure(**{"app": "test", "transport": transport, **configuration})
    try:
        yield CapturedCalls(transport)
    finally:
        llmtower.close()


@pytest.fixture
def captured_calls() -> Iterator[CapturedCalls]:
    """Capture everything that `llmtower` records during a test."""
    with capture() as captured:
        yield captured


def __getattr__(name: str) -> Any:
    if name == "MemoryTransport":
        from llmtower.transport import MemoryTransport

        return MemoryTransport
    raise AttributeError(f"module 'llmtower.testing' has no attribute {name!r}")
