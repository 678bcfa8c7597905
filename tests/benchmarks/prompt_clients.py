"""A process with many clients of the prompt library: each follows the registry for itself; prints when each saw the promoted version.

`python -m tests.benchmarks.prompt_clients SERVERS COUNT NAME VERSION`: a line `ready`, then, once all have seen it, their times as JSON.
"""

import asyncio
import sys
import time

import orjson

from llmtower_schemas.prompt_book import PromptBook
from llmtower_schemas.registry_log import KafkaRegistryLog
from llmtower_schemas.settings import KafkaSettings


async def client(servers: str, wanted: tuple[str, int], ready: asyncio.Semaphore) -> int:
    """Catch up, say so, and follow until the label points to the version: the same fold and the same log as the SDK's thread."""
    log, book = KafkaRegistryLog(KafkaSettings(bootstrap_servers=servers)), PromptBook()
    async with ready:
        book.learn(await log.read())
    say(b"ready")
    while book.pointed(wanted[0], "production") != wanted[1]:
        book.learn(await log.read(5.0))
    seen = time.time_ns()
    await log.close()
    return seen


def say(line: bytes) -> None:
    """Tell the parent at once."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()


async def main(servers: str, count: int, name: str, version: int) -> None:
    """Run the clients; a few catch up at a time, as a fleet does that is rolled out."""
    ready = asyncio.Semaphore(3)
    say(orjson.dumps(await asyncio.gather(*(client(servers, (name, version), ready) for _ in range(count)))))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
