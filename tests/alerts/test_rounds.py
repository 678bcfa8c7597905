"""Round by round: what is asked when, what the evaluator says of its own troubles, and that a clock or a receiver cannot mislead it."""

import asyncio
from collections import Counter

import pytest
from tests.alerts.receiver import receiving
from tests.alerts.story import QUIET, RULES, SCRIPT, check, play, run
from tests.alerts.world import Fate, FatefulRouter, World

from llmtower_processors.alerts import news
from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.alerts.model import RouteState
from llmtower_processors.alerts.route import SendingRouter
from llmtower_processors.alerts.rules import Route
from llmtower_processors.alerts.send.build import build_senders
from llmtower_processors.alerts.service import AlertService
from llmtower_processors.local.ports import PortReservation
from llmtower_schemas.alerts import Transition, group_text
from llmtower_schemas.metrics import SOURCES
from llmtower_schemas.settings import AlertSettings
from llmtower_schemas.tables import TABLES


def test_clickhouse_away_is_an_alert_of_its_own_and_rows_are_caught_up() -> None:
    world = World(RULES)

    async def story() -> None:
        service = world.service()
        await play(world, service, QUIET)
        world.tables.away = True
        await play(world, service, [(0.9, 1)] * 40)
        (blind,) = world.received
        assert (blind.transition.rule, blind.transition.group, blind.transition.severity) == ("blind", {"what": "ClickHouse"}, "critical")
        assert blind.transition.value == pytest.approx(62)
        assert "alert_events" not in world.tables.rows
        world.tables.away = False
        await play(world, service, [*QUIET, (0.0, 1)])

    run(story)
    check(world)
    assert [(one.rule, one.to_state) for one in world.transitions()] == [("blind", "firing"), ("blind", "resolved")]


def test_a_rule_that_cannot_be_asked_is_an_alert_and_the_others_go_on() -> None:
    broken = parse_rules(
        "rules: [{name: own, sql: 'SELECT app, brokn AS value FROM calls', group_by: [app], levels: {warning: {above: 1}}}]"
    )
    world = World(RULES.model_copy(update={"rules": (*RULES.rules, *broken.rules)}), refused={"brokn"})

    async def story() -> None:
        await play(world, world.service(), [(0.9, 1)] * 40)
        told = {(one.transition.rule, group_text(one.transition.group)) for one in world.received}
        assert told == {("errors", "app=chat"), ("blind", "what=rule own")}

    run(story)


def test_rules_of_one_source_and_window_share_a_query() -> None:
    world = World(RULES)
    run(lambda: play(world, world.service(), QUIET[:1]))
    assert len([query for query in world.asked if "FROM rollup_1m" in query.sql]) == 1


async def rounds(world: World, service: AlertService, seconds: float) -> int:
    """Judge every two seconds for so long; gives how often figures were asked for."""
    before = len(world.asked)
    await play(world, service, [(0.0, 1)] * round(seconds / 2))
    return sum("FROM rollup_1m" in query.sql for query in world.asked[before:])


def test_while_nothing_arrives_rules_rest_and_what_arrives_wakes_them_at_once() -> None:
    world = World(RULES)

    async def story() -> None:
        service = world.service()
        assert await rounds(world, service, 60) in (30, 31)
        world.arriving = 0
        assert await rounds(world, service, 60) == 30, "watermarks follow, windows close, for a minute"
        assert await rounds(world, service, 480) in range(47, 50)
        await rounds(world, service, 120)
        assert await rounds(world, service, 300) in range(10, 15), "besides, second looks at the minutes in which something came"
        world.clock.forward(3_600)
        assert await rounds(world, service, 120) in (2, 3), "after an hour all windows are empty"
        world.stored += 1
        assert world.received == []
        began_ms = world.clock.now_ms()
        await play(world, service, [(0.0, 20)])
        assert [(one.transition.rule, one.transition.at_us) for one in world.received] == [("spend", began_ms * 1_000)]
        assert await rounds(world, service, 60) in (30, 31)

    run(story)
    assert [one.to_state for one in world.transitions() if one.rule == "spend"] == ["firing", "resolved"]


def test_an_alert_is_followed_at_full_pace_though_nothing_arrives_and_the_others_rest() -> None:
    world = World(RULES)

    async def story() -> None:
        service = world.service()
        await play(world, service, [(0.9, 1)] * 5)
        world.arriving = 0
        world.clock.forward(900)
        await play(world, service, [(0.9, 1)] * 3)
        before = len(world.asked)
        await play(world, service, [(0.9, 1)] * 30)
        asked = [query.sql for query in world.asked[before:] if "FROM rollup_1m" in query.sql]
        assert sum("error_rate_value" in sql for sql in asked) == 30
        assert sum("cost_value" in sql for sql in asked) == 2
        began_ms = world.clock.now_ms()
        await play(world, service, [(0.0, 1)])
        assert [one.at_us for one in world.transitions() if one.to_state == "resolved"] == [began_ms * 1_000]

    run(story)


def test_an_empty_store_is_no_news_and_one_that_does_not_say_how_full_it_is_always_is() -> None:
    empty, silent = World(RULES, arriving=0), World(RULES, refused={"system.tables"})

    async def story() -> None:
        assert await rounds(empty, empty.service(), 120) == 2
        assert await rounds(silent, silent.service(), 120) == 60

    run(story)


def test_whatever_a_metric_reads_is_news() -> None:
    read = {table for source in SOURCES.values() for _, table, _ in source.resolutions}
    while made := {name for name in read if name in TABLES and TABLES[name].view_of}:
        read = read - made | {source for name in made for source in TABLES[name].view_of}
    assert {name.removesuffix("_current") for name in read} <= set(news.SOURCES)
    assert set(news.SOURCES) <= TABLES.keys()


class PagerAndChat(FatefulRouter):
    """A pager that wants only what is critical, and a chat; `states` by script."""

    found: dict[str, RouteState] = {}  # noqa: RUF012 - replaced, never changed

    def routes_of(self, transition: Transition) -> tuple[str, ...]:
        wanted = ("pager", "chat") if transition.to_state != "firing" or transition.severity == "critical" else ("chat",)
        return tuple(route for route in transition.routes if route in wanted)

    def states(self) -> dict[str, RouteState]:
        return self.found


def test_the_end_is_told_wherever_the_incident_was_told_and_nowhere_else() -> None:
    rules = parse_rules("""
routes: {pager: {url_env: PAGER}, chat: {url_env: CHAT}}
rules: [{name: errors, metric: error_rate, group_by: [app], window: 1m, recover_for: 0s, routes: [pager, chat],
         levels: {warning: {above: 0.1}, critical: {above: 0.5}}}]
""")
    grave, mild = World(rules), World(rules)

    async def story() -> None:
        await play(grave, grave.service(router=PagerAndChat(grave.received, Fate())), [(0.2, 1), (0.9, 1), (0.2, 1), (0.2, 1)])
        await play(grave, grave.service(router=PagerAndChat(grave.received, Fate())), [(0.2, 1), (0.0, 1), (0.0, 1)])
        await play(mild, mild.service(router=PagerAndChat(mild.received, Fate())), [(0.2, 1), (0.0, 1), (0.0, 1)])

    run(story)
    assert [(one.transition.to_state, one.transition.severity, one.route) for one in grave.received] == [
        ("firing", "warning", "chat"),
        ("firing", "critical", "pager"),
        ("firing", "critical", "chat"),
        ("resolved", "warning", "chat"),
        ("resolved", "warning", "pager"),
    ]
    assert [(one.transition.to_state, one.route) for one in mild.received] == [("firing", "chat"), ("resolved", "chat")]


def test_a_receiver_that_takes_nothing_for_long_is_an_alert_of_its_own() -> None:
    world = World(RULES)

    async def story() -> None:
        router = PagerAndChat(world.received, Fate(), routes=("default",))
        router.routes_of = lambda transition: transition.routes  # type: ignore[method-assign]  # every route
        service = world.service(router=router)
        router.found = {"default": RouteState(3, attempts=50, trouble="The webhook at hooks.example answered 500.")}
        await play(world, service, [(0.0, 1)] * 40)
        (blind,) = world.received
        assert (blind.transition.rule, blind.transition.group) == ("blind", {"what": "route default"})
        router.found = {"default": RouteState(0)}
        await play(world, service, QUIET)

    run(story)
    assert [(one.rule, one.to_state) for one in world.transitions()] == [("blind", "firing"), ("blind", "resolved")]


def test_more_groups_than_allowed_are_cut_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rules = parse_rules("rules: [{name: errors, metric: error_rate, group_by: [app], window: 1m, top: 3, levels: {warning: {above: 0.1}}}]")
    world = World(rules)

    async def story() -> None:
        service = world.service()
        world.figures = {"error_rate": {(f"app-{number}",): (0.9, 100.0) for number in range(50)}}
        for _ in range(3):
            await service.fire(world.firing())
            world.clock.forward(2)
        assert service._metrics.cut._value.get() == 1
        world.figures = {"error_rate": {("app-1",): (0.9, 100.0)}}
        await service.fire(world.firing())
        assert service._metrics.cut._value.get() == 0

    with caplog.at_level("WARNING"):
        run(story)
    assert len({one.transition.dedup_key for one in world.received}) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "alerts: rule errors has more than 3 groups; those with the largest sample are judged. Group less finely."
    ]


def test_a_clock_that_jumps_makes_no_alert_and_ends_none() -> None:
    rules = parse_rules("""
rules: [{name: errors, metric: error_rate, group_by: [app], window: 1m, for: 10m, recover_for: 10m, levels: {warning: {above: 0.1}}}]
""")
    world = World(rules)

    async def story() -> None:
        service = world.service()
        await play(world, service, [(0.9, 1)] * 5)
        for jump_ms in (6 * 3_600_000, -12 * 3_600_000, 86_400_000):
            world.clock.ms += jump_ms
            await play(world, service, [(0.9, 1)] * 5)
        assert [one.to_state for one in world.transitions()] == ["pending"]
        await play(world, service, [(0.9, 1)] * 300)
        assert [one.to_state for one in world.transitions()] == ["pending", "firing"]
        world.clock.ms += 86_400_000 // 2
        await play(world, service, [(0.0, 1)] * 5)
        assert [one.to_state for one in world.transitions()][-1] == "firing"

    run(story)


def test_a_receiver_that_is_down_for_hours_gets_the_newest_words_once() -> None:
    world = World(RULES)

    async def story() -> None:
        routes = {"default": Route(url=f"http://{reserved.address}/hook")}
        router = SendingRouter(routes, build_senders(routes, AlertSettings(), {}), world.clock, first_wait_s=0.01)
        service = world.service(router=router)
        await play(world, service, SCRIPT)
        world.clock.forward(6 * 3_600)
        await play(world, service, QUIET)
        assert service._term is not None
        owed = len(service._term._incidents.unsent)
        assert owed >= 2
        with receiving(port=reserved.port) as receiver:
            async with asyncio.timeout(20):
                while service._term._incidents.unsent:  # noqa: ASYNC110 - the receiver is another thread
                    await asyncio.sleep(0.02)
            heard = sorted((one.value["rule"], one.value["status"]) for one in receiver.taken)
            assert heard == [("errors", "resolved"), ("spend", "resolved")]
        await play(world, service, QUIET)
        await service.resign()

    reserved = PortReservation(0, purpose="a receiver", option="-")
    try:
        run(story)
    finally:
        reserved.release()
    outcomes = Counter(row["outcome"] for row in world.tables.rows["alert_sends"])
    assert outcomes["superseded"] >= 1
