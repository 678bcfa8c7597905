"""What the evaluator is played: rules, figures round by round, and what must hold whatever happened."""

import asyncio
from collections import Counter
from collections.abc import Callable

from tests.alerts.world import World

from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.alerts.service import AlertService

RULES = parse_rules("""
rules:
  - {name: errors, metric: error_rate, group_by: [app], window: 1m, recover_for: 0s, for: 4s,
     levels: {warning: {above: 0.1}, critical: {above: 0.5}}}
  - {name: spend, metric: cost, group_by: [app], window: 1m, recover_for: 0s, levels: {warning: {above: 10}}}
  - {name: blind, metric: evaluator_blind_seconds, levels: {critical: {above: 60, recover: 0}}, recover_for: 0s, no_data: keep}
""")
Script = list[tuple[float, float]]
SCRIPT: Script = [(0.0, 1), (0.2, 1), (0.2, 20), (0.2, 20), (0.9, 20), (0.9, 20), (0.9, 1), (0.0, 1), (0.0, 1), (0.0, 1)]
"""Error rate and cost, round by round, two seconds apart."""
QUIET: Script = [(0.0, 1)] * 3


def set_figures(world: World, errors: float, spend: float) -> None:
    world.figures = {"error_rate": {("chat",): (errors, 100)}, "cost": {("chat",): (spend, 100)}}


async def play(world: World, service: AlertService, script: Script) -> None:
    for errors, spend in script:
        set_figures(world, errors, spend)
        await service.fire(world.firing())
        world.clock.forward(2)


def run(story: Callable[[], object]) -> None:
    async def within() -> None:
        await story()  # type: ignore[misc]  # a coroutine function

    asyncio.run(within())


def check(world: World) -> None:
    """What must hold whatever happened."""
    transitions = world.transitions()
    ids = [one.transition_id for one in transitions]
    assert len(set(ids)) == len(ids), "the journal holds each transition once"
    owed = {one.transition_id for one in transitions if one.notify}
    told = Counter(one.transition.transition_id for one in world.received)
    assert set(told) == owed, "what is in the journal is told, and nothing else"
    unmarked = Counter(one.transition.transition_id for one in world.received if not one.possible_repeat)
    assert all(count == 1 for count in unmarked.values()), "of what is told twice all but one say so"
    for rule in ("errors", "spend"):
        assert len({one.dedup_key for one in transitions if one.rule == rule}) <= 2
        assert [one.to_state for one in transitions if one.rule == rule][-1:] in ([], ["resolved"], ["ok"])
    rows = world.tables.rows.get("alert_events", [])
    assert [row["transition_id"] for row in rows] == ids, "the table holds what the journal holds, in order"
    sends = Counter((row["kafka_offset"], row["entry_index"]) for row in world.tables.rows.get("alert_sends", []))
    assert all(count == 1 for count in sends.values())
