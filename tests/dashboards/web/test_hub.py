"""What the page keeps for a while, and for how long."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from llmtower_dashboards.ask import Asker
from llmtower_dashboards.web import hub
from llmtower_dashboards.web.shelf import Shelf
from llmtower_dashboards.web.silencing import Silencer


class Names:
    """Apps that are there; nothing else is asked."""

    def __init__(self) -> None:
        self.there: list[str] = []

    async def values(self, variable: Any, frame: Any) -> list[str]:
        return self.there


def test_the_first_app_is_seen_at_once_and_the_next_one_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    names, now = Names(), 100.0
    monkeypatch.setattr("llmtower_dashboards.web.hub.time.monotonic", lambda: now)
    page = hub.Hub(cast(Asker, names), None, cast(Silencer, None), cast(Shelf, None))

    async def seen() -> tuple[str, ...]:
        return tuple((await page.colours(datetime(2026, 11, 26, tzinfo=UTC))).names.get("app", ()))

    async def story() -> None:
        nonlocal now
        assert await seen() == ()
        names.there = ["shop"]
        now += hub.FIRST_S + 1
        assert await seen() == ("shop",)
        names.there = ["bot", "shop"]
        now += hub.FIRST_S + 1
        assert await seen() == ("shop",)
        now += hub.COLOURS_S
        assert "bot" in await seen()

    asyncio.run(story())
