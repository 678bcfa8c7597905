"""Children of the demo: they say where they are, end when their input closes, and their failures come as one sentence."""

import asyncio
from pathlib import Path

import httpx
import pytest

from llmtower_processors.demo.processes import DemoError, start
from llmtower_processors.demo.run import PLAIN_SECONDS, length


async def _standin(log_dir: Path) -> None:
    child = await start("standin", ("llmtower_processors.demo.standin", "--bound"), log_dir=log_dir)
    url = (await child.line(30))["url"]
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/v1/models")).status_code == 200
        assert await child.end() == 0
        with pytest.raises(httpx.HTTPError):
            await client.get(f"{url}/v1/models")


async def _failing(log_dir: Path) -> None:
    child = await start("no-such-part", ("llmtower_processors.demo.no_such_part",), log_dir=log_dir)
    with pytest.raises(DemoError, match=r"no-such-part ended: .*No module named"):
        await child.line(30)
    assert await child.end() != 0


async def _silent(log_dir: Path) -> None:
    child = await start("apps", ("llmtower_processors.demo.apps",), log_dir=log_dir)
    with pytest.raises(DemoError, match="apps said nothing for 0 s"):
        await child.line(0.2)
    assert await child.end() == 0


@pytest.mark.parametrize(
    ("asked", "on_terminal", "lasts"), [(None, True, None), (None, False, PLAIN_SECONDS), (5.0, True, 5.0), (5.0, False, 5.0)]
)
def test_on_a_terminal_it_stays_and_elsewhere_it_ends(asked: float | None, on_terminal: bool, lasts: float | None) -> None:
    assert length(asked, on_terminal=on_terminal) == lasts


def test_a_child_ends_when_its_input_closes(tmp_path: Path) -> None:
    asyncio.run(_standin(tmp_path))


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    asyncio.run(_failing(tmp_path))


def test_patience_with_a_silent_child_is_bounded(tmp_path: Path) -> None:
    asyncio.run(_silent(tmp_path))
