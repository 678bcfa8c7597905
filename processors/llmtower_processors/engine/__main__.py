"""Serve one chdb data directory behind ClickHouse's HTTP interface: `python -m llmtower_processors.engine --data-dir DIR --port N`."""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llmtower_processors.engine import credentials, repair, room
from llmtower_processors.engine.connections import Engine
from llmtower_processors.engine.face import Face
from llmtower_processors.engine.inbox import Inbox
from llmtower_processors.engine.process import ENDPOINT_FILE
from llmtower_processors.engine.server import Server, is_loopback_name
from llmtower_schemas.tables import TABLES

log = logging.getLogger("llmtower.engine")

DATABASE = "llmtower"


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; gives the exit status."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    data_dir: Path = options.data_dir
    if not is_loopback_name(options.host) and not options.allow_remote:
        log.error("--host %s is reachable from other machines: use 127.0.0.1, or add --allow-remote if that is wanted.", options.host)
        return 2
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["TZ"] = "UTC"  # Read when the engine is loaded: days and hours are the same on every machine, as on a server.
    _raise_file_limit()
    try:
        with _alone(data_dir):
            return asyncio.run(_serve(data_dir, options))
    except (OSError, ValueError) as error:
        log.error("The engine cannot start: %s", error)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m llmtower_processors.engine", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds the data, credentials.json and, while it runs, engine.json")
    parser.add_argument("--port", type=int, required=True, help="0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--database", default=DATABASE, help="the database whose tables the content and dashboards readers may read")
    parser.add_argument("--allow-remote", action="store_true", help="listen beyond this machine; every request then needs a password")
    return parser


def _raise_file_limit() -> None:
    """Parts and the engine's threads hold files open: take as many as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock: a second engine on the same files would destroy them."""
    with (data_dir / "engine.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another engine runs on {data_dir}; stop it or choose another --data-dir.") from None
        yield


async def _serve(data_dir: Path, options: argparse.Namespace) -> int:
    endpoint = data_dir / ENDPOINT_FILE
    endpoint.unlink(missing_ok=True)
    people = credentials.load_or_create(data_dir)
    data = data_dir / "clickhouse"
    for done in repair.repair(data):
        log.warning("Repaired a deduplication log: %d blocks without a part, %d torn lines.", len(done.blocks), done.torn_lines)
    inbox = Inbox(data_dir)
    engine = Engine(data)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    restricted = frozenset(name for name, table in TABLES.items() if table.restricted)
    watching = asyncio.create_task(room.watch(data_dir, engine))
    server = Server(Face(engine, people, inbox, database=options.database, restricted=restricted), allow_remote=options.allow_remote)
    try:
        port = await server.start(options.host, options.port)
        _publish(endpoint, port)
        log.info("ClickHouse engine %s ready on http://%s:%d", engine.version, options.host, port)
        await stopped.wait()
    finally:
        endpoint.unlink(missing_ok=True)
        watching.cancel()
        engine.cancel_reads()
        await server.stop()
        engine.close()
        inbox.close()
    log.info("Stopped.")
    return 0


def _publish(endpoint: Path, port: int) -> None:
    fresh = endpoint.with_name(f".{endpoint.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"port": port, "pid": os.getpid()}))
    fresh.replace(endpoint)


if __name__ == "__main__":
    sys.exit(main())
