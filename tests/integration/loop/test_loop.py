"""The story of docs/loop.md, run as it stands there on a real stack: each command's output is what the page shows, figures apart."""

import json
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import sync_playwright
from tests.alerts.receiver import Receiver, receiving
from tests.browser.conftest import CHROMIUM, FLAGS, WAIT_MS, settled
from tests.integration.local.test_stack import CLI_UP, running_up, until
from tests.standins.service import Asked, Reply, json_reply, serving

from llmtower_processors.cli.app import run
from llmtower_processors.local.endpoints import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200)]

PAGE: Final = (Path(__file__).parents[3] / "docs" / "loop.md").read_text("utf-8")
CALLS: Final = 50
"""Of each version before the story goes on: every question was asked. A busy machine scores them no faster than the page's shop asks."""
REPEATABLE: Final = ("alerts list", "prompts compare", "query")
"""Commands that only look; what they show comes some seconds after it happened."""
QUESTIONS: Final = [
    f"{ask} the {thing}?"
    for ask, thing in product(
        ("Where is", "When do you deliver", "Why did nobody bring", "Who took", "How do I return", "Can a driver collect"),
        (
            "sofa from Monday",
            "blue lamp",
            "broken coffee machine",
            "two garden chairs",
            "third shelf",
            "winter coat",
            "old mattress",
            "desk",
        ),
    )
]


@dataclass(frozen=True)
class Step:
    """A file that the page gives, or a command with the lines that it shows."""

    what: str
    file: str = ""
    shown: tuple[str, ...] = ()


def steps() -> list[Step]:
    found: list[Step] = []
    for language, name, body in re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        if language != "console":
            found += [Step(body, file=name)] if name else []
            continue
        for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            line, *shown = command.splitlines()
            found.append(Step(line, shown=tuple(filter(None, map(plain, shown)))))
    return found


def plain(line: str) -> str:
    """A line without its figures, rules and widths; versions stay."""
    words = " ".join(re.sub(r"[─…]+", " ", line).split())
    return words if "→" in words else re.sub(r"(?<![@\w])[+-]?\d[\d,.]*(e-?\d+)?", "N", words)


def model(asked: Asked) -> Reply:
    """Answer as the system message wants it; who shall name whom to call invents a number where somebody comes to the house."""
    system, question = (message["content"] for message in asked.body["messages"])
    answer = f"We look into it today: {question.rstrip('?').lower()}, and you hear from us by mail."
    if "name whom to call" in system and len(question) % 3:
        answer += " Call your courier Tom, +49 171 5551234."
    usage = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    about = {"id": f"chatcmpl-{time.monotonic_ns()}", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    return json_reply(about | {"choices": [choice], "usage": usage})


@dataclass
class Shop:
    """The page's application, running; what it has printed is in a file."""

    said: Path

    def answered(self) -> Counter[str]:
        return Counter(re.findall(r"answered by support/answer@(\d+)$", self.said.read_text(), re.MULTILINE))

    def wait_for(self, version: str) -> None:
        before = self.answered()[version]
        until(lambda: self.answered()[version] >= before + CALLS or None, 180)
        assert self.said.read_text().splitlines()[-1].endswith(f"@{version}"), "the label's move reached it without a restart"


@contextmanager
def shop(kafka: str, folder: Path) -> Iterator[Shop]:
    code = folder / "shop.py"
    code.write_text(code.read_text().replace("localhost:9092", kafka))
    (folder / "questions.txt").write_text("\n".join(QUESTIONS))
    said = folder / "shop.out"
    with said.open("wb") as out, subprocess.Popen([sys.executable, code.name], cwd=folder, stdout=out, stderr=out) as process:
        try:
            yield Shop(said)
            assert process.poll() is None, said.read_text()[-2_000:]
        finally:
            process.terminate()


Command = Callable[[list[str]], tuple[int, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process; gives its exit code and all that it said."""

    def command(words: list[str]) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            run()
        return int(ended.value.code or 0), "\n".join(capsys.readouterr())

    return command


@pytest.fixture
def told() -> Iterator[Receiver]:
    """Whom alerts are told to."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Receiver) -> Iterator[Endpoints]:
    """`llmtower up` with an alert route, and the environment of its commands and applications."""
    data = tmp_path / "data"
    with serving(model) as provider:
        for name, value in {
            "LLMTOWER_ALERTS__WEBHOOK_URL": told.url,
            "LLMTOWER_DATA_DIR": str(data),
            "LLMTOWER_SDK__SPOOL_DIR": str(tmp_path / "spool"),
            "LLMTOWER_SDK__PROMPTS_DIR": str(tmp_path / "cache"),
            "OPENAI_BASE_URL": provider.url,
            "OPENAI_API_KEY": "none",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        with running_up(data, tmp_path / "up.out", CLI_UP) as (up, endpoints):
            yield endpoints
            up.terminate()
            assert up.wait(60) == 0


def test_the_page_tells_what_happens(stack: Endpoints, command: Command, told: Receiver, tmp_path: Path) -> None:
    story = steps()
    assert sum(not step.file for step in story) >= 14
    with ExitStack() as ending:
        running: Shop | None = None
        for step in story:
            if step.file:
                (tmp_path / step.file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / step.file).write_text(step.what)
            elif step.what == "python shop.py":
                running = ending.enter_context(shop(stack.kafka, tmp_path))
                running.wait_for("1")
            else:
                said = followed(step, command)
                if running and (moved := re.search(r"production: \d+ → (\d+)$", said, re.MULTILINE)):
                    running.wait_for(moved[1])
                if step.what == "llmtower alerts list":
                    assert_told(told)
    assert_shown(str(stack.web))


def followed(step: Step, command: Command) -> str:
    """Run a command of the page until it has said each of the lines that the page shows; gives all that it said."""
    ends = time.monotonic() + (300 if step.what.removeprefix("llmtower ").startswith(REPEATABLE) else 0)
    while True:
        code, said = command(shlex.split(step.what))
        lines = [plain(line) for line in said.splitlines()]
        missing = [line for line in step.shown if line not in lines]
        if not missing:
            assert code == ("refused" in said), said
            return said
        assert time.monotonic() < ends, f"{step.what} did not say {missing}, but:\n{said}"
        time.sleep(0.5)


def assert_told(told: Receiver) -> None:
    messages = [request.value for request in told.taken if request.value.get("rule") == "pii_leak"]
    assert len({message["transition_id"] for message in messages}) == len(messages), "each step is told once"
    message = messages[0]  # it may have grown graver since
    assert (message["status"], message["group"]["app"]) == ("firing", "shop")
    assert "support/answer production 1 → 2" in [change["what"] for change in message["changes"]]
    assert "171" not in json.dumps(message["text"]), "no text of an answer"


def assert_shown(web: str) -> None:
    """Look at the live page in a browser, where there is one."""
    with urllib.request.urlopen(f"{web}/library?prompt=support/answer", timeout=20) as answer:
        assert answer.status == 200
    if CHROMIUM is None:
        return
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS).new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{web}/library?prompt=support/answer")
        settled(page)
        newest = page.locator("#library_versions tbody tr").first.inner_text()
        assert "production" in newest
        assert "the hotline, never a person" in newest
        moves = page.locator("#library_moves").inner_text()
        for note in ("customers asked for it", "names private numbers", "passed the gate on leaks@1"):
            assert note in moves
        page.goto(f"{web}/models")
        settled(page)
        assert "leaks@1" in page.locator("#main").inner_text()
