"""A process that computes in threads ends when it is told to, whatever they do."""

import asyncio
import subprocess
import sys

from llmtower_processors.runtime.edges import Log
from llmtower_processors.runtime.loop import ProcessorLoop
from llmtower_processors.runtime.memory_store import MemoryStore
from llmtower_processors.worker import _service
from tests.runtime.world import CALLS

_COMPUTING = """
import time
from concurrent.futures import ThreadPoolExecutor
from llmtower_processors.ending import busy_threads, end_without
threads = ThreadPoolExecutor(2, thread_name_prefix="toxicity")
threads.submit({work})
threads.shutdown(wait=False)
end_without(busy_threads(1.0), 3)
print("as usual")
"""


def ended(work: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _COMPUTING.format(work=work)], capture_output=True, text=True, timeout=60, check=False)


def test_a_thread_that_computes_on_is_not_waited_for() -> None:
    """Python itself would wait the hour, and the run's own limit end it."""
    result = ended("time.sleep, 3600")
    assert (result.returncode, result.stdout) == (3, "")


def test_a_process_whose_threads_are_done_ends_as_usual() -> None:
    result = ended("int")
    assert (result.returncode, result.stdout) == (0, "as usual\n")


def test_the_first_loop_that_is_stopped_tells_all() -> None:
    """Faust stops services one after the other; loops that waited for their turn would add up their ranges."""

    async def stopped() -> None:
        loops = [ProcessorLoop(CALLS, log_factory=_never, store_factory=lambda: MemoryStore({})) for _ in range(3)]
        await _service(loops[0], loops)().on_stop()
        await asyncio.gather(*(loop.run() for loop in loops))

    asyncio.run(stopped())


def _never() -> Log:
    raise AssertionError("a loop that is stopped opens no log")
