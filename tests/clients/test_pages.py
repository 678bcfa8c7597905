"""The code on the pages of the integrations runs as it stands, against the stand-ins, and is recorded."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import llmtower
from llmtower.testing import CapturedCalls
from llmtower.transport import MemoryTransport
from tests.standins import anthropic, bedrock, gemini, ollama, responses
from tests.standins.service import Asked, Reply, json_reply, serving

PAGES = Path(__file__).parent.parent.parent / "docs" / "integrations"
SECRETS = {
    **dict.fromkeys(("ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "k"),
    "AWS_DEFAULT_REGION": "us-east-1",
}
RECORDED = {
    "anthropic.md": ["response", "response"],
    "bedrock.md": ["response", "response"],
    "chroma.md": ["response", "response", "step", "response", "step"],
    "gemini.md": ["response", "response"],
    "ollama.md": ["response", "response"],
    "openai.md": ["response"],
    "tools.md": ["step", "step"],
}


def openai_endpoints(asked: Asked) -> Reply:
    """Answer what the pages ask of OpenAI: embeddings and responses here, chats by the other stand-in's words."""
    if asked.path.endswith("/chat/completions"):
        message = {"role": "assistant", "content": "Hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return json_reply({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice]})
    return responses.script(asked)


SERVICES: dict[str, Callable[[Asked], Reply]] = {
    "ANTHROPIC_BASE_URL": anthropic.script,
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.script,
    "GOOGLE_GEMINI_BASE_URL": gemini.script,
    "OLLAMA_HOST": ollama.script,
    "OPENAI_BASE_URL": openai_endpoints,
}
"""The variable that tells a client its address, and what answers there."""


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(script)).url for name, script in SERVICES.items()}


@pytest.fixture
def recorded(addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CapturedCalls]:
    """Point the clients at the stand-ins, and `configure` at memory."""
    for name, value in {**addresses, **SECRETS}.items():
        monkeypatch.setenv(name, value)
    transport, configure = MemoryTransport(), llmtower.configure
    monkeypatch.setattr(llmtower, "configure", lambda **given: configure(**{**given, "bootstrap_servers": None, "transport": transport}))
    yield CapturedCalls(transport)
    llmtower.close()


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", RECORDED)
def test_the_code_of_a_page_runs_and_is_recorded(page: str, recorded: CapturedCalls) -> None:
    for block in blocks(page):
        names: dict[str, Any] = {}
        exec(compile(block, page, "exec"), names)

    kinds = [event["type"] for event in recorded.events() if event["type"] != "request"]
    assert kinds == RECORDED[page]
    assert not [event for event in recorded.events() if event.get("status") == "error"]
