"""Memory, given back by the clock. A collector that counts allocations would walk each range's fresh lists: a fifth of the CPU time.

Ranges themselves are freed by reference counts; what is left for the collector is what exceptions and clients leave behind.
"""

import asyncio
import ctypes
import gc
from typing import Final

EVERY_S: Final = 20.0
_M_ARENA_MAX: Final = -8


def take_over() -> None:
    """Leave what is alive now alone for good, and collect only in `collect` from here on; call it once all modules are loaded."""
    gc.collect()
    gc.freeze()
    gc.disable()
    _glibc("mallopt", _M_ARENA_MAX, 2)


async def collect(every_s: float = EVERY_S) -> None:
    """Collect for ever."""
    while True:
        await asyncio.sleep(every_s)
        gc.collect()
        await asyncio.to_thread(_glibc, "malloc_trim", 0)


def _glibc(name: str, *arguments: int) -> None:
    """Call a function of glibc, which else keeps a busy minute's blocks in an arena of each thread; other C libraries lack it."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
