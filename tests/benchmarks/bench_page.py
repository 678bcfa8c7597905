"""The live page over 10 M calls, in a headless Chromium: first paint, a change of view; and what the page costs when idle."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from playwright.sync_api import Browser, Page, sync_playwright

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from tests.benchmarks.bench_dashboard import BLOCK, CALLS, DAY_US, MAKE, QUICK_CALLS, START_US
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.stand import cpu_seconds, memory_mib, wait_until
from tests.benchmarks.storage import KEEP_ALL
from tests.browser.conftest import CHROMIUM, FLAGS, answers

PORT = 18_600
DAY = "from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z"
LOADS, CHANGES = 7, 15
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SETTLED = (
    "() => window.socket?.connected && document.querySelectorAll('.tile [data-value]').length === 5 && !document.querySelector('.wait')"
)
GO = """
href => new Promise(done => {
    const tiles = () => [...document.querySelectorAll('.tile [data-value]')].map(tile => tile.dataset.value);
    const before = tiles(), began = performance.now();
    let figures = 0;
    llmtower.go(href);
    const look = () => {
        if (!figures && tiles().every((value, at) => value !== before[at])) figures = performance.now() - began;
        if (figures && !document.documentElement.classList.contains('loading')) done([figures, performance.now() - began]);
        else requestAnimationFrame(look);
    };
    look();
})
"""


def run(quick: bool) -> list[Figure]:
    """Measure."""
    calls = QUICK_CALLS if quick else CALLS
    of = f"{calls // 1_000_000} M calls, 24 h"
    with _page(calls) as pid, sync_playwright() as playwright:
        idle = _idle(pid, 10 if quick else 30)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        loads = [_load(browser) for _ in range(LOADS)]
        changes = _changes(browser)
        browser.close()
        memory = memory_mib(pid)
    paints, figures = [load[0] for load in loads], [load[1] for load in loads]
    tiles, whole = [change[0] for change in changes], [change[1] for change in changes]
    return [
        at_most(f"live page, first paint ({of}), p50", statistics.median(paints) / 1e3, "s", 1.5, _spread(paints)),
        Figure(f"live page, every panel of a first visit ({of}), p50", statistics.median(figures) / 1e3, "s", note=_spread(figures)),
        at_most(f"live page, another filter: all five figures ({of}), p50", statistics.median(tiles), "ms", 300, _spread(tiles)),
        Figure(f"live page, another filter: every panel ({of}), p50", statistics.median(whole), "ms", note=_spread(whole)),
        Figure("live page without a browser", idle, "% of a core"),
        Figure("live page, memory after these visits", memory, "MiB"),
    ]


@contextmanager
def _page(calls: int) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder, EngineProcess(Path(folder)) as engine:
        login: dict[str, Any] = {"username": Role.WRITER.value, "password": engine.credentials.password(Role.WRITER)}
        with clickhouse_connect.get_client(host=engine.host, port=engine.port, send_receive_timeout=300, **login) as client:
            _fill(client, calls)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LLMTOWER_")},
            "LLMTOWER_CLICKHOUSE__HOST": engine.host,
            "LLMTOWER_CLICKHOUSE__PORT": str(engine.port),
            "LLMTOWER_CLICKHOUSE__USER": Role.DASHBOARDS.value,
            "LLMTOWER_CLICKHOUSE__PASSWORD": engine.credentials.password(Role.DASHBOARDS),
        }
        command = [sys.executable, "-m", "llmtower_processors.cli", "web", "--port", str(PORT)]
        with subprocess.Popen(command, env=environment) as process:
            try:
                wait_until("the page answers", lambda: answers(PORT), 60)
                yield process.pid
            finally:
                process.terminate()


def _fill(client: Client, calls: int) -> None:
    create_database(client, "llmtower")
    client.database = "llmtower"
    migrate(client, KEEP_ALL)
    for first in range(0, calls, BLOCK):
        client.command(MAKE, parameters={"start_us": START_US, "spacing_us": DAY_US / calls, "first": first, "count": BLOCK})
    wait_until("merges end", lambda: client.command("SELECT count() FROM system.merges") == 0, 180, every_s=0.5)


def _idle(pid: int, seconds: float) -> float:
    time.sleep(2)
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds * 100


def _open(browser: Browser, address: str) -> tuple[Page, float]:
    """A fresh profile, nothing cached; gives the milliseconds until every panel has its answer."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_function(SETTLED)
    return page, (time.perf_counter() - began) * 1e3


def _load(browser: Browser) -> tuple[float, float]:
    page, settled = _open(browser, f"http://127.0.0.1:{PORT}/?{DAY}")
    painted = float(page.evaluate(PAINTED))
    page.context.close()
    return painted, settled


def _changes(browser: Browser) -> list[tuple[float, float]]:
    """From one app to another, on a page that is open: until its figures, and until all of it."""
    page, _ = _open(browser, f"http://127.0.0.1:{PORT}/?{DAY}")
    page.evaluate(GO, f"/?{DAY}&app=app-7")
    found = [page.evaluate(GO, f"/?{DAY}&app=app-{number % 7}") for number in range(CHANGES)]
    page.context.close()
    return [(float(figures), float(whole)) for figures, whole in found]


def _spread(values: list[float]) -> str:
    return f"{min(values):.0f} to {max(values):.0f} ms in {len(values)} tries"


if __name__ == "__main__":
    main(run)
