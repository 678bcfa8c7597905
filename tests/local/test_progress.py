import io

import pytest
from rich.console import Console

from llmtower_processors.local.progress import DownloadProgress


def test_a_terminal_gets_a_bar() -> None:
    screen = io.StringIO()
    with DownloadProgress("downloading", 4_000_000, Console(file=screen, force_terminal=True, width=100)) as bar:
        bar.add(1_000_000)
        bar.add(3_000_000)
    assert "━" in screen.getvalue()
    assert "4.0/4.0 MB" in screen.getvalue()


def test_anything_else_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("llmtower_processors.local.progress.time.monotonic", lambda: now)
    screen = io.StringIO()
    with DownloadProgress("downloading", 9_000_000, Console(file=screen, force_terminal=False)) as bar:
        bar.add(1_000_000)
        now += 2.5
        bar.add(2_000_000)
        bar.add(6_000_000)
        now += 1.0
    assert screen.getvalue().splitlines() == ["downloading: 9 MB", "downloading: 3 of 9 MB", "downloading: done in 3.5 s"]


def test_a_download_that_fails_is_not_called_done() -> None:
    screen = io.StringIO()
    with pytest.raises(ConnectionError), DownloadProgress("downloading", 9_000_000, Console(file=screen, force_terminal=False)):
        raise ConnectionError
    assert screen.getvalue() == "downloading: 9 MB\n"
