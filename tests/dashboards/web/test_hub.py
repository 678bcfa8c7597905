"""What the page keeps for a while, and for how long."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from llmtower_dashboards.ask import Asker
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.web import hub
from llmtower_dashboards.web.budgets import Budgets
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


def test_a_budget_waits_for_whose_calls_there_are_and_a_project_that_rests_now_counts_too() -> None:
    """The cost of today holds the calls of every project, also of one that is silent within the range on the page."""

    class Projects:
        async def values(self, variable: Any, frame: Frame) -> list[str]:
            return ["busy", "resting"] if variable.name == "project" and frame.end - frame.start > timedelta(days=1) else ["busy"]

    page = hub.Hub(cast(Asker, Projects()), None, cast(Silencer, None), cast(Shelf, None), budgets=Budgets(project=250.0))
    now = datetime(2026, 11, 26, tzinfo=UTC)
    hour = Frame(now - timedelta(hours=1), now)

    async def story() -> None:
        assert page.budget_usd(hour) is None
        await page.choices(hour)
        await page.colours(now)
        assert page.budget_usd(hour) is None
        assert page.budget_usd(replace(hour, variables={"project": ["busy"]})) == 250.0

    asyncio.run(story())
