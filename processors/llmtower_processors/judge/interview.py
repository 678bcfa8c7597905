"""Asking about a handful of calls at a time, each twice at most, and no more once the endpoint has failed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import Final

from llmtower_processors.errors import NotConfigured
from llmtower_processors.judge.answer import read_score
from llmtower_processors.judge.edges import Endpoint
from llmtower_processors.judge.model import ENDPOINT, Material, Reply, Verdict
from llmtower_processors.judge.question import AGAIN, cut, form, messages, most_tokens, response_format
from llmtower_processors.judge.rubric import Rubric
from llmtower_schemas.settings import JudgeSettings

FAILURES: Final = 3
"""So many failures of the endpoint in a row end a round."""
DOWN: Final = "endpoint down"
"""Reason of a score that was not asked for since the endpoint had failed so often."""
OVER_BUDGET: Final = "over budget"
"""Reason of a score that nobody was paid for."""


class Interview:
    """One round's asks: no more is begun than what was promised for the round (`room`, nano-USD) still pays for at its dearest (inf: who
    holds it promises answer by answer).

    An endpoint that bills more than its price and the token limit allow so overspends by the asks under way, `concurrency` of them, once.
    """

    def __init__(self, endpoint: Endpoint, settings: JudgeSettings, *, room: float = inf) -> None:
        self._endpoint, self._settings, self._room = endpoint, settings, room
        self._failures = 0

    async def hold(self, rubric: Rubric, material: Sequence[Material]) -> AsyncIterator[Verdict]:
        """Give what became of each call, as it becomes known."""
        step = self._settings.concurrency
        for start in range(0, len(material), step):
            tasks = [asyncio.create_task(self._judge(rubric, one)) for one in material[start : start + step]]
            try:
                for task in asyncio.as_completed(tasks):
                    yield await task
            finally:
                for one in tasks:
                    one.cancel()

    async def _judge(self, rubric: Rubric, one: Material) -> Verdict:
        if self._failures >= FAILURES:
            return Verdict(one.pick, reason=DOWN, skipped=True)
        if not one.said.answer:
            return Verdict(one.pick, reason="no text", skipped=True)
        most = most_of(self._endpoint, rubric, self._settings)
        if most > self._room:
            return Verdict(one.pick, reason=OVER_BUDGET, skipped=True)
        self._room -= most
        verdict = await self._ask(rubric, one)
        self._room += most - verdict.cost
        return verdict

    async def _ask(self, rubric: Rubric, one: Material) -> Verdict:
        asked = messages(rubric, one.said, self._settings.text_bytes)
        reply, value = await self._try(rubric, asked)
        cost = reply.cost
        if value is None and not reply.reason:
            said = {"role": "assistant", "content": cut(reply.text, self._settings.max_output_tokens)}
            reply, value = await self._try(rubric, [*asked, said, {"role": "user", "content": AGAIN.format(form(rubric))}])
            cost += reply.cost
        reason = reply.reason or ("" if value is not None else "unreadable answer")
        return Verdict(one.pick, value, reason, cost)

    async def _try(self, rubric: Rubric, asked: Sequence[dict[str, str]]) -> tuple[Reply, float | None]:
        reply = await self._endpoint.ask(asked, response_format(rubric))
        self._failures = self._failures + 1 if reply.reason in ENDPOINT else 0
        return reply, None if reply.reason else read_score(reply.text, rubric)


def most_of(endpoint: Endpoint, rubric: Rubric, settings: JudgeSettings) -> int:
    """Give what judging one answer costs at most, nano-USD: two asks of the longest kind. Raises NotConfigured where no price is known."""
    most = endpoint.most(most_tokens(rubric, settings.text_bytes + settings.max_output_tokens))
    if most is None:
        raise NotConfigured(
            f"No price is known for the judge's model {settings.model}, so its budget could not be kept."
            " Give its price (0 for a model of your own) in a file named by LLMTOWER_PRICES_FILE."
        )
    return 2 * most
