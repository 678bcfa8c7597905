"""With the automatic collector off, cycles are still freed."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from llmtower_processors.runtime import garbage


class Cycle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_cycles_are_freed_by_the_clock_only() -> None:
    garbage.take_over()
    assert not gc.isenabled()
    freed = weakref.ref(Cycle())

    async def run() -> None:
        task = asyncio.ensure_future(garbage.collect(every_s=0.01))
        async with asyncio.timeout(10):
            while freed() is not None:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        task.cancel()

    assert freed() is not None
    asyncio.run(run())
    assert freed() is None
