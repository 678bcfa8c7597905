"""The judge's round: what may be spent, which calls, what they are worth, and how it all is written down."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from llmtower_processors.gateway.sink import Sink
from llmtower_processors.judge.budget import DAY_MS, PLAN, Plan, allowance, day_of
from llmtower_processors.judge.edges import Calls, Endpoint, Registry
from llmtower_processors.judge.events import score_line
from llmtower_processors.judge.interview import OVER_BUDGET, Interview, most_of
from llmtower_processors.judge.model import Material, Round, Verdict
from llmtower_processors.judge.purse import Purse
from llmtower_processors.judge.rubric import Rubric
from llmtower_processors.judge.sampling import Quota, quota
from llmtower_processors.leader import Firing
from llmtower_processors.runtime.edges import Clock
from llmtower_schemas.settings import JudgeSettings

log = logging.getLogger(__name__)

NANO: Final = 1_000_000_000
LONGEST_REST_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class Parts:
    """What a judge works with; `run` names this process."""

    settings: JudgeSettings
    rubrics: tuple[Rubric, ...]
    calls: Calls
    registry: Registry
    endpoint: Endpoint
    sink: Sink
    clock: Clock
    run: str


class Judge:
    """One judge; `fire` is a timer's function, so a round is never run twice at a time in one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._purse = Purse(parts.registry, parts.run, round(parts.settings.budget_usd * NANO))
        self._rest_ms, self._rest_until_ms = 0, 0
        self._by_name = {rubric.name: rubric for rubric in parts.rubrics}
        self._most = {rubric.name: most_of(parts.endpoint, rubric, parts.settings) for rubric in parts.rubrics}

    async def fire(self, firing: Firing) -> None:
        """Run one round and store its row. Raises Unreachable, ClickHouseError; the next round begins where this one stopped."""
        now = self._parts.clock.now_ms()
        if now < self._rest_until_ms:
            return
        await self._purse.learn()
        row = await self._round(now, day_of(now))
        await asyncio.to_thread(self._parts.calls.record, row, firing.token)
        if row.state in ("judged", "endpoint down", "over budget"):
            log.info(
                "judge: %s, %d scored, %d failed, %d skipped of %d calls; $%.4f of $%.2f",
                row.state, row.scored, row.failed, row.skipped, row.population, row.spent / NANO, row.budget / NANO,
            )  # fmt: skip

    async def _round(self, now: int, day: str) -> Round:
        budget = round(self._parts.settings.budget_usd * NANO)
        row = Round(now, self._parts.settings.model, "idle", budget, 0)
        stored = await asyncio.to_thread(self._parts.calls.spent, now // DAY_MS * DAY_MS)
        spent = max(stored, self._purse.book.total(day))
        plan = await self._plan(now, allowance(budget, spent, now))
        row = replace(row, spent=spent, population=max((one.population for one in plan.quotas.values()), default=0))
        if not row.population:
            await self._finish(plan)
            return row
        lump = sum(one.asks * self._most[name] for name, one in plan.quotas.items())
        if not lump and any(self._most.values()):
            return await self._without_money(row, plan)
        if not await self._purse.promise(day, lump, stored):
            return await self._over_budget(row, plan)
        verdicts = await self._ask(plan, lump)
        await self._purse.settle(day, lump, sum(one.cost for one in verdicts))
        await self._purse.forget_before(day)
        await self._finish(plan)
        return self._report(row, verdicts, max(stored, self._purse.book.total(day)))

    async def _plan(self, now: int, room: int) -> Plan:
        """Go on with the plan that somebody left, or make the next one, from where the last ended."""
        last = self._purse.book.plan
        if last is not None and not last.done and all(name in self._by_name for name in last.quotas):
            return last
        settings = self._parts.settings
        until = now - int(settings.settle_s * 1_000)
        span = max(last.until_ms if last else until - int(settings.period_s * 1_000), until - int(settings.lookback_s * 1_000)), until
        if span[0] >= span[1]:
            return Plan(span[0], span[0])
        quotas: dict[str, Quota] = {}
        for number, rubric in enumerate(self._parts.rubrics):
            most = self._most[rubric.name]
            share = room // (len(self._parts.rubrics) - number)
            asks = min(settings.per_round, share // most if most else settings.per_round)
            population, scored = await asyncio.to_thread(self._parts.calls.count, rubric, span)
            quotas[rubric.name] = quota(asks, population=population, scored=scored, random_share=settings.random_share)
            room -= quotas[rubric.name].asks * most
        return Plan(*span, quotas)

    async def _finish(self, plan: Plan) -> None:
        if plan.until_ms > plan.from_ms:
            await self._parts.registry.write(PLAN, replace(plan, done=True).encode())
            await self._purse.learn()

    async def _without_money(self, row: Round, plan: Plan) -> Round:
        """Nothing may be spent now: later today (the span stays open and grows), or not at all today."""
        least = min(self._most.values())
        return await self._over_budget(row, plan) if row.spent + least > row.budget else replace(row, state="paced")

    async def _over_budget(self, row: Round, plan: Plan) -> Round:
        """Say so at the calls that would have been asked next, at no cost."""
        per_round = self._parts.settings.per_round
        skipped: list[Verdict] = []
        for name, one in plan.quotas.items():
            taken = Quota(0, min(per_round, one.population), one.population)
            picks = await asyncio.to_thread(self._parts.calls.pick, self._by_name[name], (plan.from_ms, plan.until_ms), taken)
            verdicts = [Verdict(pick, reason=OVER_BUDGET, skipped=True) for pick in picks]
            await self._emit(self._by_name[name], verdicts)
            skipped += verdicts
        await self._finish(plan)
        return replace(row, state="over budget", skipped=len(skipped))

    async def _ask(self, plan: Plan, lump: int) -> list[Verdict]:
        """Ask about every call of a plan that has no score yet; each score is sent as soon as it is there."""
        if plan is not self._purse.book.plan:
            await self._parts.registry.write(PLAN, plan.encode())
        found: list[Verdict] = []
        interview = Interview(self._parts.endpoint, self._parts.settings, room=lump)
        for name, one in plan.quotas.items():
            rubric = self._by_name[name]
            material = await asyncio.to_thread(self._material, rubric, (plan.from_ms, plan.until_ms), one)
            async for verdict in interview.hold(rubric, material):
                await self._emit(rubric, [verdict])
                found.append(verdict)
        return found

    def _material(self, rubric: Rubric, span: tuple[int, int], wanted: Quota) -> list[Material]:
        picks = self._parts.calls.pick(rubric, span, wanted)
        done = self._parts.calls.scored(rubric, picks)
        return self._parts.calls.read([pick for pick in picks if pick.call_id not in done])

    async def _emit(self, rubric: Rubric, verdicts: Sequence[Verdict]) -> None:
        model, now_ns = self._parts.settings.model, self._parts.clock.now_ms() * 1_000_000
        await self._parts.sink.put([score_line(rubric, model, verdict, now_ns) for verdict in verdicts])

    def _report(self, row: Round, verdicts: Sequence[Verdict], spent: int) -> Round:
        """Count, and rest the longer the more often the endpoint has failed."""
        down = any(one.reason == "endpoint down" for one in verdicts)
        if down:
            self._rest_ms = min(LONGEST_REST_MS, max(2 * self._rest_ms, int(self._parts.settings.period_s * 1_000)))
            self._rest_until_ms = row.at_ms + self._rest_ms
        else:
            self._rest_ms = 0
        scored = sum(one.value is not None for one in verdicts)
        skipped = sum(one.skipped for one in verdicts)
        return replace(
            row,
            state="endpoint down" if down else "judged",
            spent=spent,
            scored=scored,
            skipped=skipped,
            failed=len(verdicts) - scored - skipped,
        )
