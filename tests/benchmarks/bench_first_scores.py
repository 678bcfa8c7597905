"""How soon scores tell of an incident while a history is scored: `llmtower demo` with its 100,000 calls, its tables asked by the clock."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from llmtower_processors.local.endpoints import Endpoints, find_endpoints, read_credentials
from tests.benchmarks.figures import Figure, at_most, main
from tests.ports import ANY_PORTS

SECONDS = 80
START_S = 120.0
EVERY_S = 0.3
LIMIT_S = 15.0
SIGNS = {
    "toxic answer": "name = 'toxicity' AND value >= 0.5 AND app = 'support-bot'",
    "unsupported answer": "name = 'groundedness' AND value < 0.5 AND app = 'support-bot'",
    "refusal": "name = 'refusal' AND value >= 0.5 AND app = 'search-assistant'",
}
"""What the script's incident does, as scores say it."""


def run(quick: bool) -> list[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "llmtower_processors.cli", "demo", "--data-dir", folder, "--seconds", str(SECONDS), *ANY_PORTS]
        demo = subprocess.Popen(
            [*command, *(["--no-history"] if quick else [])], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            waited = dict(_watch(demo, _client(Path(folder))))
        finally:
            demo.terminate()
            demo.wait(60)
    history = "without a history (--quick)" if quick else "100,000 calls of history sent meanwhile"
    return [_figure(sign, waited.get(sign), history) for sign in SIGNS]


def _figure(sign: str, waited_s: float | None, note: str) -> Figure:
    name = f"first {sign} of the demo's incident → its score queryable"
    return at_most(
        name, SECONDS if waited_s is None else waited_s, "s", LIMIT_S, note if waited_s is not None else f"{note}; not by the demo's end"
    )


def _client(folder: Path) -> Client:
    deadline = time.monotonic() + START_S
    while (endpoints := find_endpoints(folder)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the demo did not start")
        time.sleep(EVERY_S)
    return _connect(folder, endpoints)


def _connect(folder: Path, endpoints: Endpoints) -> Client:
    host, _, port = endpoints.clickhouse.removeprefix("http://").rpartition(":")
    password = read_credentials(folder)["dashboards"]
    return clickhouse_connect.get_client(host=host, port=int(port), username="dashboards", password=password, database="llmtower")


def _watch(demo: "subprocess.Popen[bytes]", client: Client) -> Iterator[tuple[str, float]]:
    """Give each sign once its first score can be read, with the seconds since its call began."""
    began, open_ = time.time(), dict(SIGNS)
    while open_ and demo.poll() is None and time.time() - began < SECONDS + START_S:
        for sign, condition in list(open_.items()):
            sql = f"SELECT count(), toFloat64(min(started_at)) FROM scores_of_calls WHERE {condition} AND started_at > {{began:Float64}}"
            count, first = client.query(sql, parameters={"began": began}).result_rows[0]
            if count:
                del open_[sign]
                yield sign, time.time() - first
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(run)
