"""The judge in an experiment: its rubrics, its endpoint and its day's budget, for answers that come one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llmtower_processors.judge.budget import day_of
from llmtower_processors.judge.edges import Endpoint
from llmtower_processors.judge.interview import Interview, most_of
from llmtower_processors.judge.model import Material, Pick, Verdict
from llmtower_processors.judge.purse import Purse
from llmtower_processors.judge.question import Said
from llmtower_processors.judge.rubric import Rubric
from llmtower_processors.runtime.edges import Clock
from llmtower_schemas.settings import JudgeSettings

_NOBODY: Final = Pick("", "", "", "", "", "", "", 0)


@dataclass(slots=True)
class Promise:
    """What one answer's verdicts may cost at most (nano-USD), on which day; whoever holds it settles it, whatever happens."""

    day: str
    lump: int
    spent: int = 0


class Referee:
    """Judges answers by all rubrics; what it may cost is promised before the answer is asked for. Raises NotConfigured without a price."""

    def __init__(self, settings: JudgeSettings, rubrics: Sequence[Rubric], endpoint: Endpoint, purse: Purse, clock: Clock) -> None:
        self.settings, self.rubrics = settings, rubrics
        self._purse, self._clock = purse, clock
        self._interview = Interview(endpoint, settings)
        self._most = {rubric.score: most_of(endpoint, rubric, settings) for rubric in rubrics}
        self._lump = sum(self._most.values())

    async def promise(self) -> Promise | None:
        """Reserve what judging one answer costs at most; None when the day's budget of all judges together does not allow it."""
        day = day_of(self._clock.now_ms())
        return Promise(day, self._lump) if await self._purse.promise(day, self._lump) else None

    async def judge(self, said: Said, promise: Promise) -> list[tuple[Rubric, Verdict]]:
        """Ask every rubric that applies; what it costs is written on the promise."""
        found: list[tuple[Rubric, Verdict]] = []
        for rubric in self.rubrics if said.answer else ():
            if said.documents or not rubric.documents:
                most = self._most[rubric.score]
                promise.spent += most  # so much an ask may cost that is interrupted
                async for one in self._interview.hold(rubric, [Material(_NOBODY, said)]):
                    promise.spent += one.cost - most
                    found.append((rubric, one))
        return found

    async def settle(self, promise: Promise) -> None:
        """Give back what was promised and not spent."""
        await self._purse.settle(promise.day, promise.lump, promise.spent)
