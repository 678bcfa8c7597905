"""An experiment as it runs: calls through the real client and the SDK, answers scored, results written a line at a time."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.experiment import Cell, Outcome, outcome_line
from llmtower_processors.prompts.production import Production, response
from llmtower_processors.prompts.scorers import Check, score

if TYPE_CHECKING:
    from llmtower_processors.judge.model import Verdict
    from llmtower_processors.judge.rubric import Rubric
    from llmtower_processors.pricing import PriceBook
    from llmtower_processors.prompts.referee import Promise, Referee

Messages = list[dict[str, str]]


@dataclass
class Trial:
    """One run: what it may spend, what scores it, and where its results go, a line as soon as one is there."""

    name: str
    provider: str
    checks: Sequence[tuple[str, Check]]
    production: Production
    referee: "Referee | None"
    prices: "PriceBook"
    budget: float
    """US dollars; 0 = no limit."""
    out: Path
    dataset: str = ""
    """Where the cases are from: a tag of the calls, by which the page holds versions and models against each other."""
    spent_nano_usd: int = 0
    stopped: str = ""
    """Why it ended before its end."""
    done: list[Outcome] = field(default_factory=list)
    _scoring: asyncio.Lock = field(default_factory=asyncio.Lock)

    def check_prices(self, models: Sequence[str]) -> None:
        """Refuse a budget that cannot be kept. Raises NotConfigured."""
        for model in models if self.budget else ():
            asked = {"provider": self.provider, "request_model": model, "started_at_ns": time.time_ns(), "duration_us": 1}
            used = {"usage": {"input_tokens": 1, "output_tokens": 1}, "usage_source": "provider"}
            if self.prices.price(response(asked | used)).total is None:
                raise NotConfigured(
                    f"No price is known for {model}, so --budget could not be kept. Give its price in a file named by LLMTOWER_PRICES_FILE,"
                    " or take the limit away: --budget 0."
                )

    async def run(self, left: Mapping[str, tuple[Cell, Messages]], client: Any, concurrency: int, told: Callable[[int, int], None]) -> None:
        """Ask all cells; the first reason to stop ends it when what is under way is done."""
        waiting = iter(left.values())

        async def worker() -> None:
            for cell, messages in waiting:
                promise = await self._allowed()
                if self.stopped and promise is None:
                    return
                try:
                    self._keep(await self._ask(cell, messages, client, promise))
                finally:
                    if self.referee is not None and promise is not None:
                        await self.referee.settle(promise)
                told(len(self.done), len(left))

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())

    async def _allowed(self) -> "Promise | None":
        """Reserve what the judge may cost; says why where nothing more may be spent."""
        if self.budget and self.spent_nano_usd >= self.budget * 1e9:
            self.stopped = f"The budget of ${self.budget:g} is spent. Raise --budget and run again"
        if self.stopped or self.referee is None:
            return None
        promise = await self.referee.promise()
        if promise is None:
            most = self.referee.settings.budget_usd
            self.stopped = (
                f"The judge's budget of ${most:g} a day (UTC) is spent: LLMTOWER_JUDGE__BUDGET_USD raises it, --judge none asks none"
            )
        return promise

    async def _ask(self, cell: Cell, messages: Messages, client: Any, promise: "Promise | None") -> Outcome:
        prompt, began = cell.version.prompt, time.monotonic()
        parameters = {key: value for key, value in prompt.parameters.items() if key != "model"}
        tools = {"tools": list(prompt.tools)} if prompt.tools else {}
        try:
            with _recorded(cell, {"experiment": self.name, "dataset": self.dataset, "case": cell.case.key}):
                answer = await client.chat.completions.create(model=cell.model, messages=messages, **parameters, **tools)
        except Exception as error:
            return Outcome(cell.key, cell.arm, cell.case.key, error=type(error).__name__, seconds=time.monotonic() - began)
        return await self._scored(cell, messages, answer, promise, time.monotonic() - began)

    async def _scored(self, cell: Cell, messages: Messages, answer: Any, promise: "Promise | None", seconds: float) -> Outcome:
        text = str(answer.choices[0].message.content or "") if answer.choices else ""
        event = response(_fields(cell, messages, answer, seconds, self.provider))
        cost = self.prices.price(event).total
        own, failed = score(self.checks, text, cell.case.expected, cell.case.variables)
        _record_scores(cell, answer, own)
        async with self._scoring:
            found, broken = await asyncio.to_thread(self.production.score, event)
        verdicts = await self._judged(text, messages, cell, promise)
        judged = {rubric.score: one.value for rubric, one in verdicts if one.value is not None}
        _record_verdicts(cell, answer, verdicts, self.referee)
        unjudged = tuple(rubric.score for rubric, one in verdicts if one.value is None)
        return Outcome(
            cell.key, cell.arm, cell.case.key, seconds=seconds, nano_usd=cost, judge_nano_usd=sum(one.cost for _, one in verdicts),
            scores=found | judged | own, failed_scorers=(*failed, *broken, *unjudged),
        )  # fmt: skip

    async def _judged(self, text: str, messages: Messages, cell: Cell, promise: "Promise | None") -> "list[tuple[Rubric, Verdict]]":
        from llmtower_processors.judge.interview import DOWN
        from llmtower_processors.judge.question import Said

        if self.referee is None or promise is None:
            return []
        verdicts = await self.referee.judge(Said(messages[-1]["content"], text, cell.case.documents), promise)
        if any(one.reason == DOWN for _, one in verdicts):
            self.stopped = "The judge's endpoint does not answer: run again when it does; --judge none asks none"
        return verdicts

    def _keep(self, outcome: Outcome) -> None:
        self.spent_nano_usd += (outcome.nano_usd or 0) + outcome.judge_nano_usd
        self.done.append(outcome)
        with self.out.open("ab") as file:
            file.write(outcome_line(outcome))


@contextmanager
def _recorded(cell: Cell, tags: Mapping[str, str]) -> Iterator[None]:
    """Tag the call; what its answer is to rest on goes along as retrieved, so that production's own scorers see it."""
    import llmtower

    with ExitStack() as around:
        named = (cell.version.name, str(cell.version.number))
        around.enter_context(llmtower.context(prompt=named, tags=tags))
        if cell.case.documents:
            around.enter_context(llmtower.step("case", kind="workflow"))
            with llmtower.step("documents", kind="retrieval") as found:
                found.finish(retrieved=[{"id": str(number), "text": text} for number, text in enumerate(cell.case.documents)])
        yield


def _fields(cell: Cell, messages: Messages, answer: Any, seconds: float, provider: str) -> dict[str, Any]:
    """Give the call as an event's fields, for its price and for the scorers of production."""
    from llmtower.usage import convert

    buckets = convert(answer.usage.model_dump(exclude_none=True)).buckets if answer.usage is not None else None
    return {
        "provider": provider,
        "request_model": cell.model,
        "response_model": str(answer.model or ""),
        "started_at_ns": time.time_ns(),
        "duration_us": int(seconds * 1e6),
        "usage_source": "provider" if buckets else "missing",
        **({"usage": buckets} if buckets else {}),
        "finish_reasons": [choice.finish_reason for choice in answer.choices if choice.finish_reason],
        "input": messages,
        "output": [choice.message.model_dump(exclude_none=True) for choice in answer.choices],
        "retrieved": [{"text": text} for text in cell.case.documents],
    }


def _score_of(cell: Cell, answer: Any) -> dict[str, Any]:
    return {
        "type": "score",
        "target_kind": "response_id",
        "target_id": str(answer.id),
        "prompt_name": cell.version.name,
        "prompt_version": str(cell.version.number),
        "request_model": cell.model,
    }


def _record_scores(cell: Cell, answer: Any, own: Mapping[str, float]) -> None:
    """Send what one's own checks said; the scorers of production see the call themselves."""
    import llmtower

    for title, value in own.items():
        llmtower.record({**_score_of(cell, answer), "name": title, "value": value, "scorer": "prompts test"})


def _record_verdicts(cell: Cell, answer: Any, verdicts: "Sequence[tuple[Rubric, Verdict]]", referee: "Referee | None") -> None:
    """Send what the judge said, and what asking it has cost as a call of the judge's own app, which nobody judges."""
    import llmtower
    from llmtower.ids import new_id
    from llmtower_processors.judge.model import APP
    from llmtower_processors.judge.tables import version

    if referee is None or not verdicts:
        return
    model = referee.settings.model
    for rubric, one in verdicts:
        if one.value is not None:
            said = {"name": rubric.score, "value": one.value, "scorer": APP, "scorer_version": version(rubric, model)}
            llmtower.record({**_score_of(cell, answer), **said, "label": "bad" if one.value < rubric.threshold else "good"})
    cost = sum(one.cost for _, one in verdicts)
    told = {"request_model": model, "operation": "chat", "duration_us": 0, "reported_cost_nano_usd": cost}
    llmtower.record({"type": "response", "app": APP, "call_id": new_id(), "started_at_ns": time.time_ns(), **told})
