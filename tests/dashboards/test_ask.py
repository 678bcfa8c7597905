"""What is said when there is no answer: whose fault it is decides what to do."""

import asyncio

import pytest

from llmtower_dashboards.ask import Asker, AskError
from llmtower_dashboards.registry import PANELS
from tests.dashboards.frames import HOUR


def test_a_question_whose_turn_never_comes_is_not_told_to_be_shorter() -> None:
    async def ask() -> None:
        async with Asker({}, timeout_s=0.01, at_once=0) as asker:
            await asker.ask(PANELS["overview_calls"], HOUR)

    with pytest.raises(AskError, match=r"Panel 'Calls' waited 0\.01 s for its turn: ClickHouse is busy") as caught:
        asyncio.run(ask())
    assert caught.value.retriable


def test_nobody_listens_at_the_address() -> None:
    async def ask() -> None:
        async with Asker({"host": "127.0.0.1", "port": 1, "username": "dashboards", "password": "none"}) as asker:
            await asker.ask(PANELS["overview_calls"], HOUR)

    with pytest.raises(AskError, match=r"ClickHouse at 127\.0\.0\.1:1 does not answer") as caught:
        asyncio.run(ask())
    assert caught.value.retriable
