"""A plain Faust agent with `take()` and a sink that fails now and then: the design that Llmtower does not use, kept as evidence.

`python -m tests.faults.faust_take BOOTSTRAP TOPIC FILE [FAIL_EVERY]` appends the number of every event that the sink stored to FILE.
"""

import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import faust

BATCH = 50


def build(bootstrap: str, topic: str, path: Path, fail_every: int) -> faust.App:
    """Build the application; the sink refuses every `fail_every`-th batch (0 = none), as a database that is down for a moment does."""
    app = faust.App(f"take-{topic}", broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False, topic_replication_factor=1)
    app.conf.broker_commit_interval = 0.5
    app.conf.datadir = Path(tempfile.mkdtemp(prefix="faust-"))
    app.conf.consumer_auto_offset_reset = "earliest"
    source = app.topic(topic, value_type=bytes, value_serializer="raw")
    batches = 0

    @app.agent(source)
    async def store(stream: Any) -> AsyncIterator[None]:
        nonlocal batches
        async for values in stream.take(BATCH, within=0.2):
            batches += 1
            if fail_every and batches % fail_every == 0:
                raise ConnectionError("the sink is down")
            with path.open("ab") as file:
                file.writelines(value + b"\n" for value in values)
            yield

    return app


if __name__ == "__main__":
    bootstrap, topic, path, *fail_every = sys.argv[1:]
    app = build(bootstrap, topic, Path(path), int(*fail_every or ["0"]))
    faust.Worker(app, loglevel="error", redirect_stdouts=False, quiet=True).execute_from_commandline()
