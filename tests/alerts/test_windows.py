"""Up to where a window is judged: at the watermark, half a minute late at the most, how complete it was, and what late events change."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from tests.alerts.world import START_MS, World

from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.alerts.model import Notification
from llmtower_processors.alerts.questions import MINUTE_US, Moment
from llmtower_processors.alerts.second import SECOND_LOOK_US, SecondLooks
from llmtower_processors.alerts.tables import Rows
from llmtower_processors.errors import Unreachable
from llmtower_schemas.queries import Query
from llmtower_schemas.settings import AlertSettings

NOW_US = START_MS * 1_000
S = 1_000_000
RULES = parse_rules("""
rules: [{name: errors, metric: error_rate, group_by: [project, app], window: 5m, recover_for: 1h, levels: {warning: {above: 0.1}}}]
""")
GROUP = ("default", "chat")


def moment(behind_s: float, *, of: str = "default", patience_s: float = AlertSettings().patience_s) -> Moment:
    return Moment(NOW_US, {of: NOW_US - round(behind_s * S)}, round(patience_s * S))


def test_a_window_ends_at_the_watermark_and_waits_for_it_thirty_seconds_at_most() -> None:
    assert [(NOW_US - moment(behind).end_us("default")) / S for behind in (0, 4, 29, 31, 3_600)] == [0, 4, 29, 30, 30]
    assert moment(-60).end_us("default") == NOW_US, "a clock that runs ahead ends no window in the future"


def test_what_is_judged_before_it_is_all_there_says_how_much_of_it_was() -> None:
    start = NOW_US - 330 * S
    assert moment(10).completeness("default", start) == 1.0
    assert moment(180).completeness("default", start) == (330 - 180) / 300
    assert moment(3_600).completeness("default", start) == 0.0
    assert moment(10, of="other").completeness("default", start) is None, "nobody says"


class Late(World):
    """Gives other figures for windows that have closed."""

    closed: Mapping[str, float] = {"error_rate": 0.0}

    def _figures(self, query: Query) -> tuple[list[str], list[list[object]]]:
        columns, rows = super()._figures(query)
        end_s = max(_seconds(str(value)) for name, value in query.parameters.items() if name == "end")
        if end_s * 1_000 <= self.clock.now_ms():
            rows = [[*row[:-2], self.closed["error_rate"], row[-1]] for row in rows]
        return list(columns), [list(row) for row in rows]


def _seconds(text: str) -> float:
    from datetime import UTC, datetime

    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


async def _watch(world: World, value: float, *, rounds: int, behind_s: float) -> list[Notification]:
    """Look every two seconds, the watermark so far behind; gives what was told."""
    service = world.service()
    for _ in range(rounds):
        world.figures = {"error_rate": {GROUP: (value, 100.0)}}
        world.marks = {"default": world.clock.now_ms() * 1_000 - round(behind_s * S)}
        await service.fire(world.firing())
        world.clock.forward(2)
    await service.resign()
    return list(world.received)


def test_a_watermark_that_stands_holds_up_no_alert_and_the_message_says_how_complete_it_was() -> None:
    (told,) = asyncio.run(_watch(World(RULES), 0.4, rounds=1, behind_s=120))
    assert told.transition.window_end_us == NOW_US - 30 * S
    assert told.transition.completeness is not None
    assert 0.6 < told.transition.completeness < 0.75


def test_late_events_correct_what_was_judged_too_early() -> None:
    """Four failures of ten seemed to be; when all had come they were none of a hundred."""
    world = Late(RULES)

    async def story() -> None:
        assert [one.transition.cause for one in await _watch(world, 0.4, rounds=1, behind_s=120)] == ["breach"]
        await _watch(world, 0.0, rounds=round((SECOND_LOOK_US + 2 * MINUTE_US) / S / 2), behind_s=0)

    asyncio.run(story())
    first, last = (one.transition for one in world.received)
    assert (first.corrected, last.cause, last.to_state, last.corrected) == (False, "late_events", "resolved", True)
    assert first.dedup_key == last.dedup_key


def test_late_events_tell_of_what_was_missed() -> None:
    world = Late(RULES)
    world.closed = {"error_rate": 0.5}
    told = asyncio.run(_watch(world, 0.01, rounds=round((SECOND_LOOK_US + 2 * MINUTE_US) / S / 2), behind_s=120))
    first = told[0].transition
    assert (first.cause, first.corrected, first.value) == ("late_events", True, 0.5)
    assert first.at_us - first.window_end_us >= MINUTE_US


def test_a_minute_of_which_nothing_had_come_is_looked_at_again_as_soon_as_it_has() -> None:
    looks = SecondLooks()
    assert looks.ready(moment(3_600)) == []
    later = Moment(NOW_US + 2 * S, {"default": NOW_US + S}, 30 * S)
    assert [one.now_us for one in looks.ready(later)] == [NOW_US - MINUTE_US]


def test_late_events_that_come_all_at_once_correct_in_that_round() -> None:
    """The round before still saw four of ten fail; the watermark and what was missing arrive together."""
    world = Late(RULES)

    async def one_leader() -> None:
        service = world.service()
        for value, behind_s in [*[(0.4, 200)] * 61, (0.0, 0)]:
            world.figures = {"error_rate": {GROUP: (value, 100.0)}}
            world.marks = {"default": world.clock.now_ms() * 1_000 - behind_s * S}
            await service.fire(world.firing())
            world.clock.forward(2)
        await service.resign()

    asyncio.run(one_leader())
    assert [one.transition.cause for one in world.received] == ["breach", "late_events"]


@pytest.mark.parametrize(("figure", "closed", "causes"), [(0.4, 0.0, ["breach", "late_events"]), (0.0, 0.5, ["late_events"])])
def test_a_second_look_that_failed_is_made_again(figure: float, closed: float, causes: list[str]) -> None:
    """One query of the round is not answered in which late events correct, or tell of what was missed."""
    world = Late(RULES)
    answer = world.tables._answer

    def away(query: Query) -> tuple[Sequence[str], Rows]:
        if any(name == "end" and _seconds(str(value)) * 1_000 <= world.clock.now_ms() for name, value in query.parameters.items()):
            raise Unreachable("ClickHouse does not answer.")
        return answer(query)

    async def one_leader() -> None:
        service = world.service()
        for value, behind_s, closed_value in [*[(figure, 200, 0.0)] * 61, *[(0.0, 0, closed)] * 2]:
            world.closed = {"error_rate": closed_value}
            world.figures = {"error_rate": {GROUP: (value, 100.0)}}
            world.marks = {"default": world.clock.now_ms() * 1_000 - behind_s * S}
            world.tables._answer = away if behind_s == 0 and world.tables._answer is answer else answer
            await service.fire(world.firing())
            world.clock.forward(2)
        await service.resign()

    asyncio.run(one_leader())
    assert [one.transition.cause for one in world.received] == causes
