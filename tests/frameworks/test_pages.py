"""The code on the frameworks' pages runs as it stands, against the stand-in, and is recorded."""

import time
from importlib.util import find_spec
from typing import Any

import pytest

import llmtower
from llmtower.testing import CapturedCalls
from llmtower.transport import MemoryTransport
from tests.clients.test_pages import blocks

PAGES = {"langchain.md": 2, "litellm.md": 1, **({"llama_index.md": 1} if find_spec("llama_index") else {})}
"""The calls that each page's code makes."""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_and_is_recorded(page: str, openai_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.setenv(name, openai_url)
    transport, configure = MemoryTransport(), llmtower.configure
    monkeypatch.setattr(llmtower, "configure", lambda **given: configure(**{**given, "bootstrap_servers": None, "transport": transport}))
    (block,) = blocks(page)
    names: dict[str, Any] = {}
    exec(compile(block, page, "exec"), names)

    calls, deadline = CapturedCalls(transport), time.monotonic() + 20  # LiteLLM calls its loggers from a thread of its own
    while len(calls) < PAGES[page] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [event["usage"]["output_tokens"] for event in calls] == [7] * PAGES[page]
    llmtower.close()
