"""No transition is lost and no incident is told under two keys, wherever a leader dies, freezes or wakes up again."""

import asyncio
from typing import Any

import pytest
from tests.alerts.story import QUIET, RULES, SCRIPT, check, play, run
from tests.alerts.world import Fate, Killed, World, deaths

from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.alerts.rows import SilenceRecord
from llmtower_processors.alerts.service import FENCED_S, REOPEN_S, AlertService
from llmtower_schemas.alerts import Transition
from llmtower_schemas.silences import Silence

STEPS = 60


def test_undisturbed_everything_is_told_once() -> None:
    world = World(RULES)

    async def story() -> None:
        fate = Fate()
        service = world.service(fate)
        await play(world, service, [*SCRIPT, *QUIET])
        assert fate.steps < STEPS

    run(story)
    check(world)
    assert [(one.rule, one.to_state, one.cause) for one in world.transitions()] == [
        ("errors", "pending", "breach"),
        ("spend", "firing", "breach"),
        ("errors", "firing", "held"),
        ("errors", "firing", "escalated"),
        ("spend", "resolved", "recovered"),
        ("errors", "resolved", "recovered"),
    ]
    assert len(world.received) == 5
    assert not any(one.possible_repeat for one in world.received)
    begun = [one.transition for one in world.received if one.transition.cause in ("breach", "held")]
    assert all(change.what == "chat 2" for one in begun for change in one.coincident)
    assert all(one.coincident for one in begun)


@pytest.mark.parametrize("death", deaths(24), ids=lambda death: f"{'after' if death['after'] else 'before'}-{death['strike']}")
def test_a_leader_may_die_at_any_step(death: dict[str, Any]) -> None:
    world = World(RULES)

    async def story() -> None:
        fate = Fate(**death)
        first = world.service(fate)
        left = list(SCRIPT)
        try:
            while left:
                await play(world, first, left[:1])
                left.pop(0)
        except Killed:
            world.clock.forward(2)
        await play(world, world.service(), [*left, *SCRIPT[-1:] * 4])

    run(story)
    check(world)
    assert {one.rule for one in world.transitions() if one.to_state == "firing"} == {"errors", "spend"}


@pytest.mark.parametrize("death", deaths(12), ids=lambda death: f"{'after' if death['after'] else 'before'}-{death['strike']}")
def test_a_frozen_leader_that_wakes_up_after_it_was_replaced_tells_nothing_new(death: dict[str, Any]) -> None:
    world = World(RULES)

    async def story() -> None:
        thaw = asyncio.Event()
        zombie = world.service(Fate(**death, pause=thaw))
        frozen = asyncio.create_task(play(world, zombie, SCRIPT[:5]))
        await zombie_is_struck(zombie, frozen)
        heir = world.service()
        await play(world, heir, SCRIPT[5:])
        before = {one.transition.dedup_key for one in world.received}
        thaw.set()
        await frozen
        await play(world, zombie, SCRIPT[3:6])
        assert {one.transition.dedup_key for one in world.received} == before
        await play(world, heir, QUIET)

    async def zombie_is_struck(zombie: AlertService, frozen: asyncio.Task[None]) -> None:
        struck = asyncio.create_task(zombie._journal._fate.struck.wait())  # type: ignore[attr-defined]  # the test's own journal
        await asyncio.wait((frozen, struck), return_when=asyncio.FIRST_COMPLETED)
        struck.cancel()

    run(story)
    check(world)


def test_a_leader_that_is_refused_waits_and_then_stands_again() -> None:
    world = World(RULES)

    async def story() -> None:
        first, second = world.service(), world.service()
        await play(world, first, SCRIPT[:1])
        await play(world, second, SCRIPT[:1])
        await play(world, first, SCRIPT[1:4])
        assert first._term is None
        assert world.transitions() == []
        world.clock.forward(FENCED_S)
        await play(world, first, [*SCRIPT[1:], *QUIET])

    run(story)
    check(world)
    assert REOPEN_S < FENCED_S


def test_a_silence_from_the_registry_counts_in_the_next_round_and_is_kept_in_its_table() -> None:
    world = World(RULES)

    async def story() -> None:
        service = world.service()
        await play(world, service, QUIET)
        now = world.clock.now_ms() * 1_000
        silence = Silence(silence_id="s1", rule="sp*", group={"app": "chat"}, starts_at_us=now, ends_at_us=now + 3_600_000_000, by="me")
        world.feed.append(SilenceRecord("memory", 0, world.clock.now_ms(), silence))
        await play(world, service, [(0.0, 20)] * 3)
        assert world.received == []
        ended = silence.model_copy(update={"deleted": True})
        world.feed.append(SilenceRecord("memory", 1, world.clock.now_ms(), ended))
        await play(world, service, [(0.0, 20)] * 2)
        assert [(one.transition.cause, one.transition.notify) for one in world.received] == [("silence_ended", True)]
        assert [row["deleted"] for row in world.tables.rows["silence_events"]] == [False, True]
        await service.resign()
        await play(world, service, [(0.0, 20)])
        assert len(world.tables.rows["silence_events"]) == 2

    run(story)


def test_an_alert_of_a_rule_that_is_gone_is_ended_by_the_next_leader() -> None:
    world = World(RULES)

    async def story() -> None:
        await play(world, world.service(), [(0.0, 20)] * 2)
        world.rules = parse_rules("rules: [{name: errors, metric: error_rate, group_by: [app], levels: {warning: {above: 0.1}}}]")
        await play(world, world.service(), [(0.0, 20)] * 2)

    run(story)
    last: Transition = world.received[-1].transition
    assert (last.rule, last.to_state, last.cause) == ("spend", "resolved", "rule_changed")


def test_a_fault_of_our_own_ends_the_term_and_the_next_goes_on_from_the_journal(caplog: pytest.LogCaptureFixture) -> None:
    world = World(RULES)

    async def story() -> None:
        service = world.service()
        await play(world, service, SCRIPT[:4])
        assert service._term is not None
        service._term._silences = None  # type: ignore[assignment]  # as a fault of ours would
        await play(world, service, SCRIPT[4:5])
        assert service._term is None
        world.clock.forward(REOPEN_S)
        await play(world, service, [*SCRIPT[4:], *QUIET])

    with caplog.at_level("ERROR"):
        run(story)
    check(world)
    assert "AttributeError in a round of judging" in caplog.text
    assert {one.rule for one in world.transitions() if one.to_state == "firing"} == {"errors", "spend"}
