"""What a disk that is nearly full means for inserts and merges."""

import asyncio
from pathlib import Path

import pytest

from llmtower_processors.engine import room
from llmtower_processors.engine.errors import EngineError
from llmtower_processors.engine.inbox import Inbox


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bytes that are free, to be set."""
    free = {"bytes": 10 * room.RESERVE}
    monkeypatch.setattr(room, "free_bytes", lambda folder: free["bytes"])
    monkeypatch.setattr(room, "LOOK_S", 0.001)
    return free


def test_an_insert_leaves_the_reserve_untouched(left: dict[str, int], tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    left["bytes"] = room.RESERVE + 3
    with inbox.file(memoryview(b"123")) as path:
        assert path.read_bytes() == b"123"
    with (
        pytest.raises(EngineError, match="256 MiB left and 256 MiB must stay free: free space") as refused,
        inbox.file(memoryview(b"1234")),
    ):
        pass
    assert (refused.value.code, refused.value.status) == (243, 500)
    inbox.close()


class Merges:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def hold_merges(self, held: bool) -> None:
        self.told.append(held)


def test_merges_stop_while_the_disk_is_nearly_full(left: dict[str, int], tmp_path: Path) -> None:
    async def main() -> list[bool]:
        merges = Merges()
        watching = asyncio.create_task(room.watch(tmp_path, merges))
        for free in (10, 1, 0.5, 1.5, 0.5, 2, 1.5):  # of the reserve: between one and two nothing changes
            left["bytes"] = int(free * room.RESERVE)
            await asyncio.sleep(0.05)
        watching.cancel()
        return merges.told

    assert asyncio.run(main()) == [True, False]
