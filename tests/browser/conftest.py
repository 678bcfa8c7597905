"""The live page on seeded figures, and a real headless Chromium in front of it: one page process and one browser for all tests."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.local.ports import PortReservation
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.topics import create_topics
from llmtower_schemas.settings import KafkaSettings, RetentionSettings
from tests.browser.seed import seed

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
CONTENT_KEY = "only-for-texts"
WIDE, PHONE = (1440, 900), (390, 844)
WAIT_MS = 20_000


@dataclass(frozen=True)
class Served:
    """The page, the figures behind it, and Kafka where silences go."""

    url: str
    port: int
    client: Client
    kafka: str
    start: datetime
    end: datetime

    def address(self, path: str, **more: str) -> str:
        """The address of a page over the seeded hour."""
        span = {"from": self.start.strftime("%Y-%m-%dT%H:%M:%SZ"), "to": self.end.strftime("%Y-%m-%dT%H:%M:%SZ"), **more}
        return f"{self.url}{path}?{'&'.join(f'{name}={value}' for name, value in span.items())}"


@pytest.fixture(scope="session")
def served(engine: EngineProcess, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the page over a database of its own."""
    database = f"t{uuid.uuid4().hex[:12]}"
    login: dict[str, Any] = {
        "host": engine.host,
        "port": engine.port,
        "username": "writer",
        "password": engine.credentials.password(Role.WRITER),
    }
    with clickhouse_connect.get_client(**login) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**login, database=database) as client:
            migrate(client, RetentionSettings())
            end = datetime.now(UTC).replace(second=0, microsecond=0)
            seed(client, end)
            asyncio.run(create_topics(KafkaSettings(bootstrap_servers=kafka), RetentionSettings()))
            environment = environment_of(engine, database, kafka)
            with page_of(environment, tmp_path_factory.mktemp("page") / "page.log") as port:
                yield Served(f"http://127.0.0.1:{port}", port, client, kafka, end - timedelta(hours=1), end)


def environment_of(engine: EngineProcess, database: str, kafka: str) -> dict[str, str]:
    """The settings of a page over a database."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOWER_")}
    return clean | {
        "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "LLMTOWER_CLICKHOUSE__HOST": engine.host,
        "LLMTOWER_CLICKHOUSE__PORT": str(engine.port),
        "LLMTOWER_CLICKHOUSE__DATABASE": database,
        "LLMTOWER_CLICKHOUSE__USER": "writer",
        "LLMTOWER_CLICKHOUSE__PASSWORD": engine.credentials.password(Role.WRITER),
        "LLMTOWER_WEB__CONTENT_USER": "writer",
        "LLMTOWER_WEB__CONTENT_PASSWORD": engine.credentials.password(Role.WRITER),
        "LLMTOWER_WEB__CONTENT_KEY": CONTENT_KEY,
    }


@contextmanager
def page_of(environment: dict[str, str], log: Path) -> Iterator[int]:
    """Serve a page; gives its port."""
    reserved = PortReservation(0, purpose="the live page", option="--port")
    command = [sys.executable, "-m", "llmtower_processors.cli", "web", "--port", str(reserved.port)]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers(reserved.port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"the page did not answer: {log.read_text()}"
                time.sleep(0.1)
            yield reserved.port
        finally:
            process.terminate()
            process.wait(20)
            reserved.release()


def answers(port: int) -> bool:
    """Say whether a page listens there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; no longer than its module: as long as Playwright runs, no other test of this process may start a loop."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: the live page is not tested in a browser here (`make browser` installs one)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Open an address in a fresh profile and wait until every panel has its answer; what goes wrong in the browser fails the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def opened(address: str, size: tuple[int, int] = WIDE, **options: Any) -> Page:
        width, height = size
        context = chromium.new_context(viewport={"width": width, "height": height}, timezone_id="Europe/Helsinki", **options)
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(("http://127.0.0.1:", "data:")) else problems.append(request.url))
        page.goto(address)
        settled(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def settled(page: Page) -> None:
    """Wait until no panel waits any more and the connection is open."""
    page.wait_for_function(
        "() => window.socket?.connected && document.querySelectorAll('.card').length > 0 && !document.querySelector('.wait')"
        " && !document.documentElement.classList.contains('loading')"
    )
