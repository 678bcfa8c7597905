"""Edge: the day's budget in the registry, as one run spends from it: promised first, settled after."""

import asyncio

from llmtower_processors.judge.budget import Book, spend_key
from llmtower_processors.judge.edges import Registry


class Purse:
    """One run's part in what all judges spend; `book` is what the registry says."""

    def __init__(self, registry: Registry, run: str, budget: int) -> None:
        self._registry, self._run, self._budget = registry, run, budget
        self._mine: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self.book = Book()

    async def learn(self) -> None:
        """Read what is new. Raises Unreachable."""
        self.book.learn(await self._registry.poll())

    async def promise(self, day: str, lump: int, stored: int = 0) -> bool:
        """Write down what may at most be spent, then look whether all judges together stay within the budget; nano-USD.

        `stored` is what the stored calls of judges have cost that day.
        """
        async with self._turn:
            before, allowed = self._mine.get(day, 0), False
            try:
                await self._write(day, before + lump)
                allowed = max(self.book.total(day), stored + lump) <= self._budget
            finally:
                if not allowed:
                    await self._registry.write(spend_key(day, self._run), _amount(before))
            self._mine[day] = before + lump if allowed else before
            return allowed

    async def settle(self, day: str, lump: int, cost: int) -> None:
        """Give back what was promised and not spent."""
        async with self._turn:
            self._mine[day] += cost - lump
            await self._write(day, self._mine[day])

    async def forget_before(self, day: str) -> None:
        """Delete what was written on days that are over, but for the newest."""
        for old in sorted(self.book.spent.keys() - {day, max(self.book.spent, default=day)}):
            for run in self.book.spent.pop(old):
                await self._registry.write(spend_key(old, run), None)
        await self.learn()

    async def _write(self, day: str, amount: int) -> None:
        await self._registry.write(spend_key(day, self._run), _amount(amount))
        await self.learn()


def _amount(nano_usd: int) -> bytes:
    return b'{"nano_usd": %d}' % nano_usd
