"""The thumbs snippet in a real browser: on the demo app's own page, to the gateway's real pages, from another origin with a key."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import uvicorn
from playwright.sync_api import Browser, Page
from prometheus_client import CollectorRegistry

from llmtower.testing import capture
from llmtower_processors.cli.policy import content_writer
from llmtower_processors.demo.app import Desk, Thumbs, create_app
from llmtower_processors.demo.child import listen
from llmtower_processors.demo.scenario import APPS
from llmtower_processors.demo.standin import application
from llmtower_processors.gateway.app import Gateway, Parts, build_app
from llmtower_processors.gateway.keyring import Keyring
from llmtower_processors.gateway.sink import MemorySink
from llmtower_schemas.keys import Scope, make_key
from llmtower_schemas.settings import GatewaySettings, Settings
from tests.gateway.test_app import MemoryFeed

pytestmark = pytest.mark.timeout(120)
WAIT_MS = 20_000
APP = "support-bot"


@contextlib.contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve an application in a thread; gives its address."""
    server_socket = listen(0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([server_socket],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server_socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        server_socket.close()


@dataclass
class Web:
    """The demo app's page, and the gateway it sends to."""

    page: str
    sink: MemorySink = field(default_factory=MemorySink)

    def said(self) -> list[dict[str, Any]]:
        return [orjson.loads(line.raw) for line in self.sink.lines]

    def heard(self, number: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 20
        while len(self.sink.lines) < number:
            assert time.monotonic() < deadline, f"{len(self.sink.lines)} of {number} came"
            time.sleep(0.02)
        return self.said()


@contextlib.contextmanager
def web(*, scope: Scope = "feedback", origins: str = "") -> Iterator[Web]:
    """Serve stand-in, gateway and app, each an origin of its own; the page's origin is allowed unless others are named."""
    text, key = make_key("shop", (scope,), name="", at_us=1)
    feed, sink = MemoryFeed(), MemorySink()
    feed.publish(key)
    app_socket = listen(0)
    origin = f"http://127.0.0.1:{app_socket.getsockname()[1]}"
    settings = GatewaySettings(cors_origins=origins or origin)
    gateway = Gateway(Parts(settings, sink, Keyring(None), feed, content_writer(Settings())), CollectorRegistry())
    with contextlib.ExitStack() as stack:
        stack.enter_context(capture(app=APP))
        provider, address = (stack.enter_context(serve(app)) for app in (application(seed=3), build_app(gateway)))
        app_socket.close()
        desk = Desk(APPS[APP], base_url=provider, seed=1)
        page = stack.enter_context(serve_at(create_app(desk, Thumbs(address, text)), origin))
        while not gateway.keys_known:
            time.sleep(0.01)
        yield Web(page, sink)


@contextlib.contextmanager
def serve_at(app: Any, origin: str) -> Iterator[str]:
    """Serve at an address that was asked for before."""
    server = uvicorn.Server(uvicorn.Config(app, port=int(origin.rpartition(":")[2]), log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield origin
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def ask(chromium: Browser) -> Iterator[Any]:
    """Ask on the app's page in a fresh profile; gives the page once the answer has its thumbs. Errors in the page fail the test."""
    problems: list[str] = []
    context = chromium.new_context()
    context.set_default_timeout(WAIT_MS)

    def asked(address: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.get_by_label("Question").fill("Where is my desk lamp?")
        page.get_by_role("button", name="Ask").click()
        page.get_by_role("button", name="Good answer").wait_for()
        return page

    yield asked
    context.close()
    assert problems == []


def test_a_thumb_and_a_comment_reach_the_gateway_and_the_last_word_is_its_own_event(ask: Any) -> None:
    with web() as place:
        page: Page = ask(place.page)
        page.get_by_role("button", name="Good answer").click()
        page.get_by_text("Thank you").wait_for()
        page.get_by_role("button", name="Bad answer").click()
        page.get_by_label("What was wrong?").fill("the lamp is gone")
        page.get_by_label("What was wrong?").press("Enter")
        place.heard(3)
        page.get_by_role("button", name="Good answer").click()
        said = place.heard(4)
        assert [(one["score"], one["comment"]) for one in said] == [(1, ""), (-1, ""), (-1, "the lamp is gone"), (1, "")]
        answer = page.locator("[data-llmtower]").get_attribute("data-id")
        assert {(one["target_kind"], one["target_id"], one["project"], one["app"]) for one in said} == {
            ("response_id", answer, "shop", APP)
        }
        assert len({one["feedback_id"] for one in said}) == 4, "what is said again after something else is a word of its own"
        assert len({one["user_id"] for one in said}) == 1, "one person, so that the last word counts"
        assert said[0]["user_id"].startswith("web-")
        assert page.get_by_role("button", name="Good answer").get_attribute("aria-pressed") == "true"
        assert page.get_by_role("button", name="Bad answer").get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("given", [{"scope": "emit"}, {"origins": "https://elsewhere.example"}])
def test_what_the_gateway_refuses_is_said_and_nothing_is_stored(ask: Any, given: dict[str, Any]) -> None:
    with web(**given) as place:
        page: Page = ask(place.page)
        page.get_by_role("button", name="Good answer").click()
        page.get_by_text("Not sent").wait_for()
        assert place.said() == []


def test_answers_that_come_later_get_thumbs_once(ask: Any) -> None:
    with web() as place:
        page: Page = ask(place.page)
        page.get_by_role("button", name="Ask").click()
        page.locator("[data-llmtower]").nth(1).wait_for()
        page.evaluate("document.querySelector('main').append(document.createElement('hr'))")
        page.wait_for_function("document.querySelectorAll('.llmtower-bar').length === 2")
        assert page.get_by_role("button", name="Good answer").count() == 2
