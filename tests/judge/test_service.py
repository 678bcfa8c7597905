"""The judge's rounds on edges in memory: who is asked, what it costs at most, and what is written when it goes wrong."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from llmtower_processors.errors import NotConfigured, Unreachable
from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.judge.budget import DAY_MS, Plan, allowance
from llmtower_processors.judge.memory import MemoryCalls, MemoryTopic
from llmtower_processors.judge.model import Material, Pick, Reply
from llmtower_processors.judge.question import Said
from tests.judge.world import GOOD, HELPFULNESS, NOON_MS, RELEVANCE, Bench, material

NANO = 10**9


def run(bench: Bench, rounds: int = 1) -> list[dict[str, Any]]:
    async def go() -> None:
        for _ in range(rounds):
            await bench.round()

    asyncio.run(go())
    return bench.scores()


def test_a_round_scores_calls_as_events_that_name_their_call() -> None:
    bench = Bench(per_round=5)
    scores = run(bench)
    assert len(scores) == 5
    first = scores[0]
    assert (first["name"], first["value"], first["label"], first["status"], first["reason"]) == ("judge_helpfulness", 1.0, "good", "ok", "")
    assert (first["project"], first["app"], first["request_model"], first["prompt_version"]) == ("shop", "bot", "gpt-4o", "3")
    assert (first["scorer"], first["scorer_version"], first["target_kind"]) == ("llmtower-judge", "1/gpt-4o-mini", "call_id")
    assert first["weight"] == pytest.approx(300 / 5)
    (row,) = bench.calls.rounds
    assert (row.state, row.scored, row.failed, row.skipped, row.population) == ("judged", 5, 0, 0, 300)
    assert row.spent == 5 * 300, "what was promised and not spent is given back"


def test_the_uncertain_are_asked_first_and_stand_for_themselves() -> None:
    calls = MemoryCalls(material(300), {f"call-{number:05d}": number / 300 for number in range(300)})
    bench = Bench(calls=calls, rubrics=(RELEVANCE,), per_round=10, random_share=0.5)
    scores = run(bench)
    sure = {one["target_id"] for one in scores if one["weight"] == 1}
    assert sure == {f"call-{number:05d}" for number in (148, 149, 150, 151, 152)}
    assert {one["weight"] for one in scores} == {1, 59}


def test_the_next_round_goes_on_where_the_last_one_ended() -> None:
    bench = Bench(calls=MemoryCalls(material(300, first_ms=NOON_MS - 130_000)), per_round=500)
    scores = run(bench, 3)
    assert len({one["target_id"] for one in scores}) == len(scores) == 300
    assert sum(row.population for row in bench.calls.rounds) == 300


REFUSED: dict[str, tuple[Reply, str, str]] = {
    "nonsense": (Reply("As an AI I like both.", cost=300), "error", "unreadable answer"),
    "out of scale": (Reply('{"score": 7}', cost=300), "error", "unreadable answer"),
    "an odd one out": (Reply(reason="content_filter"), "error", "content_filter"),
    "refused": (Reply(reason="invalid_request"), "error", "invalid_request"),
    "late": (Reply(reason="timeout", cost=500), "error", "timeout"),
    "away": (Reply(reason="network", cost=500), "error", "network"),
    "too many": (Reply(reason="rate_limit"), "error", "rate_limit"),
    "key": (Reply(reason="auth"), "error", "auth"),
    "broken": (Reply(reason="server"), "error", "server"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_whatever_an_ask_comes_to_is_a_row_with_status_and_reason(name: str) -> None:
    reply, status, reason = REFUSED[name]
    bench = Bench(lambda _: reply, per_round=2)
    for one in run(bench):
        assert (one["value"], one["label"], one["status"], one["reason"]) == (None, "", status, reason)
    assert len(bench.scores()) == 2


def test_an_unreadable_answer_is_asked_for_once_more() -> None:
    replies = iter([Reply("Hm.", cost=300), GOOD])
    bench = Bench(lambda _: next(replies), per_round=1)
    (score,) = run(bench)
    assert score["value"] == 1
    again = bench.endpoint.asked[1]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert bench.calls.rounds[0].spent == 600


def test_an_endpoint_that_is_down_is_left_alone_for_longer_and_longer_and_found_again() -> None:
    up = False

    def answer(_: Sequence[dict[str, str]]) -> Reply:
        return GOOD if up else Reply(reason="network", cost=500)

    bench = Bench(answer, calls=MemoryCalls(material(20_000)), per_round=12, concurrency=4)
    run(bench, 1)
    assert [one["reason"] for one in bench.scores()].count("network") == 3
    assert {(one["status"], one["reason"]) for one in bench.scores()} == {("error", "network"), ("skipped", "endpoint down")}
    run(bench, 15)
    states = [row.state for row in bench.calls.rounds]
    assert states == ["endpoint down"] * 5, "after 0, 1, 3, 7 and 15 minutes"
    up = True
    run(bench, 12)
    assert bench.calls.rounds[-1].state == "judged"
    assert bench.scores()[-1]["status"] == "ok"


def test_a_call_without_text_costs_nothing() -> None:
    pick = Pick("call-1", "shop", "bot", "production", "gpt-4o", "", "", (NOON_MS - 150_000) * 1_000)
    bench = Bench(calls=MemoryCalls([Material(pick, Said("Q?", ""))]))
    (score,) = run(bench)
    assert (score["status"], score["reason"]) == ("skipped", "no text")
    assert bench.endpoint.asked == []
    assert bench.calls.rounds[0].spent == 0


def test_the_budget_is_a_hard_stop_and_those_not_asked_say_so() -> None:
    bench = Bench(budget_usd=20_000 / NANO, per_round=4, most=500, calls=MemoryCalls(material(40_000, first_ms=NOON_MS - 200_000)))
    run(bench, 40)
    assert bench.promised() <= 20_000
    last = bench.calls.rounds[-1]
    assert (last.state, last.scored, last.skipped) == ("paced", 0, 0), "a day's budget is spread over the day"
    bench.clock.ms = NOON_MS + 11 * 3_600_000 + 1_800_000
    bench.calls.material += material(40_000, first_ms=bench.clock.ms - 400_000)
    run(bench, 12)
    assert bench.promised() <= 20_000
    assert bench.calls.rounds[-1].state == "over budget"
    assert {(one["status"], one["reason"]) for one in bench.scores()[-4:]} == {("skipped", "over budget")}
    asked = len(bench.endpoint.asked)
    run(bench, 3)
    assert len(bench.endpoint.asked) == asked
    bench.clock.ms = NOON_MS // DAY_MS * DAY_MS + DAY_MS + 3_600_000
    bench.calls.material += material(600, first_ms=bench.clock.ms - 150_000)
    run(bench)
    assert bench.calls.rounds[-1].scored > 0, "the next day has a budget of its own"


def test_an_endpoint_that_bills_beyond_its_limits_overspends_by_the_asks_under_way_and_no_more() -> None:
    dear = Reply(GOOD.text, cost=100 * 2 * 500)
    bench = Bench(lambda _: dear, per_round=20, concurrency=4, most=500)
    run(bench)
    asked = len(bench.endpoint.asked)
    assert 1 <= asked <= 4
    (row,) = bench.calls.rounds
    assert (row.scored, row.skipped, row.spent) == (asked, 20 - asked, asked * dear.cost)
    said = sorted((one["status"], one["reason"]) for one in bench.scores())
    assert said == [("ok", "")] * asked + [("skipped", "over budget")] * (20 - asked)


def test_what_is_spent_survives_a_restart_and_so_does_what_was_only_promised() -> None:
    bench = Bench(budget_usd=20_000 / NANO, per_round=4)
    bench.calls.material = material(4_000)
    run(bench)
    spent = bench.calls.rounds[-1].spent

    class GoneError(Exception):
        pass

    def dies(_: Sequence[dict[str, str]]) -> Reply:
        raise GoneError

    second = Bench(dies, calls=bench.calls, topic=bench.topic, run="b", budget_usd=20_000 / NANO, per_round=4)
    second.clock.ms = bench.clock.ms
    with pytest.raises(GoneError):
        run(second)
    third = Bench(calls=bench.calls, topic=bench.topic, run="c", budget_usd=20_000 / NANO, per_round=4)
    third.clock.ms = bench.clock.ms + 60_000
    run(third)
    assert third.calls.rounds[-1].spent >= spent + 4 * 2 * 500, "what the dead one may have spent counts"
    assert bench.promised() <= 20_000


def test_a_plan_that_somebody_left_is_carried_on_without_paying_for_a_score_twice() -> None:
    bench = Bench(per_round=6)
    bench.sink.fails = 1
    with pytest.raises(Refusal):
        run(bench)
    before = {one["score_id"] for one in bench.scores()}
    plan_calls = [record for record in bench.topic.records if record.key == b"judge/plan"]
    assert len(plan_calls) == 1
    bench.calls.done["helpfulness"] = {"call-00000", "call-00001"}
    second = Bench(calls=bench.calls, topic=bench.topic, run="b", per_round=3)
    second.clock.ms = bench.clock.ms
    scores = run(second)
    assert {one["target_id"] for one in scores} == {f"call-{number:05d}" for number in range(2, 6)}, "the same six, less the two"
    assert {one["weight"] for one in scores} == {50}
    assert not before & {one["score_id"] for one in scores} or len(before) < 6


def test_judges_that_do_not_know_of_each_other_keep_the_budget_together() -> None:
    """Three judges, none of them led, at any order of their steps: what is really spent never passes the budget."""
    budget, evening = 30_000, NOON_MS + 11 * 3_600_000

    async def race(seed: int) -> tuple[int, int]:
        chance, topic, calls = random.Random(seed), MemoryTopic(), MemoryCalls(material(3_000, first_ms=evening - 200_000))
        paid = 0

        async def dawdle() -> None:
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)

        def paying(_: Sequence[dict[str, str]]) -> Reply:
            nonlocal paid
            cost = chance.randrange(1_000)
            paid += cost
            return Reply(GOOD.text, cost=cost)

        def slowed(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def slow(*given: Any) -> Any:
                await dawdle()
                found = await function(*given)
                await dawdle()
                return found

            return slow

        async def work(run: str) -> None:
            bench = Bench(paying, calls=calls, topic=topic, run=run, budget_usd=budget / NANO, per_round=5, concurrency=2)
            registry: Any = bench.judge._parts.registry
            registry.write, registry.poll = slowed(registry.write), slowed(registry.poll)
            bench.clock.ms = evening
            for _ in range(8):
                await bench.round()

        await asyncio.gather(*map(work, "abc"))
        return paid, sum(row.state == "over budget" for row in calls.rounds)

    found = [asyncio.run(race(seed)) for seed in range(20)]
    assert max(paid for paid, _ in found) <= budget
    assert min(paid for paid, _ in found) > budget // 3
    assert any(stopped for _, stopped in found)


def test_a_model_without_a_price_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(NotConfigured, match="LLMTOWER_PRICES_FILE"):
        Bench(most=None)


def test_a_free_model_is_limited_by_its_rounds_alone() -> None:
    bench = Bench(lambda _: Reply(GOOD.text), most=0, per_round=7, budget_usd=0)
    assert len(run(bench)) == 7


def test_a_registry_that_is_away_stops_the_money_not_the_judge() -> None:
    bench = Bench()

    async def away(key: str, value: bytes | None) -> None:
        raise Unreachable("Kafka is away.")

    registry = bench.judge._parts.registry
    written, registry.write = registry.write, away  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        run(bench)
    assert bench.endpoint.asked == []
    registry.write = written  # type: ignore[method-assign]
    assert run(bench)


def test_several_rubrics_share_what_may_be_spent() -> None:
    bench = Bench(rubrics=(HELPFULNESS, RELEVANCE), per_round=4)
    assert [one["name"] for one in run(bench)].count("judge_relevance") == 4
    assert len(bench.scores()) == 8


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"nano_usd": "x"}', b'{"quotas": 3}', None])
def test_what_cannot_be_read_in_the_topic_is_left_out(value: bytes | None) -> None:
    bench = Bench(per_round=2)

    async def litter() -> None:
        registry = bench.topic.open()
        for key in ("judge/plan", "judge/2026-11-26/x", "judge/a/b/c", "key/1"):
            await registry.write(key, value)

    asyncio.run(litter())
    assert len(run(bench)) == 2


def test_the_allowance_grows_over_the_day_and_never_beyond_the_budget() -> None:
    midnight = NOON_MS // DAY_MS * DAY_MS
    rooms = [allowance(24_000, 0, midnight + hours * 3_600_000) for hours in range(24)]
    assert rooms == [1_000 * (hours + 1) for hours in range(24)]
    assert allowance(24_000, 30_000, NOON_MS) == 0


def test_a_plan_is_read_as_it_was_written() -> None:
    from llmtower_processors.judge.budget import Book
    from llmtower_processors.judge.sampling import Quota
    from llmtower_processors.registry_topic import RegistryRecord

    plan, book = Plan(5, 9, {"helpfulness": Quota(1, 2, 30)}), Book()
    book.learn([RegistryRecord("m", 0, 0, b"judge/plan", plan.encode())])
    assert book.plan == plan
