"""A trial on a client in memory: as many calls at a time as allowed, budgets that end it, scores as production and the judge give them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.judge.world import FAITHFULNESS, GOOD, HELPFULNESS, HandClock
from tests.toxic.standins import Words

from llmtower.testing import capture
from llmtower_processors.cli.trials import Messages, Trial
from llmtower_processors.errors import NotConfigured
from llmtower_processors.judge.interview import FAILURES
from llmtower_processors.judge.memory import MemoryEndpoint, MemoryRegistry, MemoryTopic
from llmtower_processors.judge.model import Reply
from llmtower_processors.judge.purse import Purse
from llmtower_processors.judge.question import Said
from llmtower_processors.pricing import PriceBook
from llmtower_processors.prompts.cases import Row, read_cases
from llmtower_processors.prompts.experiment import Cell, cells, read_outcomes
from llmtower_processors.prompts.production import Production, response
from llmtower_processors.prompts.referee import Referee
from llmtower_processors.prompts.scorers import find_checks
from llmtower_processors.quality import quality_scorers
from llmtower_processors.toxic.cascade import Cascade
from llmtower_processors.toxic.linear import load_linear
from llmtower_schemas.chains import RegistryRecord
from llmtower_schemas.prompts import Prompt, Variable, Version
from llmtower_schemas.settings import JudgeSettings

PROMPT = Prompt(text="{{ q }}", variables={"q": Variable()})
VERSION = Version(name="a", number=1, sha256=PROMPT.sha256(), prompt=PROMPT)
DOCUMENT = "The parcel left our warehouse in Bremen on Monday."


@dataclass
class Client:
    """A provider that answers after others had their turn, and counts how many wait at a time."""

    text: str = "The parcel left our warehouse in Bremen on Monday."
    waiting: int = 0
    most: int = 0
    asked: list[Any] = field(default_factory=list)

    @property
    def chat(self) -> Any:
        return SimpleNamespace(completions=self)

    async def create(self, **request: Any) -> Any:
        from openai.types.chat import ChatCompletion

        self.asked.append(request)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        for _ in range(10):
            await asyncio.sleep(0)
        self.waiting -= 1
        if request["model"] == "down":
            raise ConnectionError("secret")
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.text}}
        usage = {"prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000}
        answer = {"id": "r1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": [choice], "usage": usage}
        return ChatCompletion.model_validate(answer)


WITHOUT_MODELS = Production(quality_scorers(), Cascade(load_linear))
PAID = 1_000 * 150 + 1_000 * 600
"""Nano-USD: gpt-4o-mini is $0.15 and $0.60 per million tokens."""


def asked(count: int, model: str = "gpt-4o-mini", **beside: Any) -> dict[str, tuple[Cell, Messages]]:
    rows = [Row("x", {"q": f"Where is parcel {number}?"}, {"q": "", **beside}) for number in range(count)]
    found = cells([VERSION], [model], read_cases(rows, {}, source="x"))
    return {cell.key: (cell, [{"role": "user", "content": cell.case.variables["q"]}]) for cell in found}


def trial(out: Path, *, referee: Referee | None = None, budget: float = 0.0, production: Production | None = None) -> Trial:
    checks = find_checks(["contains", "json"])
    return Trial("e", "openai", checks, production or WITHOUT_MODELS, referee, PriceBook(), budget, out)


def run(one: Trial, left: dict[str, tuple[Cell, Messages]], client: Client, concurrency: int = 3) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    asyncio.run(one.run(left, client, concurrency, lambda *done: told.append(done)))
    return told


def referee(topic: MemoryTopic, answer: Reply = GOOD, budget: float = 1.0, most: int = 500) -> Referee:
    purse = Purse(topic.open(), "run", round(budget * 1e9))
    endpoint = MemoryEndpoint(lambda _: answer, most)
    return Referee(JudgeSettings(budget_usd=budget), (HELPFULNESS, FAITHFULNESS), endpoint, purse, HandClock())


def test_so_many_calls_at_a_time_and_progress(tmp_path: Path) -> None:
    client = Client()
    told = run(trial(tmp_path / "out"), asked(10), client)
    assert client.most == 3
    assert told == [(number, 10) for number in range(1, 11)]
    assert len(read_outcomes(tmp_path / "out")) == 10


def test_the_budget_ends_it_and_a_second_run_goes_on(tmp_path: Path) -> None:
    client, left = Client(), asked(10)
    first = trial(tmp_path / "out", budget=3 * PAID / 1e9)
    run(first, left, client, concurrency=1)
    assert (len(client.asked), len(first.done), first.spent_nano_usd) == (3, 3, 3 * PAID)
    assert first.stopped.startswith("The budget of $")
    known = read_outcomes(tmp_path / "out")
    second = trial(tmp_path / "out")
    run(second, {key: one for key, one in left.items() if key not in known}, client)
    assert (len(client.asked), second.stopped) == (10, "")
    assert read_outcomes(tmp_path / "out").keys() == left.keys()


def test_a_budget_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match=r"No price is known for my-own, so --budget could not be kept.*--budget 0"):
        trial(tmp_path / "out", budget=1.0).check_prices(["gpt-4o", "my-own"])
    trial(tmp_path / "out").check_prices(["my-own"])


def test_answers_are_scored_as_in_production(tmp_path: Path) -> None:
    one = trial(tmp_path / "out")
    with capture() as captured:
        run(one, asked(1, documents=[DOCUMENT]), Client())
        steps, scores = captured.events("step"), captured.events("score")
    (outcome,) = one.done
    assert {"toxicity", "input_toxicity", "relevance", "groundedness", "refusal", "length", "json"} <= outcome.scores.keys()
    assert outcome.scores["groundedness"] == 1.0
    assert outcome.scores["toxicity"] < 0.3 < _toxicity("You stupid idiot, shut the fuck up.")
    assert (outcome.failed_scorers, outcome.nano_usd) == ((), PAID)
    assert [step["retrieved"][0]["text"] for step in steps if step["kind"] == "retrieval"] == [DOCUMENT]
    assert {score["name"] for score in scores} == {"json"}


def _toxicity(answer: str) -> float:
    scores, _ = WITHOUT_MODELS.score(response({"started_at_ns": 0, "duration_us": 0, "input": "Hi", "output": answer}))
    return scores["toxicity"]


def test_a_strong_model_sees_every_text_and_a_broken_one_is_named() -> None:
    def trouble(texts: Sequence[str]) -> None:
        if "broken" in texts:
            raise RuntimeError(texts)

    production = Production((), Cascade(load_linear, Words(trouble=trouble)))
    said = {"started_at_ns": 0, "duration_us": 0, "input": "Where is it?"}
    scores, failed = production.score(response(said | {"output": "At noon, fool."}))
    assert [scores["toxicity"], scores["input_insult"]] == pytest.approx([0.9, 0.1])
    assert failed == ()
    assert "toxicity_screen" in scores
    assert "toxicity" in production.score(response(said | {"output": "broken"}))[1]


def test_the_judge_scores_within_its_own_budget(tmp_path: Path) -> None:
    topic = MemoryTopic()
    one = trial(tmp_path / "out", referee=referee(topic))
    with capture() as captured:
        run(one, asked(2), Client())
        scores, calls = captured.events("score"), captured.events("response")
    assert [outcome.scores["judge_helpfulness"] for outcome in one.done] == [1.0, 1.0]
    assert "judge_faithfulness" not in one.done[0].scores, "nothing was retrieved that an answer could be faithful to"
    assert [outcome.judge_nano_usd for outcome in one.done] == [300, 300]
    assert one.spent_nano_usd == 2 * PAID + 600
    assert topic.records[-1].value == b'{"nano_usd": 600}', "what was promised and not spent is given back"
    judged = [score for score in scores if score["scorer"] == "llmtower-judge"]
    assert [(score["name"], score["value"], score["label"], score["target_id"]) for score in judged] == [
        ("judge_helpfulness", 1.0, "good", "r1")
    ] * 2
    assert [call["reported_cost_nano_usd"] for call in calls if call["app"] == "llmtower-judge"] == [300, 300]


def test_a_spent_budget_of_the_judge_ends_it_before_anybody_is_asked(tmp_path: Path) -> None:
    client, topic = Client(), MemoryTopic()
    one = trial(tmp_path / "out", referee=referee(topic, budget=2_500e-9))
    run(one, asked(5), client, concurrency=1)
    assert len(client.asked) == 2, "two rubrics cost 2 x 1,000 at most; 300 were spent of it each time"
    assert "LLMTOWER_JUDGE__BUDGET_USD" in one.stopped


def test_a_judge_that_does_not_answer_ends_it_and_the_rest_is_left_for_a_second_run(tmp_path: Path) -> None:
    one = trial(tmp_path / "out", referee=referee(MemoryTopic(), Reply("", "timeout")))
    run(one, asked(10), Client(), concurrency=1)
    assert (len(one.done), one.stopped[:37]) == (FAILURES + 1, "The judge's endpoint does not answer:")
    assert all(outcome.failed_scorers == ("judge_helpfulness",) for outcome in one.done)


def test_a_judge_that_fails_and_a_model_that_is_down_spoil_nothing(tmp_path: Path) -> None:
    topic = MemoryTopic()
    one = trial(tmp_path / "out", referee=referee(topic, Reply("no idea", cost=300)))
    run(one, asked(1), Client())
    run(one, asked(1, "down"), Client())
    fine, down = one.done
    assert (fine.failed_scorers, fine.scores["json"]) == (("judge_helpfulness",), 0.0)
    assert (down.error, down.scores) == ("ConnectionError", {})
    assert topic.records[-1].value == b'{"nano_usd": 600}'
    assert b"secret" not in (tmp_path / "out").read_bytes()


class Silent(Client):
    """A provider that never answers."""

    async def create(self, **request: Any) -> Any:
        self.asked.append(request)
        await asyncio.Event().wait()


async def interrupted(one: Trial, client: Client, count: int) -> None:
    """Run it until so many are asked, then interrupt it as Ctrl-C does."""
    running = asyncio.create_task(one.run(asked(9), client, count, lambda *_: None))
    while len(client.asked) < count:  # noqa: ASYNC110 - what it waits for has no event
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_who_interrupts_it_leaves_nothing_promised(tmp_path: Path) -> None:
    topic = MemoryTopic()
    asyncio.run(interrupted(trial(tmp_path / "out", referee=referee(topic)), Silent(), 3))
    assert (topic.records[0].value, topic.records[-1].value) == (b'{"nano_usd": 2000}', b'{"nano_usd": 0}')


def test_a_judge_who_is_interrupted_may_have_cost_one_ask_at_its_dearest() -> None:
    class Stuck(MemoryEndpoint):
        async def ask(self, messages: Any, form: Any) -> Reply:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

    async def story() -> None:
        promise = await judge.promise()
        assert promise is not None
        asking = asyncio.create_task(judge.judge(Said("Where?", "There."), promise))
        await begun.wait()
        asking.cancel()
        await asyncio.wait([asking])
        await judge.settle(promise)

    begun, topic = asyncio.Event(), MemoryTopic()
    purse = Purse(topic.open(), "run", 10**9)
    judge = Referee(JudgeSettings(), (HELPFULNESS, FAITHFULNESS), Stuck(lambda _: GOOD, 500), purse, HandClock())
    asyncio.run(story())
    assert topic.records[-1].value == b'{"nano_usd": 1000}'


def test_a_promise_that_is_interrupted_is_taken_back() -> None:
    class Slow(MemoryRegistry):
        async def poll(self) -> list[RegistryRecord]:
            raise asyncio.CancelledError

    topic = MemoryTopic()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Purse(Slow(topic), "run", 10**9).promise("2026-11-26", 500))
    assert [one.value for one in topic.records] == [b'{"nano_usd": 500}', b'{"nano_usd": 0}']


def test_a_full_disk_leaves_promised_what_was_spent(tmp_path: Path) -> None:
    topic = MemoryTopic()
    with pytest.RaisesGroup(OSError):
        run(trial(Path("/dev/full"), referee=referee(topic)), asked(1), Client())
    assert topic.records[-1].value == b'{"nano_usd": 300}'


def test_scorers_that_break_leave_nothing_promised(tmp_path: Path) -> None:
    class Broken(Production):
        def score(self, event: Any) -> Any:
            raise MemoryError

    topic = MemoryTopic()
    with pytest.RaisesGroup(MemoryError):
        run(trial(tmp_path / "out", referee=referee(topic), production=Broken((), Cascade(load_linear))), asked(1), Client())
    assert topic.records[-1].value == b'{"nano_usd": 0}'
