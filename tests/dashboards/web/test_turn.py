"""Figures of tiles go first: the rest waits for them, and not for ever."""

import asyncio

from llmtower_dashboards.web.place import Turn


def test_the_rest_waits_until_every_tile_has_its_figure() -> None:
    async def look() -> None:
        turn, seen = Turn(2), list[str]()

        async def chart() -> None:
            await turn.over()
            seen.append("chart")

        async def tile(name: str) -> None:
            seen.append(name)
            turn.done()

        await asyncio.gather(chart(), tile("calls"), tile("errors"))
        assert seen == ["calls", "errors", "chart"]

    asyncio.run(look())


def test_a_page_without_tiles_and_one_whose_tile_hangs_are_drawn() -> None:
    async def look() -> None:
        await Turn(0).over()
        await Turn(1).over()

    asyncio.run(look())
